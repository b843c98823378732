"""What the server half of `core` needs of the client half; the package fills it in, since the halves are separate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["locate_nameserver", "make_proxy"]


def _missing(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("import pyrolite.core, not one of its modules alone")


#: Makes a `Proxy` for a URI.
make_proxy: Callable[..., Any] = _missing
#: `locateNS`.
locate_nameserver: Callable[..., Any] = _missing
