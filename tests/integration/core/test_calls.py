"""Calls, attributes, errors, metadata: a proxy and a daemon, over loopback."""

from __future__ import annotations

import copy
import datetime
import decimal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import pyrolite
from pyrolite.core import current_context
from pyrolite.errors import (
    CommunicationError,
    ConnectionClosedError,
    DaemonError,
    MessageTooLargeError,
    ProtocolError,
    PyroError,
    SecurityError,
    SerializeError,
    TimeoutError,  # noqa: A004
)
from pyrolite.message import Message

SAFE = ("serpent", "json", "marshal", "msgpack")
ALL = (*SAFE, "pickle", "cloudpickle", "dill")
PATIENCE = 10.0


@pyrolite.expose
class Thing:
    """What the clients of these tests talk to."""

    def __init__(self) -> None:
        self._size = 3
        self.calls: list[Any] = []
        self.entered = threading.Event()
        self.leave = threading.Event()

    def echo(self, *args: Any, **kwargs: Any) -> Any:
        return [list(args), kwargs] if kwargs else list(args)

    def identity(self, value: Any) -> Any:
        return value

    def make(self, size: int) -> str:
        return "x" * size

    def fail(self, error: Any) -> None:
        self.calls.append("fail")
        raise error

    @pyrolite.oneway
    def later(self, value: Any) -> None:
        self.calls.append(value)
        self.entered.set()

    def wait(self) -> str:
        self.entered.set()
        assert self.leave.wait(PATIENCE)
        return "waited"

    def context(self) -> list[Any]:
        return [
            current_context.seq,
            current_context.client_sock_addr,
            str(current_context.correlation_id),
            sorted(current_context.annotations),
        ]

    def me(self) -> Any:
        return self

    @pyrolite.callback
    def fail_callback(self) -> None:
        raise ValueError("in a callback")

    @property
    def size(self) -> int:
        return self._size

    @size.setter
    def size(self, value: int) -> None:
        self._size = value

    @property
    def fixed(self) -> int:
        return 7

    def __len__(self) -> int:
        return 11


@pytest.fixture
def thing() -> Thing:
    return Thing()


@pytest.fixture
def uri(start: Any, thing: Thing) -> Any:
    return start({"thing": thing}, SERIALIZERS_ACCEPTED=ALL).uris["thing"]


# ---- calls


@pytest.mark.parametrize("serializer", ALL)
def test_calls(uri: Any, connect: Any, serializer: str) -> None:
    """[OV-1], [WIRE-60], [WIRE-70], [WIRE-73]: with every serializer."""
    proxy = connect(uri, Serializer=serializer)
    assert proxy.echo(1, "zwei", None) == [1, "zwei", None]
    assert proxy.echo(1, k=[2, {"a": 3.5}]) == [[1], {"k": [2, {"a": 3.5}]}]
    assert proxy.size == 3
    proxy.size = 4
    assert proxy.size == 4
    with pytest.raises(ZeroDivisionError, match="(?m)^x$") as raised:
        proxy.fail(ZeroDivisionError("x"))
    assert any("ZeroDivisionError" in line for line in raised.value._pyroTraceback)


@pytest.mark.parametrize("size", [0, 1, 100, 65_000, 66_000, 1_000_000, 10_000_000])
def test_sizes(uri: Any, connect: Any, size: int) -> None:
    """[WIRE-1], [WIRE-6]"""
    proxy = connect(uri, Serializer="marshal")
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert proxy.identity(data) == data


@pytest.mark.parametrize("value", [datetime.datetime(2020, 1, 2, 3, 4, 5), decimal.Decimal("1.5"), uuid.UUID(int=5)])
def test_other_types(uri: Any, connect: Any, value: Any) -> None:
    """[OV-1]: pickled values arrive as they are."""
    assert connect(uri, Serializer="pickle").identity(value) == value


def test_dunder_methods(uri: Any, connect: Any) -> None:
    """[PRX-10]"""
    proxy = connect(uri)
    assert proxy.__len__() == 11
    with pytest.raises(TypeError):
        len(proxy)


