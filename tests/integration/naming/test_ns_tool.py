"""The name server as a process ([CLI-10], [NS-35], [NS-36], [NS-37], [NS-38])."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyrolite.core import URI, Proxy
from pyrolite.errors import CommunicationError, NamingError
from pyrolite.naming import locateNS

NO_KEY = "Warning: HMAC key not set. Anyone can connect to this server!"
OWN_METADATA = [
    "class:Pyro4.naming.NameServer",
    "class:Pyro5.nameserver.NameServer",
    "class:pyrolite.naming.NameServer",
]


@pytest.fixture
def start(start_tool: Any) -> Callable[..., Any]:
    """Start a name server."""

    def start(*arguments: str, **environment: str) -> Any:
        return start_tool("pyrolite.naming", *arguments, **environment)

    return start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_output_on_localhost(start: Any, servertype: str, number: signal.Signals) -> None:
    """[NS-35] [NS-36] [NS-37] [CLI-5] [CLI-6] Lines appear at once, in order; both signals end it with 0."""
    tool = start("-p", "0", PYRO_SERVERTYPE=servertype)
    uri = URI(tool.wait_for("URI = "))
    with Proxy(uri) as nameserver:
        nameserver.ping()
        assert tool.end(number) == 0
    assert tool.errors == ""
    assert tool.lines == [
        "Not starting broadcast server for localhost.",
        f"NS running on localhost:{uri.port} (127.0.0.1)",
        NO_KEY,
        f"URI = PYRO:Pyro.NameServer@localhost:{uri.port}",
        "NS shut down.",
    ]


def test_output_for_the_network(start: Any, servertype: str) -> None:
    """[NS-31] [NS-34] [NS-35] With a broadcast responder, which knows how the sender reaches the name server."""
    tool = start("-n", "0.0.0.0", "-p", "0", "--bchost", "127.0.0.1", "--bcport", "0", PYRO_SERVERTYPE=servertype)
    uri = URI(tool.wait_for("URI = "))
    responder = tool.lines[0].removeprefix("Broadcast server running on ")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", responder)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        address = "127.0.0.1", int(responder.partition(":")[2])
        sock.sendto(b"GET_NSURI", address)
        assert sock.recvfrom(4096) == (f"PYRO:Pyro.NameServer@127.0.0.1:{uri.port}".encode(), address)
    start_of_end = time.monotonic()
    assert tool.end() == 0
    assert time.monotonic() - start_of_end < 3
    assert tool.lines[1:] == [f"NS running on 0.0.0.0:{uri.port} (0.0.0.0)", NO_KEY, f"URI = {uri}", "NS shut down."]


def test_nobody_reads_the_output() -> None:
    """[NS-37] [CLI-6] It serves on, and ends with 0, when the other end of its output is gone."""
    command = [sys.executable, "-W", "error", "-m", "pyrolite.naming", "-p", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        uri = next(line for line in process.stdout if line.startswith("URI = "))
        process.stdout.close()
        with Proxy(uri.removeprefix("URI = ").strip()) as nameserver:
            nameserver.ping()
            process.terminate()
            assert process.wait(20) == 0


def test_no_broadcast(start: Any) -> None:
    """[CLI-10] ``-x``."""
    tool = start("-n", "0.0.0.0", "-p", "0", "-x")
    tool.wait_for("URI = ")
    assert tool.lines[0].startswith("NS running on 0.0.0.0:")
    assert tool.end() == 0


def test_ipv6(start: Any) -> None:
    """[NS-35] Brackets, and no broadcast responder."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    tool = start("-n", "::1", "-p", "0")
    uri = URI(tool.wait_for("URI = "))
    assert uri.host == "::1"
    assert tool.lines[:2] == ["Not starting broadcast server for IPv6.", f"NS running on [::1]:{uri.port} (::1)"]
    with locateNS("::1", uri.port) as nameserver:
        assert nameserver.count() == 1
    assert tool.end() == 0


