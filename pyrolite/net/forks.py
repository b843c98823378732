"""Tells whether this process was forked off since something was made ([HRD-33], [BYD-37])."""

from __future__ import annotations

import os

__all__ = ["generation"]

#: Number of forks between the first process and this one. What remembers another number belongs to a parent process.
generation: int = 0


def _in_child() -> None:
    global generation  # noqa: PLW0603 - it is a property of the process
    generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