def test_unknown_members(uri: Any, connect: Any) -> None:
    """[PRX-17], [PRX-18], [PRX-19]"""
    proxy = connect(uri)
    assert hasattr(proxy, "echo")
    assert hasattr(proxy, "size")
    assert not hasattr(proxy, "unknown")
    with pytest.raises(
        AttributeError, match=f"(?m)^remote object '{uri}' has no exposed attribute or method 'unknown'$"
    ):
        proxy.unknown()
    for name in ("unknown", "echo"):
        with pytest.raises(AttributeError, match=f"(?m)^remote object '{uri}' has no exposed attribute '{name}'$"):
            setattr(proxy, name, 1)
    with pytest.raises(AttributeError, match="(?m)^attempt to access unexposed or unknown remote attribute 'fixed'$"):
        proxy.fixed = 8
    with pytest.raises(AttributeError, match="(?m)^'Thing' object has no attribute 'echo.more'$"):
        proxy.echo.more()
    assert proxy.echo(1) == [1]


def test_unreachable_servers(connect: Any) -> None:
    """[PRX-17], [PRX-31], [WIRE-67]"""
    with pytest.raises(CommunicationError):
        hasattr(connect("PYRO:thing@127.0.0.1:1"), "x")
    for uri, start, cause in (
        ("PYRO:x@127.0.0.1:1", "cannot connect to ('127.0.0.1', 1): [Errno 111] Connection refused", OSError),
        ("PYRO:x@./u:/nonexistent/socket", "cannot connect to /nonexistent/socket: [Errno 2] No such file", OSError),
        ("PYRO:x@127.0.0.1:99999", "cannot connect to ('127.0.0.1', 99999): ", OverflowError),
        ("PYRO:x@no.such.host.invalid:5", "cannot connect to ('no.such.host.invalid', 5): ", OSError),
    ):
        with pytest.raises(CommunicationError) as raised:
            connect(uri)._pyroBind()
        assert type(raised.value) is CommunicationError
        assert str(raised.value).startswith(start)
        assert isinstance(raised.value.__cause__, cause)


def test_errors_keep_the_connection(uri: Any, connect: Any) -> None:
    """[WIRE-84], [WIRE-123], [DMN-57], [PRX-38], [HRD-24]: sessions survive whatever the method raises."""
    proxy = connect(uri)
    proxy._pyroBind()
    connection = proxy._pyroConnection
    for error in (
        ValueError("a"),
        CommunicationError("b"),
        ConnectionClosedError("c"),
        TimeoutError("d"),
        ProtocolError("e"),
        SecurityError("f"),
        SerializeError("g"),
        MessageTooLargeError("h"),
        DaemonError("i"),
    ):
        with pytest.raises(type(error)) as raised:
            proxy.fail(error)
        assert type(raised.value) is type(error)
        assert proxy._pyroConnection is connection
        assert proxy.echo(1) == [1]


