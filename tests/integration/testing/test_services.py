"""The helpers of `pyrolite.testing` that need no pytest ([OV-37])."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyrolite
from pyrolite.errors import CommunicationError, ConnectionClosedError, NamingError
from pyrolite.message import Message
from pyrolite.testing import (
    LeakError,
    MemoryConnection,
    leak_check,
    restored_config,
    running_daemon,
    running_nameserver,
)


@pyrolite.expose
class Echo:
    def echo(self, value: Any) -> Any:
        return value


@pytest.fixture(autouse=True)
def nothing_left(pyro_leakcheck: None) -> None:
    """No test leaves anything behind."""


# ---- configuration


def test_configuration_is_restored() -> None:
    """[OV-37]: what is given and what is set inside, also after an exception; sets are copies."""
    before = pyrolite.config.asDict()
    with contextlib.suppress(ZeroDivisionError), restored_config(SERIALIZER="json", COMMTIMEOUT=3) as config:
        assert (config.SERIALIZER, config.COMMTIMEOUT) == ("json", 3.0)
        config.NS_PORT = 1234
        config.SERIALIZERS_ACCEPTED.add("pickle")
        raise ZeroDivisionError
    assert pyrolite.config.asDict() == before


@pytest.mark.parametrize(
    ("item", "error"),
    [({"SERIALISER": "json"}, AttributeError), ({"NS_PORT": "x"}, TypeError), ({"NS_PORT": -1}, ValueError)],
)
def test_wrong_items_change_nothing(item: dict[str, Any], error: type[Exception]) -> None:
    """[OV-37]"""
    before = pyrolite.config.asDict()
    with pytest.raises(error), restored_config(SERIALIZER="json", **item):
        pytest.fail("it is accepted")
    assert pyrolite.config.asDict() == before


# ---- daemons


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_daemon_with_objects(servertype: str) -> None:
    """[OV-37]: yields daemon and URIs, and ends; the objects can be registered anew."""
    echo = Echo()
    for _ in range(2):
        with running_daemon({"one": echo, "two": Echo}, servertype=servertype) as (daemon, uris):
            assert set(uris) == {"one", "two"}
            assert daemon.uriFor("one") == uris["one"]
            for uri in uris.values():
                with pyrolite.Proxy(uri) as proxy:
                    assert proxy.echo([1, 2]) == [1, 2]
        with pytest.raises(CommunicationError), pyrolite.Proxy(uris["one"]) as proxy:
            proxy.echo(1)


def test_daemon_with_options(tmp_path: Path) -> None:
    """[OV-37], [BYD-33]: a class of one's own, a Unix socket, a key, items for this daemon alone."""

    class OwnDaemon(pyrolite.Daemon):
        pass

    before = pyrolite.config.asDict()
    options: dict[str, Any] = {"hmac_key": "secret", "daemon_class": OwnDaemon, "MAX_MESSAGE_SIZE": 5000}
    if hasattr(socket, "AF_UNIX"):
        options["unixsocket"] = str(tmp_path / "socket")
    with running_daemon({"echo": Echo}, **options) as running:
        assert type(running.daemon) is OwnDaemon
        assert pyrolite.config.asDict() == before
        with pyrolite.Proxy(running.uris["echo"]) as proxy:
            proxy._pyroHmacKey = "secret"
            assert proxy.echo("x" * 1000) == "x" * 1000
            with pytest.raises(pyrolite.errors.PyroError):
                proxy.echo("x" * 10000)


def test_failure_of_the_loop_is_told() -> None:
    """[OV-37]: what ends the loop of the daemon ends the test."""

    class Broken(pyrolite.Daemon):
        def requestLoop(self, loopCondition: Callable[[], bool] = lambda: True) -> None:
            raise ZeroDivisionError("in the loop")

    with pytest.raises(ZeroDivisionError, match="in the loop"), running_daemon(daemon_class=Broken):
        pass


def test_wrong_objects_leave_no_daemon() -> None:
    """[OV-37]"""
    with pytest.raises(TypeError), running_daemon({"one": Echo, 12: Echo}):  # type: ignore[dict-item]
        pytest.fail("it is accepted")
    with running_daemon({"one": Echo}):
        pass


