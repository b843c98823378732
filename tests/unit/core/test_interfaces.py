"""Proxies that stand for an interface, and the check that the remote object is like it ([BYD-31])."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import pytest

import pyrolite
from pyrolite.errors import PyroError

if TYPE_CHECKING:
    from nowhere import Imagined  # type: ignore[import-not-found]

T = TypeVar("T")

URI = "PYRO:shop@127.0.0.1:9"
METADATA = {"methods": {"sell", "restock", "audit"}, "attrs": {"size"}, "oneway": set()}


class Shop(Protocol):
    def sell(self, item: str) -> int: ...

    @property
    def size(self) -> int: ...


class BigShop(Shop, Protocol):
    owner: str
    hooks: ClassVar[list[Imagined]]

    def close(self) -> None: ...


class ShopBase(ABC):
    _private = 1

    @abstractmethod
    def sell(self, item: str) -> int: ...

    @staticmethod
    def restock() -> int:
        return 0

    def __len__(self) -> int:
        return 0


class Shelf(Generic[T]):
    audit: Callable[[], T]

    def sell(self) -> T: ...  # type: ignore[empty-body]


class Swapped(Protocol):
    def size(self) -> int: ...

    @property
    def sell(self) -> int: ...


def told(interface: Any, metadata: Any = METADATA) -> str:
    """What is wrong with a remote object."""
    proxy: Any = pyrolite.typed(interface, URI)
    try:
        proxy._pyroGetMetadata(known_metadata=metadata)
    except PyroError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("interface", [Shop, ShopBase, Shelf, Shelf[int]])
def test_all_is_there(interface: Any) -> None:
    """[BYD-31]: Protocols, abstract and generic classes; their private members are nobody's business."""
    assert not told(interface)


def test_what_is_missing_is_named() -> None:
    """[BYD-31]: also what is inherited, and what only has an annotation, whose meaning does not matter."""
    expected = f"remote object '{URI}' is not what BigShop promises: "
    assert told(BigShop) == expected + "'close' is missing, 'hooks' is missing, 'owner' is missing"


def test_kinds_of_members_are_compared() -> None:
    """[BYD-31]: a method is no attribute."""
    expected = "'sell' is a method there, not an attribute, 'size' is an attribute there, not a method"
    assert told(Swapped).endswith(f"promises: {expected}")


def test_proxy_that_does_not_pass_knows_no_members() -> None:
    """[BYD-31]: so that the next use of it looks again, and fails again."""
    proxy: Any = pyrolite.typed(BigShop, URI)
    for _ in range(2):
        with pytest.raises(PyroError, match="'close' is missing"):
            proxy._pyroGetMetadata(known_metadata=METADATA)
        assert proxy._pyroMethods == proxy._pyroAttrs == set()
    enough = {"methods": {"sell", "close"}, "attrs": {"size", "owner", "hooks"}, "oneway": set()}
    proxy._pyroGetMetadata(known_metadata=enough)
    assert proxy._pyroMethods == {"sell", "close"}


def test_proxy_is_returned_as_it_is() -> None:
    """[BYD-31]: a given one, and one of `Proxy` for everything else; copies stand for the interface, too."""
    proxy = pyrolite.Proxy(URI)
    assert pyrolite.typed(Shop, proxy) is proxy
    assert type(pyrolite.typed(Shop, pyrolite.URI(URI))) is pyrolite.Proxy
    twin = copy.copy(pyrolite.typed(BigShop, proxy))
    with pytest.raises(PyroError, match="'close' is missing"):
        twin._pyroGetMetadata(known_metadata=METADATA)  # type: ignore[attr-defined]


def test_only_classes_are_interfaces() -> None:
    """[BYD-31]"""
    for wrong in (len, "Shop", None, 3, lambda: None):
        with pytest.raises(TypeError, match="^expected a class or Protocol, not "):
            pyrolite.typed(wrong, URI)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="^expected Pyro URI$"):
        pyrolite.typed(Shop, 12)  # type: ignore[arg-type]