def test_callback_methods(uri: Any, connect: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[WIRE-84], [HRD-24]: answered; a warning in the server's log; the connection stays."""
    proxy = connect(uri)
    proxy._pyroBind()
    connection = proxy._pyroConnection
    with pytest.raises(ValueError, match="(?m)^in a callback$"):
        proxy.fail_callback()
    assert proxy.echo(1) == [1]
    assert proxy._pyroConnection is connection
    assert [r.name for r in caplog.records if r.levelname == "WARNING"] == ["pyrolite.core"]


def test_retried_remote_errors(uri: Any, connect: Any, thing: Thing) -> None:
    """[PRX-35]: remote errors of these classes are retried as well, since nobody can tell the difference."""
    proxy = connect(uri, MaxRetries=2)
    with pytest.raises(TimeoutError):
        proxy.fail(TimeoutError("x"))
    assert thing.calls == ["fail"] * 3


def test_oneway(uri: Any, connect: Any, thing: Thing) -> None:
    """[PRX-28], [DMN-63]"""
    proxy = connect(uri)
    assert proxy.later(5) is None
    assert thing.entered.wait(PATIENCE)
    assert thing.calls == [5]
    proxy._pyroOneway.add("wait")
    assert proxy.wait() is None
    thing.leave.set()
    assert proxy.echo(1) == [1]
    with pytest.raises(AttributeError):
        proxy.unknown()


def test_session_of_messages(uri: Any, connect: Any) -> None:
    """[WIRE-12], [PRX-39], [WIRE-14]: numbers go on over reconnects, and from 0xffff to 0."""
    proxy = connect(uri)
    assert [proxy.context()[0] for _ in range(2)] == [1, 2]
    proxy._pyroRelease()
    assert proxy.context()[0] == 3
    proxy._pyroSeq = 65534
    assert [proxy.context()[0] for _ in range(3)] == [65535, 0, 1]


def test_ping(uri: Any, connect: Any) -> None:
    """[OV-25], [WIRE-120]"""
    proxy = connect(uri)
    proxy._pyroBind()
    Message.ping(proxy._pyroConnection)
    assert proxy.echo(1) == [1]
    connection = proxy._pyroConnection
    proxy._pyroRelease()
    with pytest.raises(ConnectionClosedError):
        Message.ping(connection)


def test_raw_response(uri: Any, connect: Any) -> None:
    """[PRX-27], [WIRE-127]"""
    proxy = connect(uri, RawWireResponse=True)
    proxy._pyroMethods = {"echo", "fail"}
    message = proxy.echo(1)
    assert isinstance(message, Message)
    assert bytes(message.data).endswith(b"[1]")
    assert proxy.fail(ValueError("x")).flags == 1


# ---- sizes and compression


def test_limit_of_the_client(start: Any, connect: Any, thing: Thing, pyro_config: Any) -> None:
    """[WIRE-43], [WIRE-44]"""
    proxy = connect(start({"thing": thing}, MAX_MESSAGE_SIZE=0).uris["thing"])
    pyro_config.MAX_MESSAGE_SIZE = 2000
    proxy._pyroBind()
    connection = proxy._pyroConnection
    with pytest.raises(MessageTooLargeError, match=r"^max message size exceeded \(\d+ where max=2000\)$"):
        proxy.echo("x" * 3000)
    assert proxy.echo(1) == [1]
    assert proxy._pyroConnection is connection
    with pytest.raises(MessageTooLargeError):
        proxy.fail(ValueError("x" * 1900))


def test_limit_of_the_server(start: Any, connect: Any, thing: Thing) -> None:
    """[WIRE-44], [WIRE-45], [HRD-6], [HRD-25]: the caller is told, also when the request was too large."""
    proxy = connect(start({"thing": thing}, MAX_MESSAGE_SIZE=5000).uris["thing"])
    proxy._pyroBind()
    connection = proxy._pyroConnection
    with pytest.raises(MessageTooLargeError, match="where max=5000"):
        proxy.make(5000)
    assert proxy._pyroConnection is connection
    for size in (6_000, 5_000_000):
        with pytest.raises(MessageTooLargeError, match="where max=5000"):
            proxy.echo("x" * size)
        assert proxy._pyroConnection is None  # the server has hung up
        assert proxy.echo(1) == [1]


def test_compression(start: Any, connect: Any, thing: Thing, pyro_config: Any) -> None:
    """[WIRE-40], [WIRE-41]: each side as it likes."""
    for server, client in ((True, False), (False, True), (True, True)):
        uri = start({f"thing{server}{client}": Thing()}, COMPRESSION=server).uris[f"thing{server}{client}"]
        pyro_config.COMPRESSION = client
        proxy = connect(uri, Handshake="y" * 500)
        assert proxy.identity("x" * 100_000) == "x" * 100_000
        with pytest.raises(ValueError, match="(?m)^x+$"):
            proxy.fail(ValueError("x" * 1000))


# ---- metadata


def test_metadata(uri: Any, connect: Any) -> None:
    """[PRX-17], [PRX-24], [WIRE-62]"""
    proxy = connect(uri)
    assert proxy._pyroMethods == set()
    proxy._pyroGetMetadata()
    assert {"echo", "later", "__len__"} <= proxy._pyroMethods
    assert proxy._pyroAttrs == {"size", "fixed"}
    assert proxy._pyroOneway == {"later"}
    proxy._pyroMethods = {"invented"}
    proxy._pyroGetMetadata()
    assert "invented" not in proxy._pyroMethods
    proxy._pyroGetMetadata("Pyro.Daemon")
    assert "registered" in proxy._pyroMethods


@pytest.mark.parametrize("serializer", ALL)
def test_metadata_by_a_call(uri: Any, connect: Any, pyro_config: Any, serializer: str) -> None:
    """[WIRE-124], [PRX-24], [DMN-81]: sets or lists, whatever the serializer makes of them."""
    pyro_config.METADATA = False
    proxy = connect(uri, Serializer=serializer)
    proxy._pyroBind()
    pyro_config.METADATA = True
    assert proxy.size == 3
    assert proxy._pyroOneway == {"later"}


def test_without_metadata(uri: Any, connect: Any, pyro_config: Any) -> None:
    """[PRX-20], [WIRE-60]"""
    pyro_config.METADATA = False
    proxy = connect(uri)
    assert proxy.echo(1) == [1]
    assert proxy._pyroMethods == set()
    with pytest.raises(AttributeError, match="(?m)^'Thing' object has no attribute 'unknown'$"):
        proxy.unknown()
    with pytest.raises(AttributeError, match="(?m)^attempt to access private attribute '_size'$"):
        proxy._size()
    proxy.size = "local"
    assert proxy.size == "local"


class Bare:
    def method(self) -> None:
        pass


def test_nothing_exposed(start: Any, connect: Any) -> None:
    """[PRX-25], [DMN-81]: the connection does not stay open."""
    proxy = connect(start({"bare": Bare()}).uris["bare"])
    with pytest.raises((PyroError, CommunicationError), match="Did you forget setting @expose on them"):
        proxy.method()
    assert proxy._pyroConnection is None


def test_everything_exposed(start: Any, connect: Any) -> None:
    """[EXP-14]"""
    proxy = connect(start({"bare": Bare()}, REQUIRE_EXPOSE=False).uris["bare"])
    assert proxy.method() is None


def test_late_exposure(start: Any, connect: Any) -> None:
    """[EXP-10]: seen by new connections after the cache was reset."""

    @pyrolite.expose
    class Growing:
        def first(self) -> int:
            return 1

    thing = Growing()
    running = start({"growing": thing})
    proxy = connect(running.uris["growing"])
    assert proxy.first() == 1
    Growing.second = pyrolite.expose(lambda self: 2)  # type: ignore[attr-defined]
    running.daemon.resetMetadataCache(thing)
    assert not hasattr(proxy, "second")
    proxy._pyroGetMetadata("growing")
    assert proxy.second() == 2


# ---- objects as values


@pytest.mark.parametrize("serializer", ALL)
def test_autoproxy(start: Any, connect: Any, thing: Thing, serializer: str) -> None:
    """[DMN-25], [DMN-27], [SER-63]"""
    running = start({"thing": thing}, SERIALIZERS_ACCEPTED=ALL)
    proxy = connect(running.uris["thing"], Serializer=serializer)
    with proxy.me() as again:
        assert type(again) is pyrolite.Proxy
        assert again == proxy
        assert again.echo(1) == [1]


def test_proxies_as_arguments(start: Any, connect: Any) -> None:
    """[PRX-15], [SEC-23]: a server calls back with a proxy that it was given."""

    @pyrolite.expose
    class Caller:
        def call(self, other: Any) -> Any:
            with other:
                return other.echo("from the server")

    thing, caller = Thing(), Caller()
    server, back = start({"caller": caller}), start({"thing": thing})
    proxy = connect(server.uris["caller"])
    assert proxy.call(pyrolite.Proxy(back.uris["thing"])) == ["from the server"]
    assert proxy.call(thing) == ["from the server"]


# ---- the life of connections


def test_bind_and_release(uri: Any, connect: Any) -> None:
    """[PRX-2], [PRX-7], [PRX-11], [PRX-34], [PRX-37]"""
    proxy = connect(uri)
    assert "; not connected; " in repr(proxy)
    assert proxy._pyroBind() is True
    assert proxy._pyroBind() is False
    assert "; connected IPv4; " in repr(proxy)
    assert proxy._pyroConnection.objectId == "thing"
    proxy._pyroRelease()
    proxy._pyroRelease()
    assert "; not connected; " in repr(proxy)
    with proxy:
        assert proxy.echo(1) == [1]
    assert proxy._pyroConnection is None
    with proxy:
        assert proxy.echo(2) == [2]


def test_collected_proxies(start: Any, thing: Thing, eventually: Any) -> None:
    """[PRX-12]: their connections end."""
    running = start({"thing": thing})
    proxy = pyrolite.Proxy(running.uris["thing"])
    assert proxy.echo(1) == [1]
    assert running.daemon.stats()["connections_open"] == 1
    del proxy
    eventually(lambda: running.daemon.stats()["connections_open"] == 0)


def test_one_connection_for_many_threads(start: Any, connect: Any, thing: Thing) -> None:
    """[PRX-42], [OV-42]"""
    running = start({"thing": thing})
    proxy = connect(running.uris["thing"])
    barrier = threading.Barrier(20)

    def bind(_: int) -> bool:
        barrier.wait(PATIENCE)
        return proxy._pyroBind()

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(bind, range(20))) == 1
        assert list(pool.map(proxy.identity, range(200))) == list(range(200))
    assert running.daemon.stats()["connections_total"] == 1


