"""Removing registrations whose server is gone ([NS-27] to [NS-29], [HRD-36])."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.naming import AutoCleaner, NameServer, NameServerDaemon

pytestmark = pytest.mark.usefixtures("pyro_leakcheck", "pyro_config")


@pytest.fixture
def quick(pyro_config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow each other quickly."""
    monkeypatch.setattr(AutoCleaner, "override_autoclean_min", True)
    monkeypatch.setattr(AutoCleaner, "loop_delay", 0.02)
    monkeypatch.setattr(AutoCleaner, "max_unreachable_time", 0.1)
    config.NS_AUTOCLEAN = 0.02


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address that belongs to this test, where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def somebody() -> Iterator[str]:
    """An address where somebody listens."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as sock:
        yield f"127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def cleaning(nameserver: NameServer) -> Iterator[AutoCleaner]:
    cleaner = AutoCleaner(nameserver)
    cleaner.start()
    try:
        yield cleaner
    finally:
        cleaner.stop()
        assert not cleaner.is_alive()


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_limits() -> None:
    """[NS-27] [NS-28] The values that tests change, and the smallest interval."""
    assert AutoCleaner.min_autoclean_value == 3
    assert AutoCleaner.max_unreachable_time == 20.0
    assert AutoCleaner.loop_delay == 2.0
    assert not AutoCleaner.override_autoclean_min
    for value in (0.01, 1, 2.9):
        config.NS_AUTOCLEAN = value
        with pytest.raises(ValueError, match="^NS_AUTOCLEAN cannot be smaller than 3$"):
            NameServerDaemon("127.0.0.1", 0)
    config.NS_AUTOCLEAN = 0
    with NameServerDaemon("127.0.0.1", 0) as daemon:
        assert daemon.cleaner_thread is None


def test_thread_of_the_daemon() -> None:
    """[NS-28] [NS-29] A daemon thread, which ends with the name server's daemon."""
    config.NS_AUTOCLEAN = 3
    with NameServerDaemon("127.0.0.1", 0) as daemon:
        cleaner = daemon.cleaner_thread
        assert isinstance(cleaner, threading.Thread)
        assert cleaner.daemon
        assert cleaner.is_alive()
        start = time.monotonic()
    assert time.monotonic() - start < 0.6
    assert not cleaner.is_alive()
    assert daemon.cleaner_thread is None


@pytest.mark.usefixtures("quick")
def test_unreachable_ones_are_removed(
    nobody: str, somebody: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """[NS-28] [NS-29] [HRD-36] What is unreachable for a while is removed; what cannot be checked stays."""
    nameserver = NameServer()
    gone = {
        "tcp": f"PYRO:o@{nobody}",
        "unix": f"PYRO:o@./u:{tmp_path}/gone",
        "host": "PYRO:o@no-such-host.invalid:5",
        "port": "PYRO:o@127.0.0.1:99999",
    }
    kept = {
        "good": f"PYRO:o@{somebody}",
        "good2": f"PYRO:other@{somebody}",
        "name": "PYRONAME:x",
        "meta": "PYROMETA:x@127.0.0.1:1",
        "Pyro.NameServer": f"PYRO:o@{nobody}",
        "Pyro.Daemon": f"PYRO:o@{nobody}",
    }
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(tmp_path / "good"))
        listener.listen(1000)
        kept["good unix"] = f"PYRO:o@./u:{tmp_path}/good"
        for name, uri in (gone | kept).items():
            nameserver.register(name, uri)
        nameserver.storage["damaged"] = "this is no URI", None  # must not harm the others
        with caplog.at_level(logging.INFO, "pyrolite.naming"), cleaning(nameserver):
            eventually(lambda: not set(gone) & set(nameserver.list()))
            before = len(caplog.records)
            eventually(lambda: len(caplog.records) > before)  # and the rounds go on
        assert set(nameserver.list()) == {*kept, "damaged"}
    messages = [message for message in caplog.messages if "unregistering" in message]
    assert sorted(messages) == sorted(
        f"autoclean: unregistering {name}; cannot connect uri {uri} for 0 sec" for name, uri in gone.items()
    )
    assert any("cannot check 'damaged'" in message for message in caplog.messages)


@pytest.mark.usefixtures("quick")
def test_reachable_again(nobody: str, somebody: str) -> None:
    """[NS-28] A server that comes back, or a registration that is renewed, starts anew."""
    nameserver = NameServer()
    nameserver.register("a", f"PYRO:o@{nobody}")
    cleaner = AutoCleaner(nameserver)
    cleaner.max_unreachable_time = 1000.0
    cleaner._clean()
    assert set(cleaner._unreachable) == {"a"}
    since = cleaner._unreachable["a"][1]
    cleaner._clean()
    assert cleaner._unreachable["a"][1] == since
    nameserver.register("a", f"PYRO:other@{nobody}")
    cleaner._clean()
    assert cleaner._unreachable["a"][1] > since
    nameserver.register("a", f"PYRO:o@{somebody}")
    cleaner._clean()
    assert cleaner._unreachable == {}
    nameserver.register("a", f"PYRO:o@{nobody}")
    cleaner._clean()
    nameserver.remove("a")
    cleaner._clean()
    assert cleaner._unreachable == {}


