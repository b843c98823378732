"""The exception classes ([ERR-1] to [ERR-4])."""

from __future__ import annotations

import builtins
import copy
import pickle
import socket

import pytest

from pyrolite import errors
from pyrolite.wire import v48
from pyrolite.wire.framing import FrameReader

TREE = {
    "PyroError": Exception,
    "CommunicationError": errors.PyroError,
    "ConnectionClosedError": errors.CommunicationError,
    "TimeoutError": errors.CommunicationError,
    "ProtocolError": errors.CommunicationError,
    "MessageTooLargeError": errors.ProtocolError,
    "SerializeError": errors.ProtocolError,
    "RemoteError": errors.SerializeError,
    "NamingError": errors.PyroError,
    "DaemonError": errors.PyroError,
    "SecurityError": errors.PyroError,
}


def test_tree() -> None:
    """[ERR-1], [OV-21], [BYD-40] Each class has the one base that it should have."""
    assert sorted(errors.__all__) == sorted(TREE)
    for name, base in TREE.items():
        assert getattr(errors, name).__bases__ == (base,)


def test_timeout_is_not_the_builtin() -> None:
    """[ERR-2] Who catches OSError does not catch a timeout of a call."""
    assert errors.TimeoutError is not builtins.TimeoutError
    assert errors.TimeoutError is not socket.timeout
    assert not issubclass(errors.TimeoutError, OSError)


@pytest.mark.parametrize("name", sorted(TREE))
@pytest.mark.parametrize("arguments", [(), ("text",), ("text", 5, None)])
def test_arguments(name: str, arguments: tuple[object, ...]) -> None:
    """[ERR-3] Any arguments; copies and pickles are the same, with their attributes."""
    error = getattr(errors, name)(*arguments)
    error.extra = "attribute"
    for other in (copy.copy(error), *(pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6))):
        assert type(other) is type(error)
        assert other.args == arguments
        assert other.extra == "attribute"


def test_what_errors_carry() -> None:
    """[ERR-4] Partial data and the message are there from the beginning."""
    assert errors.ConnectionClosedError().partialData == b""
    assert errors.TimeoutError().partialData == b""
    assert errors.ProtocolError().pyroMsg is None
    assert errors.SecurityError().pyroMsg is None
    remote = errors.RemoteError("unsupported serialized class: m.C")
    assert (remote.class_name, remote.remote_args, remote.remote_traceback) == ("", (), [])


def test_message_of_a_protocol_error() -> None:
    """[ERR-4] An error raised while reading a message has its header."""
    reader = FrameReader()
    reader.feed(b"".join(v48.encode(4, 0, 4711, 3, b"x" * 100)))
    with pytest.raises(errors.MessageTooLargeError) as caught:
        reader.next_frame(max_size=50)
    assert caught.value.pyroMsg.seq == 4711