def test_copies_are_independent(start: Any, connect: Any, thing: Thing) -> None:
    """[PRX-13], [PRX-42]: parallel calls."""
    proxy = connect(start({"thing": thing}, servertype="thread").uris["thing"])
    other = copy.copy(proxy)
    with ThreadPoolExecutor(1) as pool, other:
        waiting = pool.submit(proxy.wait)
        assert thing.entered.wait(PATIENCE)
        assert other.echo(1) == [1]
        thing.leave.set()
        assert waiting.result(PATIENCE) == "waited"


def test_copies_of_proxies_whose_server_is_gone(start: Any, connect: Any) -> None:
    """[PRX-14]"""
    proxy = connect("PYRO:thing@127.0.0.1:1")
    assert copy.deepcopy({"a": proxy})["a"] == proxy


def test_timeout(start: Any, connect: Any, thing: Thing) -> None:
    """[PRX-30], [PRX-38]: the connection is dropped, so that the late answer meets nobody."""
    proxy = connect(start({"thing": thing}, servertype="thread").uris["thing"])
    assert proxy.echo(1) == [1]
    proxy._pyroTimeout = 0.05
    with pytest.raises(TimeoutError, match="(?m)^receiving: timeout$"):
        proxy.wait()
    assert proxy._pyroConnection is None
    thing.leave.set()
    proxy._pyroTimeout = 0
    assert proxy.echo(2) == [2]