def test_nat(start: Any) -> None:
    """[NS-2] [NS-35] Behind NAT there are two URIs; the external one is registered."""
    tool = start("-p", "0", "--nathost", "outside.example", "--natport", "4444", PYRO_HMAC_KEY="k")
    external = tool.wait_for("external URI = ")
    assert external == "PYRO:Pyro.NameServer@outside.example:4444"
    internal = tool.lines[-2].removeprefix("internal URI = ")
    assert tool.lines[:-1] == [
        "Not starting broadcast server for localhost.",
        f"NS running on {URI(internal).location} (127.0.0.1)",
        f"internal URI = {internal}",
    ]
    with Proxy(internal) as nameserver:
        nameserver._pyroHmacKey = b"k"
        assert str(nameserver.lookup("Pyro.NameServer")) == external
    assert tool.end() == 0


def test_unix_socket(start: Any, servertype: str, tmp_path: Path) -> None:
    """[NS-34] [NS-35] [NS-36] [CLI-6] On a Unix domain socket, whose file is gone in the end."""
    tool = start("-u", str(tmp_path / "ns"), PYRO_SERVERTYPE=servertype)
    uri = tool.wait_for("URI = ")
    assert uri == f"PYRO:Pyro.NameServer@./u:{tmp_path}/ns"
    assert tool.lines == [f"NS running on ./u:{tmp_path}/ns (Unix domain socket)", NO_KEY, f"URI = {uri}"]
    with locateNS(f"./u:{tmp_path}/ns") as nameserver:
        assert nameserver.count() == 1
    assert tool.end() == 0
    assert not (tmp_path / "ns").exists()


def test_key(start: Any) -> None:
    """[NS-34] [CLI-3] [CLI-5] With a key there is no warning, and no way in without it."""
    tool = start("-p", "0", PYRO_HMAC_KEY="s\xe9cret")
    uri = URI(tool.wait_for("URI = "))
    assert NO_KEY not in tool.lines
    with locateNS("localhost", uri.port, hmac_key="s\xe9cret") as nameserver:
        assert nameserver.count() == 1
    with pytest.raises(NamingError, match="Failed to locate the nameserver"):
        locateNS("localhost", uri.port)
    assert tool.end() == 0
    tool = start("-p", "0", "-k", "other")
    assert tool.wait() != 0  # the warning is an error here
    assert "UserWarning: using -k to supply HMAC key on the command line" in tool.errors


def test_own_registration(start: Any) -> None:
    """[NS-1] [NS-2] [NS-9] [HRD-43] It is registered itself, and clients cannot change that."""
    tool = start("-p", "0")
    uri = URI(tool.wait_for("URI = "))
    with Proxy(uri) as nameserver:
        assert nameserver.list(return_metadata=True) == {"Pyro.NameServer": (str(uri), OWN_METADATA)}
        for change in (
            lambda: nameserver.register("Pyro.NameServer", "PYRO:evil@host:1"),
            lambda: nameserver.set_metadata("Pyro.NameServer", []),
        ):
            with pytest.raises(NamingError, match="own registration"):
                change()
        assert nameserver.remove("Pyro.NameServer") == nameserver.remove(regex=".*") == 0
        assert nameserver.lookup("Pyro.NameServer") == uri
        assert nameserver._pyroMethods == {
            "count", "list", "lookup", "ping", "register", "remove", "set_metadata", "yplookup",
        }  # fmt: skip
        assert not nameserver._pyroAttrs
        assert not nameserver._pyroOneway
    assert tool.end() == 0


@pytest.mark.parametrize("kind", ["sql", "dbm"])
def test_persistent_storage(start: Any, tmp_path: Path, kind: str) -> None:
    """[NS-2] [NS-18] [NS-35] [HRD-37] [BYD-15] Names survive a restart, and kill -9 as well."""
    arguments = ("-p", "0", "-s", f"{kind}:names.{kind}")
    counts = []
    for number, end in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)):
        tool = start(*arguments)
        uri = URI(tool.wait_for("URI = "))
        counts += [line for line in tool.lines if "existing" in line]
        with Proxy(uri) as nameserver:
            assert nameserver.lookup("Pyro.NameServer") == uri
            nameserver.register(f"name{number}", "PYRO:o@h:1")
            assert nameserver.count() == number + 2
        tool.end(end)
        if kind == "dbm":
            assert tool.lines[0] == "Warning: the DbmStorage doesn't support metadata."
    assert counts == [
        "Persistent store contains 2 existing registrations.",
        "Persistent store contains 3 existing registrations.",
    ]
    assert tool.lines[-1] == "NS shut down."
    assert not list(tmp_path.glob("*.journal"))
    assert not list(tmp_path.glob("*-wal"))


