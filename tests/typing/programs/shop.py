"""A server's class, with annotations as users write them."""

from __future__ import annotations

from collections.abc import Iterator

import pyrolite


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Shop:
    def __init__(self) -> None:
        self._stock: dict[str, int] = {}
        self._owner = "nobody"

    def buy(self, item: str, count: int = 1) -> int:
        self._stock[item] = self._stock.get(item, 0) + count
        return self._stock[item]

    def items(self) -> Iterator[str]:
        yield from self._stock

    @pyrolite.oneway
    def audit(self, *, thorough: bool = False) -> None:
        self._owner = "the bank" if thorough else self._owner

    @property
    def owner(self) -> str:
        return self._owner

    @owner.setter
    def owner(self, name: str) -> None:
        self._owner = name