def test_zero_timeout(start: Any, connect: Any, thing: Thing) -> None:
    """[PRX-30]: means for ever on a connected proxy as well."""
    proxy = connect(start({"thing": thing}, servertype="thread").uris["thing"], Timeout=5.0)
    assert proxy.echo(1) == [1]
    proxy._pyroTimeout = 0
    assert proxy._pyroConnection.timeout is None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(proxy.wait)
        assert thing.entered.wait(PATIENCE)
        thing.leave.set()
        assert waiting.result(PATIENCE) == "waited"


def test_retries(start: Any, connect: Any) -> None:
    """[PRX-35], [ASY-5]: a connection that the server has closed is made again."""
    thing = Thing()
    running = start({"thing": thing})
    proxy = connect(running.uris["thing"], MaxRetries=1)
    assert proxy.echo(1) == [1]
    proxy._pyroConnection.sock.shutdown(2)
    assert proxy.echo(2) == [2]
    proxy._pyroMaxRetries = 0
    proxy._pyroConnection.sock.shutdown(2)
    with pytest.raises(ConnectionClosedError):
        proxy.echo(3)
    assert running.daemon.stats()["connections_total"] == 2


def test_reconnect(start: Any, connect: Any) -> None:
    """[PRX-36]"""
    thing = Thing()
    running = start({"thing": thing})
    proxy = connect(running.uris["thing"])
    proxy._pyroBind()
    proxy._pyroConnection.sock.shutdown(2)
    assert proxy._pyroReconnect(1) is None
    assert proxy.echo(1) == [1]
    gone = connect("PYRO:thing@127.0.0.1:1")
    with pytest.raises(ConnectionClosedError, match="(?m)^failed to reconnect$"):
        gone._pyroReconnect(1)
    with pytest.raises(ConnectionClosedError, match="(?m)^failed to reconnect$"):
        proxy._pyroReconnect(0)


