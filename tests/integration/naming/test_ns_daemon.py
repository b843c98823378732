"""The name server's daemon in this process ([NS-17] to [NS-21], [NS-34])."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pyrolite import constants
from pyrolite.configuration import Configuration, config
from pyrolite.core import URI, Daemon, Proxy
from pyrolite.errors import CommunicationError, NamingError, PyroError
from pyrolite.naming import MemoryStorage, NameServer, NameServerDaemon, locateNS, startNS, startNSloop
from pyrolite.naming_storage import SqlStorage
from pyrolite.testing import running_nameserver

pytestmark = pytest.mark.usefixtures("pyro_leakcheck", "pyro_config")


@contextlib.contextmanager
def serving(daemon: Daemon) -> Any:
    """Run the loop of the daemon in a thread."""
    thread = threading.Thread(target=daemon.requestLoop)
    thread.start()
    try:
        yield
    finally:
        daemon.shutdown()
        thread.join()


def test_defaults(free_port: int) -> None:
    """[NS-17] Host, port and NAT come from the configuration."""
    config.HOST, config.NS_PORT = "127.0.0.1", free_port
    with NameServerDaemon() as daemon:
        assert daemon.locationStr == f"127.0.0.1:{free_port}"
        assert daemon.natLocationStr is None
        assert type(daemon.nameserver) is NameServer
        assert type(daemon.nameserver.storage) is MemoryStorage
        assert daemon.cleaner_thread is None
        assert set(daemon.objectsById) == {constants.DAEMON_NAME, constants.NAMESERVER_NAME}
    config.NATHOST, config.NATPORT = "nat.example", 4444
    with NameServerDaemon(port=0) as daemon:
        assert daemon.natLocationStr == "nat.example:4444"
        assert daemon.nameserver.lookup("Pyro.NameServer") == URI("PYRO:Pyro.NameServer@nat.example:4444")


def test_own_configuration() -> None:
    """[BYD-33] A configuration of its own."""
    own = Configuration()
    own.HOST, own.NS_PORT, own.SERVERTYPE = "127.0.0.1", 0, "multiplex"
    with NameServerDaemon(config=own) as daemon:
        assert daemon.locationStr.startswith("127.0.0.1:")
        assert "Multiplex" in repr(daemon.transportServer)


def test_close(tmp_path: Path) -> None:
    """[NS-19] Closing closes the storage too, may be repeated, and is the end."""
    for end in ("close", "shutdown"):
        storage = SqlStorage(tmp_path / end)
        daemon = NameServerDaemon("127.0.0.1", 0, storage=storage)
        nameserver = daemon.nameserver
        with daemon as entered:
            assert entered is daemon
        getattr(daemon, end)()
        daemon.close()
        assert daemon.nameserver is None
        with pytest.raises(NamingError):
            storage.everything()
        with pytest.raises(NamingError):  # what is left of a call in progress
            nameserver.count()
        with pytest.raises(PyroError, match="^cannot reuse this object$"), daemon:
            pass


def test_failure_closes_everything(tmp_path: Path) -> None:
    """[NS-18] [DMN-4] Whatever fails, nothing stays open."""
    with pytest.raises(ValueError, match="^invalid storage type 'foo'$"):
        NameServerDaemon("127.0.0.1", 0, storage="foo")
    with pytest.raises(NamingError, match="sqlite error in open"):
        NameServerDaemon("127.0.0.1", 0, storage=f"sql:{tmp_path}/missing/x")
    with NameServerDaemon("127.0.0.1", 0) as daemon, pytest.raises(OSError):
        NameServerDaemon("127.0.0.1", daemon.sock.getsockname()[1], storage=f"dbm:{tmp_path}/names")
    with NameServerDaemon("127.0.0.1", 0, storage=f"dbm:{tmp_path}/names"):  # is not in use any more
        pass


def test_dbm_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """[NS-18] That there is no metadata is printed and logged."""
    with (
        caplog.at_level(logging.WARNING, "pyrolite.naming"),
        NameServerDaemon("127.0.0.1", 0, storage=f"dbm:{tmp_path}/names"),
    ):
        assert capsys.readouterr().out == "Warning: the DbmStorage doesn't support metadata.\n"
    assert "Warning: the DbmStorage doesn't support metadata." in caplog.messages


def test_storage_object() -> None:
    """[NS-18] A storage of one's own, filled already."""
    storage = MemoryStorage(a=("PYRO:o@h:1", {"x"}))
    with NameServerDaemon("127.0.0.1", 0, storage=storage) as daemon:
        assert daemon.nameserver.storage is storage
        assert set(storage) == {"a", "Pyro.NameServer"}


