"""Nothing of one client reaches another one ([HRD-26] to [HRD-31], [SEC-51])."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from pyrolite import current_context
from pyrolite.errors import PyroError
from pyrolite.serializers import get_serializer
from pyrolite.wire.message import FLAGS_ONEWAY, MSG_CONNECT, MSG_INVOKE, MSG_PING

from .harness import RawClient, Server, eventually


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """With one worker, whose thread serves all clients in turn."""
    return start_server(THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1, ONEWAY_POOL_SIZE=1)


def answers_of(client: RawClient) -> list[set[str]]:
    """Ids of the annotations of all kinds of answers that a client may get."""
    found = []
    client.send(client.greeting())
    found.append(set(client.receive().annotations))
    for method, arguments in (("echo", (1,)), ("fail", ("value",)), ("numbers", (2,))):
        client.send(client.invocation(method, *arguments))
        found.append(set(client.receive().annotations))
    client.send(client.message(MSG_PING, b"ping", serializer=42))
    found.append(set(client.receive().annotations))
    return found


@pytest.mark.parametrize("leaver", ["success", "failure", "oneway", "vanished", "denied", "batch"])
def test_response_annotations(server: Server, leaver: str) -> None:
    """[HRD-26], [WIRE-28]: what a method wanted to be sent with its answer goes to nobody else, also if it failed."""
    client = server.client()
    secret = {"SCRT": "for one client only"}
    if leaver == "oneway":
        client.send(client.invocation("oneway_with", secret, flags=FLAGS_ONEWAY))
        client.call("echo", 1)
    elif leaver == "vanished":
        client.send(client.invocation("answer_with", secret))
        client.vanish()
    elif leaver == "denied":
        client.call("answer_with", secret)
        newcomer = server.connect()
        newcomer.send(newcomer.message(MSG_CONNECT, b"garbage"))
        assert "SCRT" not in newcomer.receive().annotations
    elif leaver == "batch":
        payload = get_serializer("serpent").dumpsCall("target", "<batch>", [("answer_with", (secret, True), {})], None)
        client.send(client.message(MSG_INVOKE, bytes(payload), flags=8))
        client.receive()
    else:
        client.send(client.invocation("answer_with", secret, leaver == "failure"))
        assert ("SCRT" in client.receive().annotations) is (leaver == "success")
    for ids in answers_of(server.connect()):
        assert ids <= {"CORR", "STRM"}
    if leaver != "vanished":
        client.send(client.invocation("echo", 1))
        assert "SCRT" not in client.receive().annotations


def test_request_annotations_and_correlation(server: Server) -> None:
    """[HRD-26], [WIRE-29]: the next client of the same thread sees neither, nor does the next call."""
    first, second = server.client(), server.client()
    correlation = uuid.uuid4()
    call = get_serializer("serpent").dumpsCall("target", "context", (), {})
    annotations = {"MINE": b"secret", "CORR": correlation.bytes}
    first.send(first.message(MSG_INVOKE, bytes(call), annotations=annotations))
    seen = first.result()
    assert seen["annotations"]["MINE"] == b"secret".hex()
    assert seen["correlation"] == str(correlation)
    for client in (second, first, server.client()):
        client.send(client.message(MSG_INVOKE, bytes(call)))
        frame = client.receive()
        seen = get_serializer("serpent").loads(frame.data)
        assert not set(seen["annotations"]) - {"CORR"}
        assert seen["responses"] == []
        assert seen["correlation"] not in {str(correlation), "None"}
        assert frame.annotations["CORR"] != correlation.bytes


def test_correlation_of_a_refused_handshake(server: Server) -> None:
    """[WIRE-29]: an answer to an unreadable CONNECT carries no correlation id of an earlier client."""
    first = server.connect()
    correlation = uuid.uuid4().bytes
    first.send(first.message(MSG_CONNECT, b"{'handshake':'hello'}", annotations={"CORR": correlation}))
    assert first.receive().annotations["CORR"] == correlation
    stranger = server.connect()
    stranger.send(stranger.message(MSG_PING, b"ping", serializer=42))
    assert "CORR" not in stranger.receive().annotations


def test_context_of_a_client_thread(server: Server) -> None:
    """[PRX-46]: threads of one client do not see each other's annotations."""
    with server.proxy() as proxy:
        seen: list[dict[str, Any]] = []

        def other() -> None:
            seen.append(proxy.context())

        current_context.annotations = {"MINE": b"x"}
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert "MINE" in proxy.context()["annotations"]
        assert "MINE" not in seen[0]["annotations"]


def stream_of(client: RawClient, count: int = 5) -> str:
    client.send(client.invocation("numbers", count))
    return client.receive().annotations["STRM"].decode()


def next_item(client: RawClient, stream: str) -> Any:
    return client.call("get_next_stream_item", stream, target="Pyro.Daemon")


