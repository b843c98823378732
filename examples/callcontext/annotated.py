"""A daemon and a proxy that add annotations to all their messages, by overriding a method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyrolite

KEY = b"shared secret of client and server"


class AnnotatingDaemon(pyrolite.Daemon):
    def annotations(self) -> dict[str, Any]:
        return {**super().annotations(), "DAEM": b"from the daemon"}


class AnnotatingProxy(pyrolite.Proxy):
    def _pyroAnnotations(self) -> dict[str, Any]:
        return {**super()._pyroAnnotations(), "PRXY": b"from the proxy"}

    def _pyroResponseAnnotations(self, annotations: Mapping[str, bytes], msgtype: int) -> None:
        kind = {pyrolite.message.MSG_CONNECTOK: "connecting", pyrolite.message.MSG_RESULT: "a call"}[msgtype]
        print(f"  answer to {kind} has annotations", ", ".join(sorted(set(annotations) - {"CORR", "HMAC"})))