def test_defaults_from_configuration(start: Any, free_port: int, tmp_path: Path) -> None:
    """[NS-17] [CLI-4] [CLI-10] The options' defaults can be set through the environment."""
    tool = start(
        PYRO_HOST="127.0.0.1",
        PYRO_NS_PORT=str(free_port),
        PYRO_NATHOST="nat.example",
        PYRO_NATPORT="0",
    )
    assert tool.wait_for("external URI = ") == f"PYRO:Pyro.NameServer@nat.example:{free_port}"
    assert f"NS running on 127.0.0.1:{free_port} (127.0.0.1)" in tool.lines
    assert tool.end() == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("-s", "foo"), "Error: invalid storage type 'foo'\n"),
        (("-s", "sql:missing/names"), "Error: sqlite error in open: unable to open database file (missing/names: "),
        (("-s", "dbm:missing/names"), "Error: dbm error in open: [Errno 2] No such file or directory: 'missing/names"),
        (("-n", "192.0.2.1"), "Error: [Errno 99] Cannot assign requested address: '192.0.2.1:0'\n"),
        (("-u", "missing/socket"), "Error: [Errno 2] No such file or directory: 'missing/socket'\n"),
        (("-n", "0.0.0.0", "--bchost", "192.0.2.1", "--bcport", "5"), ": '192.0.2.1:5'\n"),
        (("--nathost", "x", "-u", "y"), "Error: cannot use nathost together with unixsocket\n"),
    ],
)
def test_errors(start: Any, arguments: tuple[str, ...], text: str) -> None:
    """[CLI-6] [HRD-45] [NS-18] One line that names the file or the address, exit 1, no traceback."""
    tool = start("-p", "0", *arguments)
    assert tool.wait() == 1
    assert text in tool.errors
    assert tool.errors.startswith("Error: ")
    assert tool.errors.count("\n") == 1


def test_address_in_use(start: Any) -> None:
    """[CLI-6] [HRD-45] Somebody else is there."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        tool = start("-p", str(port), "-n", "127.0.0.1")
        assert tool.wait() == 1
    assert tool.errors == f"Error: [Errno 98] Address already in use: '127.0.0.1:{port}'\n"


def test_small_autoclean_interval(start: Any) -> None:
    """[NS-27] [CLI-6]."""
    tool = start("-p", "0", PYRO_NS_AUTOCLEAN="1")
    assert tool.wait() == 1
    assert tool.errors == "Error: NS_AUTOCLEAN cannot be smaller than 3\n"


def test_calls_in_progress_are_finished(start: Any, servertype: str, tmp_path: Path) -> None:
    """[BYD-5] [NS-36] At SIGTERM clients get the answers they wait for."""
    tool = start("-p", "0", "-s", "sql:names.sqlite", PYRO_SERVERTYPE=servertype)
    uri = URI(tool.wait_for("URI = "))
    registered, failures = [], []

    def register(client: int) -> None:
        with Proxy(uri) as nameserver:
            for number in range(10_000):
                name = f"{client}.{number}"
                try:
                    nameserver.register(name, "PYRO:o@h:1")
                except CommunicationError as error:
                    failures.append(error)
                    return
                registered.append(name)

    threads = [threading.Thread(target=register, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(registered) < 30 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert tool.end() == 0
    for thread in threads:
        thread.join()
    assert tool.errors == ""
    assert len(failures) == 3
    tool = start("-p", "0", "-s", "sql:names.sqlite")
    with Proxy(tool.wait_for("URI = ")) as nameserver:
        assert set(registered) <= set(nameserver.list())
    assert tool.end() == 0


def test_accepted_serializers(start: Any) -> None:
    """[NS-21] Which serializers are accepted is configured as for every daemon."""
    tool = start("-p", "0", PYRO_SERIALIZERS_ACCEPTED="pickle,json")
    uri = URI(tool.wait_for("URI = "))
    with Proxy(uri) as nameserver:
        nameserver._pyroSerializer = "pickle"
        assert nameserver.count() == 1
    with Proxy(uri) as nameserver, pytest.raises(CommunicationError, match="serializer that is not accepted"):
        nameserver.ping()
    assert tool.end() == 0
