"""What the message readers accept and refuse: every entry of ``p4-invalid.json`` ([WIRE-140])."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from pyrolite import errors
from pyrolite.configuration import config
from pyrolite.core.message import Message
from pyrolite.wire.framing import FrameReader
from pyrolite.wire.message import Frame

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "p4-invalid.json").read_text())["vectors"]

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])


class OneShotConnection:
    """Gives the bytes of a vector, then the end of the stream, as a `SocketConnection` would."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.consumed = 0
        self.closed = False

    def recv(self, size: int) -> bytes:
        piece = self.data[self.consumed : self.consumed + size]
        if len(piece) < size:
            error = errors.ConnectionClosedError("receiving: not enough data")
            error.partialData = piece
            raise error
        self.consumed += size
        return piece

    def close(self) -> None:
        self.closed = True


def key_of(vector: dict[str, Any]) -> bytes | None:
    return bytes.fromhex(vector["hmac_key"]) if "hmac_key" in vector else None


def expected(vector: dict[str, Any]) -> dict[str, Any]:
    """The outcome, with pyrolite's own where it differs on purpose."""
    own = vector.get("pyrolite", {})
    outcome = {"has_pyroMsg": False, **vector, **own}
    if own.get("outcome") == "error" and vector["outcome"] == "accepted":
        # the fault is in the annotations, so the payload behind them is not read
        outcome["bytes_consumed"] -= len(vector["payload_hex"]) // 2
    return outcome


def check_error(error: Exception, outcome: dict[str, Any]) -> None:
    module, _, name = outcome["error"].rpartition(".")
    assert module in ("Pyro4.errors", "pyrolite.errors")
    assert type(error) is getattr(errors, name)
    if "pyrolite" in outcome:
        assert str(error).startswith(outcome["message"])  # the exact fault is named behind it
    else:
        assert str(error) == outcome["message"]


def check_fields(message: Any, outcome: dict[str, Any]) -> None:
    for field in ("type", "flags", "seq", "serializer_id"):
        assert getattr(message, field) == outcome[field], field
    assert [[key, bytes(value).hex()] for key, value in message.annotations.items()] == outcome["annotations"]
    assert bytes(message.data).hex() == outcome["payload_hex"]


def test_there_are_vectors() -> None:
    assert len(VECTORS) == 38
    assert len({vector["id"] for vector in VECTORS}) == 38


@each_vector
def test_recv(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """[WIRE-140] for ``Message.recv``, also how much it reads and whether it closes the connection ([WIRE-45]).

    Some forged messages are accepted, as the signature does not cover everything ([WIRE-35]).
    """
    monkeypatch.setattr(config, "MAX_MESSAGE_SIZE", vector["max_message_size"])
    connection = OneShotConnection(bytes.fromhex(vector["hex"]))
    outcome = expected(vector)
    with caplog.at_level(logging.ERROR, "pyrolite.message"):
        if outcome["outcome"] == "accepted":
            message = Message.recv(connection, vector.get("accepted_types"), key_of(vector))
            check_fields(message, outcome)
            assert message.data_size == len(message.data)
            assert message.annotations_size == sum(6 + len(value) for value in message.annotations.values())
        else:
            with pytest.raises(errors.PyroError) as caught:
                Message.recv(connection, vector.get("accepted_types"), key_of(vector))
            check_error(caught.value, outcome)
            if outcome["has_pyroMsg"]:
                message = caught.value.pyroMsg  # type: ignore[attr-defined]
                assert isinstance(message, Message)
                assert message.type == int.from_bytes(connection.data[6:8], "big")
                assert message.seq == int.from_bytes(connection.data[10:12], "big")
            else:
                assert getattr(caught.value, "pyroMsg", None) is None
    assert connection.consumed == outcome["bytes_consumed"]
    assert connection.closed == outcome["connection_closed_by_recv"]
    assert bool(caplog.records) == connection.closed


@each_vector
@pytest.mark.parametrize("step", [0, 1, 7], ids=["at-once", "bytes", "sevens"])
def test_frame_reader(vector: dict[str, Any], step: int) -> None:
    """[WIRE-140] for the incremental reader, whatever the pieces."""
    data = bytes.fromhex(vector["hex"])
    outcome = expected(vector)
    reader = FrameReader()
    frame: Frame | None = None
    try:
        for start in range(0, len(data), step or len(data)):
            assert frame is None, "complete before the end"
            reader.feed(data[start : start + (step or len(data))])
            frame = reader.next_frame(vector.get("accepted_types"), key_of(vector), vector["max_message_size"])
    except errors.PyroError as error:
        assert outcome["outcome"] == "error"
        check_error(error, outcome)
        has_message = getattr(error, "pyroMsg", None) is not None
        assert has_message == outcome["has_pyroMsg"]
        return
    if outcome["outcome"] == "accepted":
        assert frame is not None
        check_fields(frame, outcome)
        assert reader.buffered == 0
    else:  # the end of the stream is no matter of the reader: it waits for more
        assert outcome["error"] == "Pyro4.errors.ConnectionClosedError"
        assert frame is None
        assert reader.buffered == len(data)
        assert reader.take(len(data)) == data
