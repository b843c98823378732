"""People who visit the warehouse; they do not care where it is."""

from __future__ import annotations

from typing import Any


class Visitor:
    def __init__(self, name: str) -> None:
        self._name = name

    def visit(self, warehouse: Any, bring: str, fetch: str) -> None:
        print(f"{self._name} visits; there are: {', '.join(warehouse.content())}")
        warehouse.store(self._name, bring)
        warehouse.take(self._name, fetch)
        print(f"{self._name} goes home with the {fetch}")
