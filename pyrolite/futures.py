"""Pyro4's module path of the futures; the code is in `pyrolite.core.futures`."""

from __future__ import annotations

from pyrolite.core.futures import Future, FutureResult, _ExceptionWrapper

__all__ = ["Future", "FutureResult", "_ExceptionWrapper"]