def ping_with_pickle(uri: URI, *, bind_first: bool) -> None:
    """Use a serializer that is not accepted: in the handshake, or only afterwards."""
    with Proxy(uri) as proxy:
        if bind_first:
            proxy._pyroBind()
        proxy._pyroSerializer = "pickle"
        with pytest.raises(CommunicationError, match="serializer that is not accepted"):
            proxy.ping()


def ping_until_seen(seen: Any, uri: URI, *, bind_first: bool) -> None:
    """The warning may come after the client has its answer."""
    ping_with_pickle(uri, bind_first=bind_first)
    deadline = time.monotonic() + 10
    while len(seen) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("bind_first", [False, True])
def test_protocol_warnings(servertype: str, bind_first: bool) -> None:
    """[NS-20] A serializer that is not accepted gives a warning on the server, in the handshake and later."""
    with running_nameserver(servertype=servertype) as running:
        with pytest.warns(UserWarning, match="^Pyro protocol error occurred: message used serializer") as seen:
            ping_until_seen(seen, running.uri, bind_first=bind_first)
        assert len(seen) == 1
        with Proxy(running.uri) as proxy:
            proxy.ping()


@pytest.mark.parametrize("bind_first", [False, True])
def test_warnings_that_are_errors(servertype: str, bind_first: bool) -> None:
    """[NS-20] The client gets its answer also where warnings are errors, as in this test."""
    with running_nameserver(servertype=servertype) as running:
        ping_with_pickle(running.uri, bind_first=bind_first)


def test_start(servertype: str) -> None:
    """[NS-34] [OV-18] What is returned is ready, but nothing is running yet."""
    config.SERVERTYPE = servertype
    threads = set(threading.enumerate())
    uri, daemon, broadcast = startNS("127.0.0.1", 0)
    with daemon:
        assert broadcast is None  # on loopback
        assert uri == daemon.uriFor("Pyro.NameServer")
        assert daemon._pyroHmacKey is None
        with serving(daemon), locateNS("127.0.0.1", uri.port) as nameserver:
            assert nameserver._pyroUri == uri
            assert nameserver.lookup("Pyro.NameServer") == uri
    assert {thread.name for thread in set(threading.enumerate()) - threads} <= {"oneway-call"}


@pytest.mark.parametrize("key", ["s\xe9cret", "s\xe9cret".encode()])
def test_start_with_key(key: Any) -> None:
    """[NS-34] The key is text or bytes."""
    uri, daemon, _ = startNS("127.0.0.1", 0, hmac=key)
    with daemon:
        assert daemon._pyroHmacKey == "s\xe9cret".encode()
        with serving(daemon), locateNS("127.0.0.1", uri.port, hmac_key=key) as nameserver:
            nameserver.ping()


def test_start_behind_nat() -> None:
    """[NS-33] [NS-34] The URI is the external one; the responder has the internal one."""
    uri, daemon, broadcast = startNS(
        "0.0.0.0", 0, bchost="127.0.0.1", bcport=0, nathost="nat.example", natport=4444
    )  # fmt: skip
    with daemon, broadcast:
        assert str(uri) == "PYRO:Pyro.NameServer@nat.example:4444"
        assert broadcast.nsUri == daemon.uriFor("Pyro.NameServer", nat=False)
        assert broadcast.nsUri.host == "0.0.0.0"