def test_interrupted_call(start: Any, connect: Any, thing: Thing) -> None:
    """[PRX-38], [WIRE-123]"""
    proxy = connect(start({"thing": thing}, servertype="thread").uris["thing"])
    proxy._pyroBind()
    connection = proxy._pyroConnection

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    original, connection_class = type(connection).receive_frame, type(connection)
    try:
        connection_class.receive_frame = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            proxy.echo(1)
    finally:
        connection_class.receive_frame = original  # type: ignore[method-assign]
    assert proxy._pyroConnection is None
    assert proxy.echo(2) == [2]


# ---- handshakes


@pytest.mark.parametrize(
    ("client", "server", "text"),
    [
        (None, "K", "hmac key config not symmetric"),
        ("K", None, "hmac key config not symmetric"),
        ("K1", "K2", "message hmac mismatch"),
    ],
)
def test_hmac_keys(start: Any, connect: Any, thing: Thing, client: Any, server: Any, text: str) -> None:
    """[WIRE-33], [PRX-31], [SEC-32]"""
    running = start({"thing": thing}, hmac_key=server)
    proxy = connect(running.uris["thing"], HmacKey=client)
    with pytest.raises(CommunicationError, match=f"(?m)^cannot connect to .*: {text}$"):
        proxy.echo(1)
    assert proxy._pyroConnection is None


def test_hmac(start: Any, connect: Any, thing: Thing) -> None:
    """[WIRE-31], [WIRE-34]: all kinds of messages are signed."""
    running = start({"thing": thing}, hmac_key="geheim", COMPRESSION=True)
    proxy = connect(running.uris["thing"], HmacKey=b"geheim")
    current_context.annotations = {"USER": b"1"}
    assert proxy.identity("x" * 1000) == "x" * 1000
    with pytest.raises(ValueError):
        proxy.fail(ValueError("x"))
    Message.ping(proxy._pyroConnection, b"geheim")
    assert proxy.echo(1) == [1]
    proxy._pyroConnection.sock.sendall(Message(6, b"ping", 42, 0, 0).to_bytes())
    with pytest.raises(ConnectionClosedError):
        proxy.echo(1)


def test_refused_serializer(start: Any, connect: Any, thing: Thing) -> None:
    """[PRX-32], [WIRE-63], [WIRE-85]: in the handshake and later."""
    running = start({"thing": thing}, SERIALIZERS_ACCEPTED=["serpent"])
    proxy = connect(running.uris["thing"], Serializer="json")
    text = "(?m)^connection to .* rejected: message used serializer that is not accepted: 2$"
    with pytest.raises(CommunicationError, match=text):
        proxy.echo(1)
    proxy = connect(running.uris["thing"])
    assert proxy.echo(1) == [1]
    proxy._pyroSerializer = "pickle"
    with pytest.raises(SerializeError, match="(?m)^message used serializer that is not accepted: 4$"):
        proxy.echo(1)
    assert proxy._pyroConnection is None
    proxy._pyroSerializer = None
    assert proxy.echo(1) == [1]


def test_unknown_object(start: Any, connect: Any, pyro_config: Any, thing: Thing) -> None:
    """[PRX-32], [WIRE-62], [WIRE-63]"""
    location = start({"thing": thing}).daemon.locationStr
    proxy = connect(f"PYRO:nothing@{location}")
    with pytest.raises(CommunicationError, match="(?m)^connection to .* rejected: unknown object$"):
        proxy.echo(1)
    pyro_config.METADATA = False
    with pytest.raises(DaemonError, match="(?m)^unknown object$"):
        proxy.echo(1)


