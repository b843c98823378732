"""``python -m pyrolite.serve`` as a process ([BYD-22])."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from pyrolite.core import URI, Proxy
from pyrolite.errors import CommunicationError
from pyrolite.naming import locateNS
from pyrolite.testing import running_nameserver

MODULE = "pyrolite.serve"
NO_KEY = "Warning: HMAC key not set. Anyone can connect to this server!"

SHOP = """
import time
import pyrolite

@pyrolite.expose
class Stock:
    def count(self, what):
        return 3

    def slow(self):
        print("slow begins", flush=True)
        time.sleep(0.6)
        return "done"

    class Shelf:
        def look(self):
            return "empty"

class Plain:
    def look(self):
        return "here"

@pyrolite.expose
class Till:
    total = 7
    def read(self):
        return self.total

till = Till()
till.total = 12
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, pyro_leakcheck: None) -> None:
    """A module in the directory where the tool runs."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "broken.py").write_text("1/0\n")


@pytest.fixture
def serve(start_tool: Any, tmp_path: Path) -> Any:
    def start(*arguments: str, **environment: str) -> Any:
        return start_tool(MODULE, *arguments, PYTHONPATH=f"{Path(__file__).parents[3]}:{tmp_path}", **environment)

    return start


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_classes_and_objects(serve: Any, servertype: str) -> None:
    """[BYD-22] With names of their own or those of the command line."""
    tool = serve("shop:Stock", "cash=shop:till", "-s", servertype)
    stock, cash = tool.wait_for("Stock: "), tool.wait_for("cash: ")
    tool.wait_for("Pyro daemon running.")
    assert (URI(stock).object, URI(cash).object, URI(cash).host) == ("Stock", "cash", "localhost")
    with Proxy(stock) as proxy:
        assert proxy.count("pen") == 3
    with Proxy(cash) as proxy:
        assert proxy.read() == 12
    assert tool.end() == 0
    assert tool.errors == ""
    assert tool.lines == [NO_KEY, f"Stock: {stock}", f"cash: {cash}", "Pyro daemon running."]


def test_unix_socket_and_key(serve: Any, tmp_path: Path) -> None:
    """[BYD-22] [CLI-5] [CLI-6]"""
    tool = serve("shop:till", "-u", str(tmp_path / "sock"), PYRO_HMAC_KEY="k")
    uri = tool.wait_for("till: ")
    assert uri == f"PYRO:till@./u:{tmp_path}/sock"
    tool.wait_for("Pyro daemon running.")
    assert NO_KEY not in tool.lines
    with Proxy(uri) as proxy:
        with pytest.raises(CommunicationError):
            proxy._pyroBind()
        proxy._pyroHmacKey = "k"
        assert proxy.read() == 12
    assert tool.end(signal.SIGINT) == 0
    assert not (tmp_path / "sock").exists()


@pytest.mark.usefixtures("pyro_config")
def test_name_server(serve: Any) -> None:
    """[BYD-22] Names are registered, and removed at the end, unless they have become those of others."""
    with running_nameserver(hmac_key="k") as running, locateNS(hmac_key="k") as nameserver:
        settings = {"PYRO_NS_HOST": "127.0.0.1", "PYRO_NS_PORT": str(running.uri.port), "PYRO_HMAC_KEY": "k"}
        tool = serve("-n", "example.stock=shop:Stock", "example.till=shop:till", **settings)
        uri = tool.wait_for("example.stock: ")
        assert tool.wait_for("registered in the name server at ") == running.uri.location
        tool.wait_for("Pyro daemon running.")
        assert str(nameserver.lookup("example.stock")) == uri
        nameserver.register("example.till", "PYRO:other@h:1")
        assert tool.end() == 0
        assert tool.errors == ""
        assert set(nameserver.list()) == {"Pyro.NameServer", "example.till"}


@pytest.mark.usefixtures("pyro_config")
def test_names_are_leases(serve: Any) -> None:
    """[BYD-14] [BYD-22] After a kill the name vanishes."""
    with running_nameserver() as running, locateNS() as nameserver:
        settings = {"PYRO_NS_HOST": "127.0.0.1", "PYRO_NS_PORT": str(running.uri.port)}
        tool = serve("-n", "--ttl", "1", "example.stock=shop:Stock", **settings)
        tool.wait_for("Pyro daemon running.")
        assert tool.end(signal.SIGKILL) == -signal.SIGKILL
        deadline = time.monotonic() + 30
        while "example.stock" in nameserver.list():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_calls_in_progress_are_finished(serve: Any) -> None:
    """[BYD-5] [BYD-22] At SIGTERM, within the time of ``--drain``."""
    for drain, finished in (("5", True), ("0", False)):
        tool = serve("shop:Stock", "--drain", drain)
        uri = tool.wait_for("Stock: ")
        with Proxy(uri) as proxy:
            proxy._pyroAsync()
            answer = proxy.slow()
            tool.wait_for("slow begins")
            tool.send(signal.SIGTERM)
            if finished:
                assert answer.value == "done"
            else:
                with pytest.raises(CommunicationError):
                    answer.value
        assert tool.wait() == 0


def test_exposure(serve: Any) -> None:
    """[BYD-22] What exposes nothing is refused; ``--expose-all`` warns."""
    tool = serve("shop:Plain")
    assert tool.wait() == 1
    assert tool.errors == "Error: Plain does not expose anything: put @expose before the class, or say --expose-all\n"
    tool = serve("--expose-all", "shop:Plain", "shelf=shop:Stock.Shelf")
    with Proxy(tool.wait_for("Plain: ")) as proxy:
        assert proxy.look() == "here"
    with Proxy(tool.wait_for("shelf: ")) as proxy:
        assert proxy.look() == "empty"
    assert tool.end() == 0
    assert tool.lines[0].startswith("Warning: everything public of these objects can be used by clients")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ((), 2, "nothing to publish"),
        (("shop",), 2, "'shop' does not have the form module:object"),
        (("shop:",), 2, "does not have the form"),
        (("shop:1x",), 2, "does not have the form"),
        (("shop:nothing",), 2, "shop has no nothing"),
        (("nowhere:x",), 2, "No module named 'nowhere'"),
        (("shop:till", "shop:till"), 2, "two objects of the name till"),
        (("shop:till", "--drain", "-1"), 2, "--drain must be 0 or more"),
        (("shop:till", "-s", "fast"), 2, "invalid choice"),
        (("shop:till", "-p", "77777"), 1, "Error: port must be 0 to 65535, not 77777"),
        (("a b=shop:till",), 1, "Error: "),
        (("broken:x",), 1, "ZeroDivisionError"),
    ],
)
def test_errors(arguments: tuple[str, ...], code: int, text: str, tmp_path: Path) -> None:
    """[BYD-22] [CLI-2] [CLI-6] One line for mistakes, the traceback for errors of the module."""
    program = "import sys; from pyrolite.serve import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == code
    assert text in done.stderr
    assert ("Traceback" in done.stderr) == (arguments == ("broken:x",))


def test_quiet(serve: Any, tmp_path: Path) -> None:
    """[BYD-22]"""
    (tmp_path / "ending.py").write_text(
        textwrap.dedent("""
            import os, signal, threading, pyrolite

            @pyrolite.expose
            class End:
                def now(self):
                    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        """)
    )
    tool = serve("-q", "-u", str(tmp_path / "sock"), "ending:End")
    with Proxy(f"PYRO:End@./u:{tmp_path}/sock") as proxy:
        for _ in range(400):
            try:
                proxy.now()
                break
            except CommunicationError:
                assert tool.process.poll() is None
                import time

                time.sleep(0.05)
    assert tool.wait() == 0
    assert tool.lines == []
    assert tool.errors == ""
