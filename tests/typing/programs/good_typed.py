"""Typed proxies: Protocols, classes, abstract and generic ones; what comes back has their types."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar, assert_type

from shop import Shop

import pyrolite

T = TypeVar("T")


class Seller(Protocol):
    def buy(self, item: str, count: int = 1) -> int: ...

    @property
    def owner(self) -> str: ...


class Base(ABC):
    @abstractmethod
    def items(self) -> Iterator[str]: ...


class Shelf(Generic[T]):
    def first(self) -> T:
        raise NotImplementedError


def sell(seller: Seller) -> int:
    return seller.buy("pear")


with pyrolite.Proxy("PYRONAME:example.shop") as proxy:
    seller = pyrolite.typed(Seller, proxy)
    assert_type(seller, Seller)
    assert_type(seller.buy("apple", count=2), int)
    assert_type(seller.owner, str)

shop = pyrolite.typed(Shop, pyrolite.URI("PYRO:shop@localhost:9999"), check=True)
assert_type(shop, Shop)
assert_type(list(shop.items()), list[str])
shop.owner = "me"
print(sell(shop))

base = pyrolite.typed(Base, "PYRO:shop@localhost:9999")
assert_type(base, Base)
shelf = pyrolite.typed(Shelf[int], "PYRO:shelf@localhost:9999")
assert_type(shelf.first(), int)
