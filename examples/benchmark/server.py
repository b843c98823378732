"""Methods with all kinds of arguments, which do nothing else."""

from typing import Any

import pyrolite


@pyrolite.expose
class Bench:
    def nothing(self) -> None:
        pass

    def echo(self, *args: Any, **kwargs: Any) -> Any:
        return args or kwargs

    def length(self, data: Any) -> int:
        return len(data)

    @property
    def attribute(self) -> int:
        return 42

    @pyrolite.oneway
    def oneway(self) -> None:
        pass


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("ready:", daemon.register(Bench))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
