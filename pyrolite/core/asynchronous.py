"""Performs something in the background on behalf of the calling thread ([ASY-2], [ASY-11], [CTX-7])."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyrolite.core.background import run_in_background
from pyrolite.core.context import current_context
from pyrolite.core.futures import FutureResult, _ExceptionWrapper

__all__ = ["perform_later"]


def perform_later(function: Callable[[], Any], name: str) -> FutureResult:
    """Call ``function`` in a thread called ``name``; what it returns or raises becomes the result.

    A call that it makes carries the annotations and the correlation id of the caller, whose annotations are used up.
    """
    result = FutureResult()
    caller = current_context._state
    state = caller.for_outgoing()
    caller.forget_sent()

    def perform() -> None:
        current_context._state = state
        try:
            value = function()
        except BaseException as error:
            result.set_value(_ExceptionWrapper(error))
        else:
            result.set_value(value)

    run_in_background(perform, name=name)
    return result
