"""Mistakes with typed proxies; each comment has the code of mypy's error and the rule of pyright's."""

from __future__ import annotations

from typing import Protocol

from shop import Shop

import pyrolite


class Seller(Protocol):
    def buy(self, item: str, count: int = 1) -> int: ...

    @property
    def owner(self) -> str: ...


class Library(Protocol):
    def lend(self, title: str) -> None: ...


seller = pyrolite.typed(Seller, "PYRONAME:example.shop")
seller.buy(12)  # wrong: arg-type reportArgumentType
seller.buy("apple", "two")  # wrong: arg-type reportArgumentType
seller.buy()  # wrong: call-arg reportCallIssue
seller.sell("apple")  # wrong: attr-defined reportAttributeAccessIssue
seller.owner = "me"  # wrong: misc reportAttributeAccessIssue
text: str = seller.buy("apple")  # wrong: assignment reportAssignmentType
library: Library = seller  # wrong: assignment reportAssignmentType

shop = pyrolite.typed(Shop, "PYRONAME:example.shop")
shop.audit(True)  # wrong: call-arg reportCallIssue
pyrolite.typed("Shop", "PYRONAME:example.shop")  # wrong: arg-type reportArgumentType
pyrolite.typed(Shop, 12)  # wrong: arg-type reportArgumentType
pyrolite.typed(Shop)  # wrong: call-arg reportCallIssue
