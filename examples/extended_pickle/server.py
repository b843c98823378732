"""Runs functions that clients send. Only for clients that may do everything here!"""

from collections.abc import Callable, Iterable
from typing import Any

import pyrolite

# these serializers execute what the client wants: never accept them from strangers
pyrolite.config.SERIALIZERS_ACCEPTED = {"cloudpickle", "dill"}


@pyrolite.expose
class Engine:
    def apply(self, function: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
        print(f"applying {getattr(function, '__name__', function)}")
        return [function(value) for value in values]

    def adder(self, amount: int) -> Callable[[int], int]:
        return lambda number: number + amount


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("the engine is ready:", daemon.register(Engine))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
