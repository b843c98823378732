"""What is served over the socket."""

import pyrolite


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Counter:
    def __init__(self) -> None:
        self._value = 0

    def add(self, amount: int) -> int:
        self._value += amount
        return self._value

    def keep(self, numbers: set[int]) -> set[int]:
        """Sets arrive as sets, because pickle is used."""
        return numbers | {self._value}
