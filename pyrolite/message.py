"""Pyro4's module path of messages; the code is in `pyrolite.core.message` and `pyrolite.wire` ([OV-24])."""

from __future__ import annotations

from typing import Final

from pyrolite.core.message import Message, secure_compare
from pyrolite.wire import message as _facts

__all__ = ["Message", "secure_compare"]

MSG_CONNECT: Final = _facts.MSG_CONNECT
MSG_CONNECTOK: Final = _facts.MSG_CONNECTOK
MSG_CONNECTFAIL: Final = _facts.MSG_CONNECTFAIL
MSG_INVOKE: Final = _facts.MSG_INVOKE
MSG_RESULT: Final = _facts.MSG_RESULT
MSG_PING: Final = _facts.MSG_PING
FLAGS_EXCEPTION: Final = _facts.FLAGS_EXCEPTION
FLAGS_COMPRESSED: Final = _facts.FLAGS_COMPRESSED
FLAGS_ONEWAY: Final = _facts.FLAGS_ONEWAY
FLAGS_BATCH: Final = _facts.FLAGS_BATCH
FLAGS_META_ON_CONNECT: Final = _facts.FLAGS_META_ON_CONNECT
FLAGS_ITEMSTREAMRESULT: Final = _facts.FLAGS_ITEMSTREAMRESULT
FLAGS_KEEPSERIALIZED: Final = _facts.FLAGS_KEEPSERIALIZED