def test_streams_of_others(server: Server) -> None:
    """[HRD-27], [STR-9]: a stream belongs to its connection; ids that somebody found out are of no use to others."""
    owner = server.client()
    stream = stream_of(owner)
    assert next_item(owner, stream) == 0
    # from another address, which is what tells peers apart
    sock = socket.create_connection(server.address, 10, ("127.0.0.2", 0))
    thief = RawClient(sock).handshake()
    assert isinstance(next_item(thief, stream), PyroError)
    thief.call("close_stream", stream, target="Pyro.Daemon")
    assert next_item(owner, stream) == 1
    assert isinstance(next_item(thief, "x" * 36), PyroError)
    owner.close()
    eventually(lambda: server.command("stats")["connections_open"] == 1)
    sock.close()


def test_streams_of_neighbours(start_server: Callable[..., Server]) -> None:
    """[HRD-27]: not even another client on the same machine gets an item, until the owner is gone."""
    server = start_server(ITER_STREAM_LINGER=30)
    owner, thief = server.client(), server.client()
    stream = stream_of(owner)
    for number in range(3):
        assert isinstance(next_item(thief, stream), PyroError)
        assert next_item(owner, stream) == number
    owner.close()  # and at once, before the server has noticed:
    assert next_item(thief, stream) == 3


def test_items_for_two_at_once(start_server: Callable[..., Server]) -> None:
    """[HRD-27]: two connections that ask for an ownerless stream do not break the generator; no item comes twice."""
    server = start_server()
    owner, first, second = server.client(), server.client(), server.client()
    owner.send(owner.invocation("pause", 0.05))
    stream = owner.receive().annotations["STRM"].decode()
    owner.close()
    calls = [client.invocation("get_next_stream_item", stream, target="Pyro.Daemon") for client in (first, second)]
    items: list[Any] = []
    for _ in range(2):
        first.send(calls[0])
        second.send(calls[1])
        for client in (first, second):
            frame = client.receive()
            items.append(get_serializer("serpent").loads(frame.data))
    numbers = [item for item in items if isinstance(item, int)]
    assert sorted(numbers) == sorted(set(numbers))
    assert all(isinstance(item, (int, PyroError, StopIteration)) for item in items)
    server.is_well()


def test_session_objects(server: Server) -> None:
    """[HRD-31]: each client has its own, also when it is false; another client never meets it."""
    with server.proxy("empty") as first, server.proxy("empty") as second:
        assert [first.add(number) for number in range(3)] == [1, 2, 3]
        assert second.add("x") == 1
        assert first.add("y") == 4
    with server.proxy("empty") as third:
        assert third.add("z") == 1


def test_false_single_object(server: Server) -> None:
    """[HRD-31]: the only object is the same one for all, also when it is false."""
    for number in range(1, 4):
        with server.proxy("empty-single") as proxy:
            assert proxy.add(number) == number


def test_resources_of_session_objects(server: Server) -> None:
    """[HRD-30]: resources that only the session object holds are closed before it is released."""
    for number in range(1, 4):
        client = server.client()
        client.call("hold", target="holder")
        client.vanish()
        with server.proxy("holder") as proxy:
            deadline = time.monotonic() + 5
            while proxy.how_many() < number:
                assert time.monotonic() < deadline
            assert proxy.how_many() == number


def test_unexposed_properties_do_not_run(server: Server) -> None:
    """[HRD-28], [SEC-13]: naming one, as a method or an attribute, in a batch or oneway, does not run it."""
    client = server.client()
    for method, arguments in (
        ("secret", ()),
        ("__getattr__", ("secret",)),
        ("__setattr__", ("secret", 1)),
        ("__class__", ()),
        ("__init__", ()),
        ("runs", ()),
        ("__getattr__", ("runs",)),
        ("__getattr__", ("how_often",)),
        ("how_often.__func__", ()),
    ):
        assert isinstance(client.call(method, *arguments, target="hidden"), Exception), method
        client.send(client.invocation(method, *arguments, target="hidden", flags=FLAGS_ONEWAY))
    payload = get_serializer("serpent").dumpsCall("hidden", "<batch>", [("secret", (), {})], None)
    client.send(client.message(MSG_INVOKE, bytes(payload), flags=8))
    client.receive()
    assert client.call("how_often", target="hidden") == 0
    metadata = client.call("get_metadata", "hidden", target="Pyro.Daemon")
    assert {kind: set(names) for kind, names in metadata.items()} == {
        "methods": {"how_often"},
        "oneway": set(),
        "attrs": set(),
    }
    with server.proxy("hidden") as proxy:
        for use in (lambda: proxy.secret, lambda: setattr(proxy, "secret", 1), lambda: proxy.secret()):
            with pytest.raises(AttributeError):
                use()
    assert client.call("how_often", target="hidden") == 0