# ---- name servers


@pytest.mark.parametrize("broadcast", [False, True])
def test_name_server_is_found(broadcast: bool) -> None:
    """[OV-37]: by its address and by broadcast, but only while it runs; the configuration is restored."""
    before = pyrolite.config.asDict()
    with running_nameserver(broadcast=broadcast) as running:
        assert (pyrolite.config.NS_HOST, pyrolite.config.NS_PORT) == ("127.0.0.1", running.uri.port)
        assert pyrolite.config.NS_BCPORT != before["NS_BCPORT"]
        with pyrolite.locateNS() as nameserver, running_daemon({"echo": Echo}) as daemon:
            nameserver.register("example.echo", daemon.uris["echo"])
            with pyrolite.Proxy("PYRONAME:example.echo") as proxy:
                assert proxy.echo(1) == 1
        pyrolite.config.NS_HOST = ""
        if broadcast:
            with pyrolite.locateNS() as nameserver:
                assert nameserver._pyroUri == running.uri
    assert pyrolite.config.asDict() == before
    with pytest.raises(NamingError):
        pyrolite.locateNS("127.0.0.1", running.uri.port)


def test_name_server_with_a_key() -> None:
    """[OV-37]"""
    with running_nameserver(hmac_key="secret", servertype="multiplex"):
        with pyrolite.locateNS(hmac_key="secret") as nameserver:
            nameserver.ping()
        with pytest.raises(NamingError):
            pyrolite.locateNS(broadcast=False)


# ---- connections in memory


def test_connection_in_memory() -> None:
    """[OV-37]: exact sizes or an error, which has what there was."""
    with MemoryConnection(b"abc") as connection:
        connection.feed(b"def")
        assert connection.keep_open is False
        assert (connection.recv(4), connection.buffered) == (b"abcd", 2)
        with pytest.raises(ConnectionClosedError, match="^receiving: not enough data$") as caught:
            connection.recv(3)
        assert caught.value.partialData == b"ef"
        assert not hasattr(connection, "sock")
        assert "2 bytes to receive, 0 sent" in repr(connection)
    for use in (lambda: connection.recv(1), lambda: connection.send(b"x")):
        with pytest.raises(ConnectionClosedError):
            use()


def test_messages_in_memory() -> None:
    """[OV-37]: what was sent can be taken apart, and nothing is told twice."""
    connection = MemoryConnection()
    message = Message(pyrolite.message.MSG_PING, b"ping", 42, 0, 7, hmac_key=b"K")
    message.send(connection)
    connection.send_parts(*[message.to_bytes()[:10], message.to_bytes()[10:]])
    assert [(each.type, each.data, each.seq) for each in connection.take_messages(b"K")] == [(6, b"ping", 7)] * 2
    assert connection.take_messages() == []
    connection.feed(message)
    assert Message.recv(connection, [pyrolite.message.MSG_PING], hmac_key=b"K").data == b"ping"


# ---- leaks


def test_leaks_are_named() -> None:
    """[BYD-30]: threads by their names, sockets by their addresses."""
    release = threading.Event()
    checked = leak_check(patience=0.05)
    checked.__enter__()
    thread = threading.Thread(target=release.wait, name="left")
    thread.start()
    with socket.create_server(("127.0.0.1", 0)) as left:
        number, address = left.fileno(), left.getsockname()
        with pytest.raises(LeakError) as caught:
            checked.__exit__(None, None, None)
    release.set()
    thread.join()
    assert str(caught.value) == f"left behind: thread 'left'; socket {number} at {address!r}"


def test_what_is_just_ending_is_no_leak() -> None:
    """[BYD-30]: the check waits a little; what was there before is nobody's leak."""
    before = threading.Thread(target=(go_on := threading.Event()).wait)
    before.start()
    with leak_check(), leak_check(collect=True):
        threading.Timer(0.1, lambda: None).start()
    go_on.set()
    before.join()
