"""A kitchen: every dish takes a while."""

import time

import pyrolite


@pyrolite.expose
class Kitchen:
    def cook(self, dish: str, seconds: float = 0.3) -> str:
        time.sleep(seconds)
        return f"{dish} is done"

    def portions(self, dish: str, guests: int) -> int:
        if guests == 0:
            raise ValueError(f"nobody wants {dish}")
        return 12 // guests

    def price(self, portions: int) -> float:
        return portions * 2.5


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("the kitchen is ready:", daemon.register(Kitchen))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