@pytest.mark.parametrize(
    "arguments",
    [
        {"host": "127.0.0.1", "port": 0},
        {"host": "::1", "port": 0},
        {"host": "0.0.0.0", "port": 0, "enableBroadcast": False},
        {"unixsocket": "socket"},
    ],
)
def test_no_responder(arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[NS-34] Where a broadcast cannot lead to, there is no responder."""
    monkeypatch.chdir(tmp_path)
    _, daemon, broadcast = startNS(**arguments)
    daemon.close()
    assert broadcast is None


def test_failing_responder() -> None:
    """[NS-34] When the responder cannot be made, the daemon is closed."""
    with pytest.raises(OSError, match="192.0.2.1"):
        startNS("0.0.0.0", 0, bchost="192.0.2.1", bcport=0)


def test_loop_in_a_thread(servertype: str, capfd: pytest.CaptureFixture[str], free_port: int) -> None:
    """[NS-35] [OV-18] ``startNSloop`` runs until its daemon is shut down, and returns None."""
    config.SERVERTYPE = servertype
    storage = MemoryStorage(a=("PYRO:o@h:1", None), b=("PYRO:o@h:1", None))
    daemons: list[Any] = []
    results: list[Any] = []
    started = threading.Event()
    original = NameServerDaemon.requestLoop

    def loop(self: NameServerDaemon, *arguments: Any) -> None:
        daemons.append(self)
        started.set()
        original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NameServerDaemon, "requestLoop", loop)
        thread = threading.Thread(
            target=lambda: results.append(startNSloop("127.0.0.1", free_port, storage=storage, hmac=b"key"))
        )
        thread.start()
        assert started.wait(10)
        with locateNS("127.0.0.1", free_port, hmac_key=b"key") as nameserver:
            assert nameserver.count() == 3
        daemons[0].shutdown()
        thread.join(10)
    assert results == [None]
    assert capfd.readouterr().out.splitlines() == [
        "Not starting broadcast server for localhost.",
        "Persistent store contains 3 existing registrations.",
        f"NS running on 127.0.0.1:{free_port} (127.0.0.1)",
        f"URI = PYRO:Pyro.NameServer@127.0.0.1:{free_port}",
        "NS shut down.",
    ]


def test_all_clients_at_once(servertype: str) -> None:
    """[NS-3] [NS-7] Of several clients that want a name, one gets it."""
    with running_nameserver(servertype=servertype) as running:
        winners: list[tuple[int, int]] = []

        def register(client: int) -> None:
            with Proxy(running.uri) as nameserver:
                for number in range(20):
                    with contextlib.suppress(NamingError):
                        nameserver.register(f"name{number}", f"PYRO:o@h:{client}", safe=True)
                        winners.append((number, client))

        threads = [threading.Thread(target=register, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with Proxy(running.uri) as nameserver:
            found = nameserver.list(prefix="name")
        assert sorted(winners) == sorted((int(name[4:]), URI(uri).port) for name, uri in found.items())
        assert len(winners) == 20


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal", "msgpack"])
def test_all_serializers(serializer: str) -> None:
    """[NS-6] [NS-7] [NS-14] URIs and metadata travel with every serializer."""
    config.SERIALIZERS_ACCEPTED = {"serpent", "json", "marshal", "msgpack"}
    with running_nameserver() as running, Proxy(running.uri) as nameserver:
        nameserver._pyroSerializer = serializer
        nameserver.register("a", URI("PYRO:o@h:1"), metadata=["y", "x"])
        uri, metadata = nameserver.lookup("a", return_metadata=True)
        assert (uri, list(metadata)) == (URI("PYRO:o@h:1"), ["x", "y"])
        assert nameserver.lookup("a") == URI("PYRO:o@h:1")
        uri, metadata = nameserver.list(metadata_all=["x"], return_metadata=True)["a"]
        assert (uri, list(metadata)) == ("PYRO:o@h:1", ["x", "y"])
        with pytest.raises(NamingError, match="unknown name: b"):
            nameserver.lookup("b")
        assert nameserver.remove("a") == 1


@pytest.mark.parametrize("kind", ["thread", "multiplex"])
def test_storage_outlives_calls_in_progress(kind: str, tmp_path: Path) -> None:
    """[BYD-5] [NS-19] The storage is closed when the last call has its answer, whoever else shuts down meanwhile."""
    config.SERVERTYPE = kind
    uri, daemon, _ = startNS("127.0.0.1", 0, storage=f"sql:{tmp_path}/names")
    names = daemon.nameserver._names
    started, release = threading.Event(), threading.Event()
    put = names.put

    def slowly(*arguments: Any, **options: Any) -> bool:
        started.set()
        assert release.wait(10)
        return put(*arguments, **options)

    names.put = slowly  # type: ignore[method-assign]
    results: list[Any] = []

    def register() -> None:
        with Proxy(uri) as nameserver:
            results.append(nameserver.register("a", "PYRO:o@h:1"))

    threads = [
        threading.Thread(target=lambda: (daemon.requestLoop(), daemon.shutdown())),
        threading.Thread(target=register),
        threading.Thread(target=daemon.shutdown),
        threading.Thread(target=daemon.shutdown),
    ]
    for thread in threads[:2]:
        thread.start()
    assert started.wait(10)
    for thread in threads[2:]:
        thread.start()
    threads[2].join(0.3)
    assert daemon.nameserver is not None
    release.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert results == [None]
    assert daemon.nameserver is None
    with contextlib.closing(SqlStorage(tmp_path / "names")) as storage:
        assert "a" in storage
