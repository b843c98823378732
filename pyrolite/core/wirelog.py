"""The log lines of LOGWIRE: every message that is sent or received ([WIRE-126], [LOG-9])."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pyrolite import lazily
from pyrolite.pieces import Pieces
from pyrolite.wire import v48
from pyrolite.wire.message import ANNOTATION_CORRELATION, ANNOTATION_HMAC, Frame, Payload

if TYPE_CHECKING:
    import uuid
else:
    uuid = lazily.module("uuid", globals())

__all__ = ["log_frame", "log_sent"]

log: logging.Logger = logging.getLogger("pyrolite.core")

#: Longer payloads are cut in the log, in bytes.
_LONGEST: Final = 4096


def log_frame(text: str, frame: Frame) -> None:
    """Log a received message."""
    if log.isEnabledFor(logging.DEBUG):
        _log(text, frame.type, frame.flags, frame.serializer_id, frame.seq, frame.annotations, frame.data)


def log_sent(text: str, parts: tuple[bytes, Payload]) -> None:
    """Log a message that is going to be sent, given as (header and annotations, payload)."""
    if log.isEnabledFor(logging.DEBUG):
        head, data = parts
        kind, flags, seq, _, serializer_id, _ = v48.parse_header(head)
        _log(text, kind, flags, serializer_id, seq, v48.parse_annotations(head[v48.HEADER_SIZE :]), data)


def _log(
    text: str, kind: int, flags: int, serializer_id: int, seq: int, annotations: Mapping[str, Any], payload: Payload
) -> None:
    correlation = annotations.get(ANNOTATION_CORRELATION, b"")
    shown = {
        key: f"<{len(value)} bytes>" if key == ANNOTATION_HMAC else bytes(value) for key, value in annotations.items()
    }
    data = bytes(payload) if type(payload) is Pieces else payload
    start = repr(bytes(data[:_LONGEST]))
    if len(data) > _LONGEST:
        start += f"... ({len(data)} bytes)"
    log.debug(
        "%s: msgtype=%d flags=0x%x ser=%d seq=%d corr=%s\nannotations=%r\ndata=%s",
        text,
        kind,
        flags,
        serializer_id,
        seq,
        uuid.UUID(bytes=bytes(correlation)) if len(correlation) == 16 else "?",
        shown,
        start,
    )
