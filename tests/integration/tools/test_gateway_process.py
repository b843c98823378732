"""The HTTP gateway as a process, over HTTP ([HTTP-1], [HTTP-2], [HRD-41])."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pyrolite.testing.services import restored_config
from pyrolite.utils.httpgateway import main, pyro_app

from .gatewaysite import Site, running_site

pytest.importorskip("waitress")

MODULE = "pyrolite.utils.httpgateway"


@pytest.fixture
def site(pyro_leakcheck: None) -> Iterator[Site]:
    with restored_config(), running_site() as running:
        yield running


@pytest.fixture
def gateway(site: Site, start_tool: Any) -> Any:
    """Start the gateway for the site; the tool and its port."""

    def start(*arguments: str, **environment: str) -> tuple[Any, int]:
        uri = site.nameserver._pyroUri
        settings = {"PYRO_NS_HOST": uri.host, "PYRO_NS_PORT": str(uri.port), **environment}
        tool = start_tool(MODULE, "-p", "0", *arguments, **settings)
        url = tool.wait_for("Pyro HTTP gateway running on http://127.0.0.1:")
        return tool, int(url.removesuffix("/pyro/"))

    return start


def ask(port: int, path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers
    finally:
        connection.close()


def test_session(gateway: Any, site: Site) -> None:
    """[CLI-1] [HTTP-2] [HTTP-7] What it prints, a few calls, and the access log."""
    tool, port = gateway()
    status, body, headers = ask(port, "/pyro/http.calculator/add?a=x&b=y")
    assert (status, body) == (200, '"xy"')
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Server" not in headers
    body = json.dumps({"a": 1, "b": [2]})
    status, body, headers = ask(port, "/pyro/http.calculator/add", "POST", body, Content_Type="application/json")
    assert (status, headers["X-Pyro-Error"]) == (500, "TypeError")
    assert ask(port, "/pyro/secret.calculator/echo")[0] == 403
    assert ask(port, "/")[2]["Location"] == "/pyro/"
    assert "http.calculator" in ask(port, "/pyro/")[1]
    assert ask(port, "/pyro/%0Ax?$key=abc")[0] == 404
    assert tool.end() == 0
    assert tool.lines == [
        "Exposing objects with names matching:  http\\.",
        f"Connected to name server at:  {site.nameserver._pyroUri}",
        f"Pyro HTTP gateway running on http://127.0.0.1:{port}/pyro/",
    ]
    log = tool.errors.splitlines()
    assert log[0].startswith("127.0.0.1 - - [")
    assert log[0].endswith('] "GET /pyro/http.calculator/add HTTP/1.1" 200 4')
    assert log[-1].endswith('"GET /pyro/\\nx HTTP/1.1" 404 20')
    assert "abc" not in tool.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(gateway: Any, number: int) -> None:
    """[CLI-6] Ends with 0, also with clients that are connected."""
    tool, port = gateway("-e", "", "-t", "5")
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /pyro/http.calculator/add?a=1 HTTP/1.1\r\nHost: x\r\n")
        assert tool.end(number) == 0
    assert tool.errors == ""
    assert tool.lines[0] == "Warning: exposing all objects (no expose regex set)"


def test_keys(gateway: Any, start_tool: Any) -> None:
    """[HTTP-1] [HTTP-5] [HRD-42] The key of the gateway comes from the environment or an option, not from both."""
    _, port = gateway(PYRO_HTTPGATEWAY_KEY="k\xe9y")
    for path in ("/pyro/", "/pyro/http.calculator/$meta"):
        assert ask(port, path)[:2] == (403, "403 Forbidden - incorrect gateway api key")
        assert ask(port, f"{path}?$key=k%C3%A9y")[0] == 200
        assert ask(port, path, X_Pyro_Gateway_Key="k\xe9y".encode())[0] == 200  # type: ignore[arg-type]
    tool, port = gateway("--gatewaykey", "other")
    assert ask(port, "/pyro/http.calculator/echo?message=1&$key=other")[:2] == (200, '"1"')
    tool = start_tool(MODULE, "-g", "x", PYRO_HTTPGATEWAY_KEY="y")
    assert tool.wait() == 1
    assert tool.errors == "error: don't use -g and PYRO_HTTPGATEWAY_KEY at the same time\n"
    tool = start_tool(MODULE, "-k", "x", PYRO_HMAC_KEY="y")
    assert tool.wait() == 1
    assert tool.errors == "error: don't use -k and PYRO_HMAC_KEY at the same time\n"


def test_starts_before_the_name_server(start_tool: Any, free_port: int) -> None:
    """[HTTP-2] [HTTP-12] The name server may come later, and go and come again."""
    settings = {"PYRO_NS_PORT": str(free_port), "PYRO_NS_HOST": "127.0.0.1", "PYRO_BROADCAST_ADDRS": "127.0.0.1"}
    settings["PYRO_NS_BCPORT"] = str(free_port)
    tool = start_tool(MODULE, "-p", "0", "-e", "Pyro", **settings)
    tool.wait_for("Not yet connected to a name server.")
    port = int(tool.wait_for("Pyro HTTP gateway running on http://127.0.0.1:").removesuffix("/pyro/"))
    for _ in range(2):
        names = start_tool("pyrolite.naming", "-n", "127.0.0.1", **settings)
        names.wait_for("URI = ")
        assert ask(port, "/pyro/Pyro.NameServer/count")[:2] == (200, "1")
        assert names.end() == 0
    assert tool.end() == 0
    assert tool.lines.count("Connection with nameserver lost, reconnecting...") == 1


@pytest.mark.usefixtures("pyro_config")
def test_wrong_options(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """[CLI-2] [CLI-6] One line."""
    for name in ("ns_regex", "hmac_key", "gateway_key", "comm_timeout"):
        monkeypatch.setattr(pyro_app, name, getattr(pyro_app, name))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, code, text in (
            (("-p", port), 1, "Error: [Errno "),
            (("-p", "70000"), 1, "Error: port must be 0 to 65535, not 70000\n"),
            (("-e", "(("), 1, "Error: '((' is no regular expression: "),
            (("-t", "-1"), 1, "Error: COMMTIMEOUT must be 0 or more"),
            (("-t", "x"), 2, "usage: pyrolite-httpgateway"),
        ):
            with pytest.raises(SystemExit) as end:
                main(arguments)
            assert end.value.code == code
            captured = capsys.readouterr()
            assert captured.out == ""
            assert captured.err.startswith(text)
            assert code == 2 or captured.err.count("\n") == 1


def test_slow_and_large_requests(gateway: Any) -> None:
    """[HTTP-16] [HRD-41] Clients that do not end their requests are dropped; too large ones are refused at once."""
    tool, port = gateway(PYRO_MAX_MESSAGE_SIZE="2000")
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        slow.sendall(b"POST /pyro/http.calculator/echo HTTP/1.1\r\nHost: x\r\nContent-Le")
        for length, status in ((b"99999", b"413"), (b"-1", b"400"), (b"x", b"400")):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
                sock.sendall(b"POST /pyro/http.calculator/echo HTTP/1.1\r\nHost: x\r\nContent-Length: " + length)
                sock.sendall(b"\r\n\r\n")
                assert sock.recv(100).split()[1] == status
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.sendall(b"POST /pyro/http.calculator/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            sock.sendall((b"400\r\n" + b"x" * 0x400 + b"\r\n") * 4 + b"0\r\n\r\n")
            assert sock.recv(100).split()[1] == b"413"
        assert ask(port, "/pyro/http.calculator/echo?message=1")[0] == 200
        assert slow.recv(100) == b""
    assert 5 < time.monotonic() - begin < 25
    assert tool.end() == 0


def test_many_clients(gateway: Any) -> None:
    """[HTTP-12] [HRD-41] Several at a time."""
    _, port = gateway()
    results = []

    def calls(number: int) -> None:
        for _ in range(5):
            results.append(ask(port, f"/pyro/http.calculator/echo?message={number}")[1] == f'"{number}"')

    threads = [threading.Thread(target=calls, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40