@pytest.mark.usefixtures("quick")
def test_renewed_in_the_last_moment(nobody: str, somebody: str) -> None:
    """[NS-28] What is registered anew while it is found unreachable stays."""
    nameserver = NameServer()
    nameserver.register("a", f"PYRO:o@{nobody}")
    cleaner = AutoCleaner(nameserver)
    cleaner.max_unreachable_time = 0.0

    def renewing(uri: Any) -> bool:
        nameserver.register("a", f"PYRO:o@{somebody}")
        return False

    cleaner._can_connect = renewing  # type: ignore[method-assign]
    cleaner._clean()
    assert nameserver.list() == {"a": f"PYRO:o@{somebody}"}


@pytest.mark.usefixtures("quick")
def test_survives_a_failing_storage(nobody: str, caplog: pytest.LogCaptureFixture) -> None:
    """[NS-29] Any exception affects one round at most."""
    nameserver = NameServer()
    nameserver.register("a", f"PYRO:o@{nobody}")
    snapshot, failures = nameserver._names.snapshot, iter(range(2))

    def failing(**options: Any) -> Any:
        for _ in failures:
            raise RuntimeError("no storage today")
        return snapshot(**options)

    nameserver._names.snapshot = failing  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING, "pyrolite.naming"), cleaning(nameserver):
        eventually(lambda: not nameserver.count())
    assert sum("no storage today" in message for message in caplog.messages) == 2


@pytest.mark.usefixtures("quick")
def test_stops_while_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """[NS-29] It ends within half a second, also while it waits for a server that does not answer."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(5):  # nobody accepts: further connections stay in progress
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
        nameserver = NameServer()
        nameserver.register("a", f"PYRO:o@127.0.0.1:{address[1]}")
        connecting = threading.Event()
        connect = AutoCleaner._connect

        def noting(self: AutoCleaner, *arguments: Any) -> bool:
            connecting.set()
            return connect(self, *arguments)

        monkeypatch.setattr(AutoCleaner, "_connect", noting)
        with cleaning(nameserver) as cleaner:
            assert connecting.wait(10)
            start = time.monotonic()
            cleaner.stop()
            assert not cleaner.is_alive()
            assert time.monotonic() - start < 0.5


@pytest.mark.usefixtures("quick")
def test_waits_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """[NS-28] A server that does not answer within COMMTIMEOUT is unreachable."""
    config.COMMTIMEOUT = 0.2
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(5):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        cleaner = AutoCleaner(NameServer())
        with socket.socket() as sock:
            start = time.monotonic()
            assert not cleaner._connect(sock, listener.getsockname())
            assert 0.15 < time.monotonic() - start < 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "strange",
    [
        "PYRO:o@h\x00st:1",
        f"PYRO:o@{'x' * 300}:1",
        f"PYRO:o@{'label' * 20}.example:1",
        "PYRO:o@\ud800.example:1",
        "PYRO:o@:0",
        "PYRO:o@127.0.0.1:0",
        "PYRO:o@127.0.0.1:-1",
        "PYRO:o@[fe80::1%25nowhere]:1",
        "PYRO:o@[:::::]:1",
        f"PYRO:o@./u:{'x' * 200}",
        "PYRO:o@./u:\ud800",
        "PYRO:o@./u:/dev/null",
        "PYRO:o@./u:\x00abstract",
        "PYRO:o@./u:a\x00b",
        "PYRO:o@255.255.255.255:1",
        "PYRONAME:itself",
        "PYROMETA:a,b@\x00",
        "PYRO:",
        "",
        "\x00",
        "PYRO:o@h:1e9",
    ],
)
def test_strange_entries(strange: str, nobody: str, somebody: str) -> None:
    """[NS-29] [HRD-36] No entry, however strange, keeps the others from being looked at, or harms those that live."""
    nameserver = NameServer()
    nameserver.register("z.gone", f"PYRO:o@{nobody}")
    nameserver.register("a.good", f"PYRO:o@{somebody}")
    for name in ("b.strange", "y.strange", "\x00", "n\nn", ""):
        nameserver.storage[name] = strange, None
    with cleaning(nameserver) as cleaner:
        for _ in range(2):
            eventually(lambda: "z.gone" not in nameserver.storage)
            assert cleaner.is_alive()
            assert "a.good" in nameserver.storage
            nameserver.register("z.gone", f"PYRO:o@{nobody}")


@pytest.mark.usefixtures("quick")
def test_second_address(nobody: str, somebody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """[NS-28] A host with several addresses is reachable when one of them is."""
    addresses = [(socket.AF_INET, ("127.0.0.1", int(where.partition(":")[2]))) for where in (nobody, somebody)]
    monkeypatch.setattr("pyrolite.naming.autoclean.lookup", lambda host, port: addresses)
    nameserver = NameServer()
    nameserver.register("a", "PYRO:o@several.example:1")
    cleaner = AutoCleaner(nameserver)
    cleaner.max_unreachable_time = 0.0
    cleaner._clean()
    assert nameserver.count() == 1
    addresses.pop()
    cleaner._clean()
    assert nameserver.count() == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL])
def test_own_trouble(number: int, somebody: str, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """[NS-28] A name server that has no descriptors left does not take the others for dead."""

    class NoSocket(socket.socket):
        def __init__(self, *arguments: Any) -> None:
            raise OSError(number, "not today")

    nameserver = NameServer()
    nameserver.register("a", f"PYRO:o@{somebody}")
    cleaner = AutoCleaner(nameserver)
    cleaner.max_unreachable_time = 0.0
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", NoSocket)
        cleaner._clean()
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect_ex", lambda *_: number)
        cleaner._clean()
    assert nameserver.count() == 1
    assert cleaner._unreachable == {}
    assert caplog.text.count("cannot check 'a'") == 2
