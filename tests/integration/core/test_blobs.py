"""Serialized blobs that travel through a dispatcher (chapter 34)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import pyrolite
from pyrolite.core import SerializedBlob, current_context
from pyrolite.errors import SerializeError

PATIENCE = 10.0
SAFE = ("serpent", "json", "marshal", "msgpack")


class Receiver:
    """Where blobs end up."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.happened = threading.Event()

    @pyrolite.expose
    def receive(self, blob: Any) -> Any:
        assert isinstance(blob, SerializedBlob)
        data = blob.deserialized()
        self.received.append((blob.info, data, sorted(current_context.annotations)))
        return [blob.info, data]

    @pyrolite.expose
    @pyrolite.oneway
    def later(self, blob: Any) -> None:
        self.receive(blob)
        self.happened.set()

    @pyrolite.expose
    def give(self) -> Any:
        return SerializedBlob("info", 1)

    @pyrolite.expose
    @property
    def given(self) -> Any:
        return SerializedBlob("info", 1)

    @pyrolite.expose
    def plain(self, value: Any) -> Any:
        return value


class Dispatcher:
    """Passes blobs on without looking into them."""

    def __init__(self) -> None:
        self.target: Any = None
        self.kept: list[SerializedBlob] = []

    @pyrolite.expose
    def dispatch(self, blob: Any) -> Any:
        self.kept.append(blob)
        return self.target.receive(blob)

    @pyrolite.expose
    def keep(self, blob: Any) -> Any:
        self.kept.append(blob)
        return blob.info


class Unknown:
    """A class that only the receiver can make something of."""


@pytest.mark.parametrize("serializer", [*SAFE, "pickle"])
@pytest.mark.parametrize("data", [[1, "two", {"a": [3]}], {"a": 1}, "text", 17, None])
def test_directly(start: Any, connect: Any, serializer: str, data: Any) -> None:
    """[BLOB-1] to [BLOB-5]"""
    running = start({"receiver": Receiver()}, SERIALIZERS_ACCEPTED={serializer})
    proxy = connect(running.uris["receiver"], Serializer=serializer)
    assert proxy.receive(SerializedBlob({"topic": 1}, data)) == [{"topic": 1}, data]


@pytest.fixture
def chain(start: Any) -> Any:
    """Dispatcher and receiver on two servers, and the dispatcher's URI."""
    receiver, dispatcher = Receiver(), Dispatcher()
    last = start({"receiver": receiver}, SERIALIZERS_ACCEPTED=SAFE)
    first = start({"dispatcher": dispatcher}, SERIALIZERS_ACCEPTED=SAFE)
    with pyrolite.Proxy(last.uris["receiver"]) as target:
        target._pyroBind()
        dispatcher.target = target
        yield first.uris["dispatcher"], dispatcher, receiver


@pytest.mark.parametrize("serializer", SAFE)
@pytest.mark.parametrize("own", SAFE)
def test_forwarding(chain: Any, connect: Any, serializer: str, own: str) -> None:
    """[BLOB-3], [BLOB-14], [BLOB-15]: whatever serializer the dispatcher uses itself."""
    uri, dispatcher, receiver = chain
    dispatcher.target._pyroSerializer = own
    proxy = connect(uri, Serializer=serializer)
    current_context.annotations = {"USER": b"1"}
    assert proxy.dispatch(SerializedBlob("info", ["data"])) == ["info", ["data"]]
    # [BLOB-17]: nothing of the incoming request, but the correlation id
    assert receiver.received == [("info", ["data"], ["BLBI", "CORR"])]
    assert dispatcher.target.plain(3) == 3


def test_unknown_classes(chain: Any, connect: Any) -> None:
    """[BLOB-4], [BLOB-16]: the dispatcher does not decode anything; who does, gets the error."""
    uri, dispatcher, _ = chain
    proxy = connect(uri)
    assert proxy.keep(SerializedBlob("info", [Unknown()])) == "info"
    with pytest.raises(SerializeError, match="unsupported serialized class"):
        dispatcher.kept[0].deserialized()
    with pytest.raises(SerializeError, match="unsupported serialized class"):
        dispatcher.target.receive(dispatcher.kept[0])
    assert dispatcher.target.plain(3) == 3


def test_forwarding_later(chain: Any, connect: Any) -> None:
    """[BLOB-3]: after the request has ended, as often as wanted."""
    uri, dispatcher, receiver = chain
    proxy = connect(uri)
    proxy.keep(SerializedBlob("info", ["data"]))
    proxy._pyroRelease()
    for _ in range(3):
        assert dispatcher.target.receive(dispatcher.kept[0]) == ["info", ["data"]]
    dispatcher.target.later(dispatcher.kept[0])
    assert receiver.happened.wait(PATIENCE)
    assert len(receiver.received) == 4


def test_compressed(chain: Any, connect: Any, pyro_config: Any) -> None:
    """[BLOB-14], [BLOB-16]: as it was sent."""
    uri, dispatcher, receiver = chain
    pyro_config.COMPRESSION = True
    assert connect(uri).dispatch(SerializedBlob("info", ["x" * 5000])) == ["info", ["x" * 5000]]
    payload = dispatcher.kept[0]._data.data
    assert len(payload) < 500
    assert receiver.received[0][1] == ["x" * 5000]


def test_refused_serializer(start: Any, connect: Any) -> None:
    """[BLOB-15]: the target's normal refusal."""
    receiver, dispatcher = Receiver(), Dispatcher()
    last = start({"receiver": receiver}, SERIALIZERS_ACCEPTED=["serpent"])
    first = start({"dispatcher": dispatcher}, SERIALIZERS_ACCEPTED=SAFE)
    with pyrolite.Proxy(last.uris["receiver"]) as dispatcher.target:
        proxy = connect(first.uris["dispatcher"], Serializer="json")
        with pytest.raises(SerializeError, match="message used serializer that is not accepted: 2"):
            proxy.dispatch(SerializedBlob("info", 1))


def test_with_key(start: Any, connect: Any) -> None:
    """[BLOB-13], [BLOB-14], [WIRE-25]: each connection has its own."""
    receiver, dispatcher = Receiver(), Dispatcher()
    last = start({"receiver": receiver})
    first = start({"dispatcher": dispatcher}, hmac_key=b"key")
    with pyrolite.Proxy(last.uris["receiver"]) as dispatcher.target:
        proxy = connect(first.uris["dispatcher"], HmacKey=b"key")
        assert proxy.dispatch(SerializedBlob("info", [1])) == ["info", [1]]


def test_no_results(start: Any, connect: Any) -> None:
    """[BLOB-2]"""
    proxy = connect(start({"receiver": Receiver()}).uris["receiver"])
    with pytest.raises(SerializeError, match="(?m)^a SerializedBlob cannot be returned$"):
        proxy.give()
    with pytest.raises(SerializeError, match="(?m)^a SerializedBlob cannot be returned$"):
        _ = proxy.given
    with pytest.raises(SerializeError, match="must be the only argument"):
        proxy.plain([SerializedBlob("info", 1)])
    assert proxy.plain(3) == 3
