"""Something quick, so that most of the time of a call is spent on its way."""

import pyrolite


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Till:
    def __init__(self) -> None:
        self._total = 0

    def scan(self, price: int) -> int:
        if price < 0:
            raise ValueError("prices are not negative")
        self._total += price
        return self._total

    def total(self) -> int:
        return self._total


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("the till is ready:", daemon.register(Till))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
