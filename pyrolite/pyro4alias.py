"""Lets ``import Pyro4`` give pyrolite, for programs that were written for Pyro4 ([OV-7])."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final, cast

__all__ = ["install_as_Pyro4"]

_ALIAS: Final = "Pyro4"
_REAL: Final = "pyrolite"


class _AliasLoader:
    """Loads ``Pyro4.X`` by importing ``pyrolite.X``.

    The abstract base classes of `importlib.abc` would take longer to import than all of this package's aliases.
    """

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # the import system gives out what stands in sys.modules afterwards: the very module, not a copy of it
        name = module.__name__
        sys.modules[name] = importlib.import_module(_REAL + name[len(_ALIAS) :])


class _AliasFinder:
    """Finds the modules below ``Pyro4`` that exist below ``pyrolite``, when somebody imports them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_ALIAS + "."):
            return None
        real = importlib.util.find_spec(_REAL + fullname[len(_ALIAS) :])
        if real is None:
            return None
        return ModuleSpec(fullname, cast("Any", _AliasLoader()), is_package=real.submodule_search_locations is not None)


def install_as_Pyro4() -> None:
    """Make ``import Pyro4`` and ``import Pyro4.X`` give pyrolite's modules in this process; may be repeated.

    Raises:
        RuntimeError: the real Pyro4 has been imported already.

    Thread safety: to be called before other threads import anything of Pyro4.
    """
    real = sys.modules[_REAL]
    present = sys.modules.get(_ALIAS)
    if present is real:
        return
    if present is not None:
        raise RuntimeError(
            "Pyro4 has been imported in this process already; call install_as_Pyro4() before anything imports it"
        )
    sys.modules[_ALIAS] = real
    sys.meta_path.insert(0, cast("Any", _AliasFinder()))
