"""A client that has only what `pyrolite.stubs` writes: the test puts that into the module `made`."""

from __future__ import annotations

from made import Shop

import pyrolite

with pyrolite.Proxy("PYRONAME:example.shop") as proxy:
    shop = pyrolite.typed(Shop, proxy)
    bought: int = shop.buy("apple", count=2)
    shop.owner = "me"
    names: list[str] = [name.upper() for name in shop.items()]
    shop.audit(thorough=True)
    shop.buy(2)  # wrong: arg-type reportArgumentType
    shop.sell("apple")  # wrong: attr-defined reportAttributeAccessIssue
    shop.owner = 3  # wrong: assignment reportAttributeAccessIssue
