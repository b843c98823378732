"""Tools as processes, and at a terminal."""

from __future__ import annotations

from ..naming.conftest import free_port, servertype, start_tool

__all__ = ["free_port", "servertype", "start_tool"]
