"""For tests of programs that use pyrolite: running daemons, name servers, isolated configuration ([OV-37], [BYD-30]).

Everything here works without pytest; with pytest, the fixtures of `pyrolite.testing.plugin` are there by themselves.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyrolite.testing.leaks import LeakError, leak_check
    from pyrolite.testing.memory import MemoryConnection
    from pyrolite.testing.services import (
        RunningDaemon,
        RunningNameServer,
        restored_config,
        running_daemon,
        running_nameserver,
    )

__all__ = [
    "LeakError",
    "MemoryConnection",
    "RunningDaemon",
    "RunningNameServer",
    "leak_check",
    "restored_config",
    "running_daemon",
    "running_nameserver",
]

_MODULES: Final = {"LeakError": "leaks", "leak_check": "leaks", "MemoryConnection": "memory"}


def __getattr__(name: str) -> Any:
    """Load a name when it is used: pytest imports this package in every run, for the sake of the plugin."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'services')}"), name)
    globals()[name] = value
    return value
