"""Phase 1: everything in one process."""

from visitor import Visitor
from warehouse import Warehouse


def main() -> None:
    warehouse = Warehouse()
    Visitor("Janet").visit(warehouse, bring="lamp", fetch="bike")
    Visitor("Henry").visit(warehouse, bring="hat", fetch="lamp")


if __name__ == "__main__":
    main()