class Strict(pyrolite.Daemon):
    """Lets in whoever knows the code."""

    def validateHandshake(self, conn: Any, data: Any) -> Any:
        if data != {"code": 17}:
            raise ValueError("wrong code")
        return ["welcome", conn.peer_address[0], current_context.client_sock_addr[0]]


def test_validation(start: Any, connect: Any, thing: Thing) -> None:
    """[PRX-32], [PRX-33], [DMN-41], [DMN-43], [OV-40]"""
    seen: list[Any] = []

    class Careful(pyrolite.Proxy):
        def _pyroValidateHandshake(self, response: Any) -> None:
            seen.append(response)
            assert self._pyroConnection.getpeercert() is None
            if response[0] != "welcome":
                raise ValueError("not welcome")

    uri = start({"thing": thing}, daemon_class=Strict).uris["thing"]
    with pytest.raises(CommunicationError, match="(?m)^connection to .* rejected: wrong code$"):
        connect(uri).echo(1)
    proxy = connect(uri, Careful, Handshake={"code": 17})
    assert proxy.echo(1) == [1]
    assert seen == [["welcome", "127.0.0.1", "127.0.0.1"]]


def test_refused_by_the_client(start: Any, connect: Any, thing: Thing, eventually: Any) -> None:
    """[PRX-33], [WIRE-68]: the server sees the end of the connection, and the next call is refused as well."""

    class Never(pyrolite.Proxy):
        def _pyroValidateHandshake(self, response: Any) -> None:
            raise ValueError("never")

    running = start({"thing": thing})
    proxy = connect(running.uris["thing"], Never)
    for _ in range(2):
        with pytest.raises(ValueError, match="(?m)^never$"):
            proxy.echo(1)
        assert proxy._pyroConnection is None
    eventually(lambda: running.daemon.stats()["connections_open"] == 0)


def test_handshake_deadline(start: Any, thing: Thing) -> None:
    """[DMN-44], [SEC-40], [WIRE-69]: a silent client stops nobody, and is dropped."""
    import socket

    running = start({"thing": thing}, HANDSHAKE_TIMEOUT=0.3)
    host, port = running.daemon.locationStr.split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as silent:
        silent.send(b"PYRO")
        with pyrolite.Proxy(running.uris["thing"]) as proxy:
            assert proxy.echo(1) == [1]
        begin = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - begin < PATIENCE / 2


# ---- blobs, as they travel


def test_unix_sockets(start: Any, connect: Any, thing: Thing, tmp_path: Any) -> None:
    """[PRX-7], [PRX-29], [DMN-5], [DMN-33], [CTX-2]"""
    path = str(tmp_path / "socket")
    running = start({"thing": thing}, unixsocket=path)
    assert running.daemon.locationStr == f"./u:{path}"
    proxy = connect(running.uris["thing"])
    assert proxy.echo(1) == [1]
    assert "; connected Unix; " in repr(proxy)
    assert proxy.context()[1] in ("", None, [], b"")
    running.daemon.shutdown()
    assert not (tmp_path / "socket").exists()


def test_ipv6(start: Any, connect: Any, thing: Thing) -> None:
    """[DMN-5], [PRX-7]"""
    import socket

    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        running = start({"thing": thing}, host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    assert str(running.uris["thing"]).startswith("PYRO:thing@[::1]:")
    proxy = connect(running.uris["thing"])
    assert proxy.echo(1) == [1]
    assert "; connected IPv6; " in repr(proxy)


def test_own_configurations(start: Any, connect: Any) -> None:
    """[BYD-33]: two daemons with different rules in one process."""
    first = start({"bare": Bare()}, REQUIRE_EXPOSE=False)
    second = start({"bare": Bare()})
    assert connect(first.uris["bare"]).method() is None
    with pytest.raises((PyroError, CommunicationError)):
        connect(second.uris["bare"]).method()
