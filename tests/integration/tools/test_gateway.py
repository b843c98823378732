"""The HTTP gateway as a WSGI application ([HTTP-3] to [HTTP-18])."""

from __future__ import annotations

import html
import io
import json
import re
import sys
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults

import pytest

from pyrolite.configuration import config
from pyrolite.constants import VERSION
from pyrolite.core import Daemon, expose
from pyrolite.testing import running_daemon
from pyrolite.utils import httpgateway
from pyrolite.utils.httpgateway import get_nameserver, pyro_app, singlyfy_parameters

from .gatewaysite import HOSTILE, Site, running_site

pytest.importorskip("werkzeug")

MISSING_KEY = (403, "403 Forbidden - incorrect gateway api key")


@pytest.fixture(autouse=True)
def application(pyro_config: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings of the application are restored, and its name server is forgotten."""
    config.COMMTIMEOUT = 5.0
    for name in ("ns_regex", "hmac_key", "gateway_key", "comm_timeout"):
        monkeypatch.setattr(pyro_app, name, getattr(pyro_app, name))
    pyro_app.comm_timeout = 5.0
    yield
    if httpgateway._nameserver.proxy is not None:
        httpgateway._nameserver.proxy._pyroRelease()
        httpgateway._nameserver.proxy = None


@pytest.fixture
def site(pyro_leakcheck: None, application: None) -> Iterator[Site]:
    with running_site() as running:
        yield running
        if httpgateway._nameserver.proxy is not None:
            httpgateway._nameserver.proxy._pyroRelease()


class Answer(NamedTuple):
    status: int
    line: str
    headers: dict[str, str]
    body: bytes
    errors: str

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """Send a request to the application."""
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {"wsgi.errors": io.StringIO()}
    environ |= {"PATH_INFO": urllib.parse.unquote(path, "latin-1"), "QUERY_STRING": query, "REQUEST_METHOD": method}
    if body is not None:
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    setup_testing_defaults(environ)
    for name, value in headers.items():
        environ[name if name.startswith("CONTENT_") else f"HTTP_{name.upper()}"] = value
    started: list[Any] = []
    parts = list(pyro_app(environ, lambda status, headers: started.append((status, headers))))
    status, sent = started[0]
    assert len(started) == 1
    assert all(type(name) is type(value) is str and "\n" not in name + value for name, value in sent)
    assert len(dict(sent)) == len(sent)
    answer = Answer(int(status[:3]), status, dict(sent), b"".join(parts), environ["wsgi.errors"].getvalue())
    assert answer.headers["Content-Length"] == str(len(answer.body))
    return answer


def call(member: str, **options: str) -> Answer:
    return ask(f"/pyro/http.calculator/{member}", **options)


def post(member: str, body: str, kind: str = "application/x-www-form-urlencoded", query: str = "") -> Answer:
    return ask(f"/pyro/http.calculator/{member}?{query}", "POST", body.encode(), CONTENT_TYPE=kind)


# ---- routes


@pytest.mark.parametrize("path", ["", "/"])
def test_redirect(path: str) -> None:
    """[HTTP-4]"""
    answer = ask(path)
    assert (answer.line, answer.headers["Location"]) == ("302 Found", "/pyro/")


@pytest.mark.parametrize("path", ["/pyro", "/x", "/pyrox/", "//pyro/", "/pyro/name", "/pyro/name/", "/favicon.ico"])
def test_not_found(path: str) -> None:
    """[HTTP-4] Without asking the name server, which is not there."""
    answer = ask(path)
    assert (answer.line, answer.text) == ("404 Not Found", "Error 404: Not Found")
    assert answer.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "post"])
@pytest.mark.parametrize("path", ["/pyro/", "/pyro/http.x/y"])
def test_other_methods(method: str, path: str) -> None:
    """[HTTP-4]"""
    answer = ask(path, method)
    assert (answer.line, answer.text) == ("405 Method Not Allowed", "Error 405: Method Not Allowed")
    assert answer.headers["Content-Type"] == "text/plain"
    assert ask("/other", method).status == 404


# ---- calls


def test_call(site: Site) -> None:
    """[HTTP-6] [HTTP-7] Parameters of the query are texts; the body is the JSON of the answer."""
    answer = call("add?a=12&b=%C3%A4+%26")
    assert (answer.line, answer.json) == ("200 OK", "12ä &")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert uuid.UUID(answer.headers["X-Pyro-Correlation-Id"])
    assert call("echo?message=x&message=y").json == ["x", "y"]
    assert call("echo?message=").json is None
    assert call("whatever?a=&b=1&c=x&c=").json == {"b": "1", "c": "x"}
    assert call("nothing").json is None
    # the configuration of the program is left alone
    assert (config.SERIALIZER, config.COMMTIMEOUT) == ("serpent", 5.0)


def test_forms(site: Site) -> None:
    """[HTTP-6] [HTTP-17] Both kinds of forms, together with the query."""
    assert post("add", "a=1&b=%E2%82%AC").json == "1€"
    assert post("echo", "message=x", query="message=y&message=z").json == ["x", "y", "z"]
    assert post("whatever", "a=&b=2").json == {"b": "2"}
    lines = ["--bound", 'Content-Disposition: form-data; name="a"', "", "one", "--bound"]
    lines += ['Content-Disposition: form-data; name="b"', "", "zwö", "--bound--", ""]
    assert post("add", "\r\n".join(lines), "multipart/form-data; boundary=bound").json == "onezwö"
    file = ["--bound", 'Content-Disposition: form-data; name="a"; filename="x"', "", "one", "--bound--", ""]
    assert post("echo", "\r\n".join(file), "multipart/form-data; boundary=bound").status == 400
    assert post("whatever", "text", "text/plain").json == {}


def test_json_bodies(site: Site) -> None:
    """[HTTP-6] [HTTP-18] Arguments of all types."""
    kind = "application/json; charset=utf-8"
    assert post("add", '{"a": 1, "b": 2.5}', kind).json == 3.5
    assert post("echo", '{"message": [{"x": null}]}', kind).json == [{"x": None}]
    assert post("echo", '{"message": [[1], 2]}', kind).json == [[1], 2]
    assert post("echo", '{"message": ""}', kind).json == ""
    for wrong in ("", "[1]", "1", "{", '{"a": 1} x', "[" * 100_000, "\udcff".encode("utf-8", "surrogatepass").hex()):
        answer = post("echo", wrong, kind)
        assert answer.status == 400
        assert answer.text.startswith("Error 400: the body is no JSON")


@pytest.mark.parametrize(
    ("parameters", "result"),
    [
        ({"a": ["1"], "b": ["1", "2"]}, {"a": "1", "b": ["1", "2"]}),
        ({"a": "1", "b": (5,), "c": []}, {"a": "1", "b": 5, "c": []}),
    ],
)
def test_single_parameters(parameters: Any, result: Any) -> None:
    """[HTTP-6]"""
    assert singlyfy_parameters(parameters) is parameters
    assert parameters == result


def test_objects_in_answers(site: Site) -> None:
    """[HTTP-7] In class-dict form."""
    pyro_app.ns_regex = ""
    answer = ask("/pyro/Pyro.NameServer/lookup?name=http.gone").json
    assert answer == {"__class__": "Pyro4.core.URI", "state": ["PYRO", "gone", None, "127.0.0.1", 1]}


def test_not_finite(site: Site) -> None:
    """[HTTP-15]"""
    assert call("not_finite").body == b"NaN"


def test_metadata(site: Site) -> None:
    """[HTTP-8]"""
    meta = call("$meta").json
    assert set(meta) == {"methods", "attributes"}
    assert "add" in meta["methods"]
    assert meta["attributes"] == ["precision"]
    assert call("precision").json == 3
    answer = call("precision?x=1")
    assert (answer.status, answer.headers["X-Pyro-Error"]) == (500, "AssertionError")
    assert answer.json["__class__"] == "builtins.AssertionError"
    assert answer.json["args"] == ["attribute lookup can't have query parameters"]


def test_assertions_are_not_needed(run_python: Any) -> None:
    """[HTTP-8] What looks like an assertion works with ``python -O`` as well."""
    code = """
        from types import SimpleNamespace
        from pyrolite.utils.httpgateway import _answer
        try:
            _answer(SimpleNamespace(_pyroAttrs={"x"}), "x", {"a": 1}, set())
        except AssertionError as error:
            print(error)
    """
    done = run_python(code, options=("-O",))
    assert (done.stdout, done.stderr) == ("attribute lookup can't have query parameters\n", "")


def test_oneway(site: Site) -> None:
    """[HTTP-9] By the metadata, or by a header."""
    for answer in (
        call("note?text=x"),
        call("echo?message=1", X_Pyro_Options="oneway"),
        call("divide?a=1&b=2", X_Pyro_Options="other, oneway"),
    ):
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["X-Pyro-Correlation-Id"]
    assert call("echo?message=1", X_Pyro_Options="other").json == "1"


def test_remote_errors(site: Site) -> None:
    """[HTTP-10] [HTTP-14] As sent by the server, with its traceback."""
    answer = post("divide", '{"a": 1, "b": 0}', "application/json")
    assert answer.line == "500 Internal Server Error"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["X-Pyro-Error"] == "ZeroDivisionError"
    assert uuid.UUID(answer.headers["X-Pyro-Correlation-Id"])
    error = answer.json
    assert error["__class__"] == "builtins.ZeroDivisionError"
    assert error["__exception__"] is True
    assert error["args"] == ["division by zero"]
    assert "return a / b" in "".join(error["attributes"]["_pyroTraceback"])
    assert answer.errors == ""
    assert call("add?c=1").json["__class__"] == "builtins.TypeError"
    # what names a class there cannot add headers here
    assert re.fullmatch(r"[A-Za-z0-9_]+", call("strange").headers["X-Pyro-Error"])


def test_local_errors(site: Site) -> None:
    """[HTTP-10] [HTTP-14] The same form; the traceback is logged."""
    for path, name, text in (
        ("http.unknown/x?y=1", "Pyro4.errors.NamingError", "unknown name: http.unknown"),
        ("http.calculator/unknown", "builtins.AttributeError", "' has no exposed attribute or method 'unknown'"),
        ("http.gone/x", "Pyro4.errors.CommunicationError", "cannot connect to ('127.0.0.1', 1): "),
        ("http.calculator/items", "Pyro4.errors.ProtocolError", "result of call is an iterator"),
    ):
        answer = ask(f"/pyro/{path}")
        assert answer.status == 500
        assert (answer.json["__class__"], answer.json["__exception__"]) == (name, True)
        assert text in answer.json["args"][0]
        assert answer.headers["X-Pyro-Error"] == name.rpartition(".")[2]
        assert uuid.UUID(answer.headers["X-Pyro-Correlation-Id"])
        called, _, query = path.partition("?")
        assert answer.errors.startswith(f"ERROR handling {called} with params {dict(urllib.parse.parse_qsl(query))}:\n")
        assert "Traceback" in answer.errors
    assert "\n" not in ask("/pyro/http.unknown%0AERROR/x").errors.partition(" with params ")[0]
    # the gateway closes the stream with a oneway request, which the server may still be working on
    deadline = time.monotonic() + 10
    while site.daemon.streaming_responses and time.monotonic() < deadline:
        time.sleep(0.005)
    assert site.daemon.streaming_responses == {}


def test_correlation(site: Site) -> None:
    """[HTTP-11]"""
    given = uuid.uuid4()
    answer = call("correlation", X_Pyro_Correlation_Id=str(given))
    assert answer.json == answer.headers["X-Pyro-Correlation-Id"] == str(given)
    answer = call("correlation")
    assert answer.json == answer.headers["X-Pyro-Correlation-Id"] != str(given)
    answer = call("correlation", X_Pyro_Correlation_Id="none")
    assert (answer.status, answer.json["__class__"]) == (500, "builtins.ValueError")
    assert answer.json["args"] == ["badly formed hexadecimal UUID string"]
    from pyrolite import current_context

    assert current_context.correlation_id is None


# ---- who may do what


@pytest.mark.parametrize("name", ["secret.calculator", "Pyro.NameServer", "xhttp.calculator"])
def test_other_objects(site: Site, name: str) -> None:
    """[HTTP-5] Only names that begin with a match."""
    answer = ask(f"/pyro/{name}/$meta")
    assert (answer.line, answer.text) == (
        "403 Forbidden",
        "403 Forbidden - access to the requested object has been denied",
    )
    assert answer.headers["Content-Type"] == "text/plain"
    pyro_app.ns_regex = ""
    assert ask(f"/pyro/{name}/$meta").status == (500 if name.startswith("x") else 200)


def test_names_with_slashes(site: Site) -> None:
    """[HTTP-4] The last slash separates the method."""
    assert ask("/pyro/http.a/b/echo?message=1").json == "1"
    assert ask("/pyro/http.a%2Fb/echo?message=1").json == "1"


@pytest.mark.parametrize(
    "member",
    "__class__ __init__ __dunder__ _pyroInvoke _pyroRelease _pyroReconnect _pyroBind __getattr__ __setattr__ _precision"
    " _pyroUri".split(),
)
def test_private_names(site: Site, member: str) -> None:
    """[HRD-39] [HTTP-19] Nothing of the proxy itself can be reached, and nothing private of the object."""
    for query in ("", "?uri=PYRO:x@127.0.0.1:1", "?methodname=echo&vargs=&kwargs=&objectId=a/b", "?a=precision"):
        answer = call(member + query)
        assert answer.line == "403 Forbidden"
    assert ask(f"/pyro/http.calculator/{member}", "POST", b"{}", CONTENT_TYPE="application/json").status == 403


def test_only_members_of_the_metadata(site: Site) -> None:
    """[HRD-39] What would be a method of any proxy is none here, and dots lead nowhere."""
    for member in ("seen", "add.__call__", "add.__func__", "precision.real", "objectId", "$other", "<batch>"):
        answer = call(member)
        assert (answer.status, answer.json["__class__"]) == (500, "builtins.AttributeError")
    # parameters that are the names of the parameters of internal functions are arguments like others
    assert call("whatever?self=1&flags=2&objectId=a/b&methodname=x").status == 500
    assert call("whatever?flags=2&objectId=a/b&methodname=x").json == {
        "flags": "2",
        "objectId": "a/b",
        "methodname": "x",
    }


def test_gateway_key(site: Site) -> None:
    """[HTTP-5] [HTTP-16] [HRD-42] A key in a header or as a parameter, which is no argument; also for the page."""
    pyro_app.gateway_key = "kläy".encode()
    header = "kläy".encode().decode("latin-1")
    for path in ("", "http.calculator/$meta", "secret.calculator/x", "http.calculator/_x", "http.calculator/echo"):
        for more, headers in (
            ("", {}),
            ("?$key=wrong", {}),
            ("?$key=", {}),
            ("?$key=x&$key=kl%C3%A4y", {}),
            ("", {"X_Pyro_Gateway_Key": "kl"}),
            ("?$key=kl%C3%A4y", {"X_Pyro_Gateway_Key": "wrong"}),
        ):
            answer = ask(f"/pyro/{path}{more}", **headers)
            assert (answer.status, answer.text) == MISSING_KEY
            assert answer.headers["Content-Type"] == "text/plain"
    assert call("whatever?x=1", X_Pyro_Gateway_Key=header).json == {"x": "1"}
    assert call("whatever?x=1&$key=kl%C3%A4y").json == {"x": "1"}
    assert post("whatever", "x=1&$key=kl%C3%A4y").json == {"x": "1"}
    assert ask("/pyro/secret.calculator/x?$key=kl%C3%A4y").text.endswith("has been denied")
    page = ask("/pyro/?$key=kl%C3%A4y", Accept="text/html").text
    assert "http.calculator" in page
    assert '<input type="hidden" name="$key" value="kläy">' in page
    wanted = ask("/pyro/", Accept="text/html,*/*")
    assert (wanted.status, wanted.headers["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert MISSING_KEY[1] in wanted.text and '<input type="password" name="$key"' in wanted.text
    assert "http.calculator" not in wanted.text and "kläy" not in wanted.text
    assert all("Access-Control" not in name for name in wanted.headers)


def test_other_sites(site: Site) -> None:
    """[HTTP-16] [HTTP-19] Pages of other sites may neither read answers nor make calls."""
    answer = call("echo?message=1", Sec_Fetch_Site="cross-site", Origin="https://other.example")
    assert answer.status == 403
    for relation in ("same-origin", "none", "same-site"):
        answer = call("echo?message=1", Sec_Fetch_Site=relation)
        assert answer.status == 200
        assert not any(name.lower().startswith("access-control") for name in answer.headers)


def test_keys_of_pyro(application: None, pyro_leakcheck: None) -> None:
    """[HTTP-3] [HTTP-12] The name server and the objects may need a key."""
    with running_site("k") as site:
        answer = ask("/pyro/")
        assert (answer.status, answer.headers["X-Pyro-Error"]) == (500, "NamingError")
        pyro_app.hmac_key = b"k"
        assert call("echo?message=1").json == "1"
        assert "http.calculator" in ask("/pyro/").text
        httpgateway._nameserver.proxy._pyroRelease()  # type: ignore[union-attr]
        assert site.calculator.seen == []


def test_large_requests(site: Site) -> None:
    """[HTTP-16] [HRD-41] 10 MB, or what MAX_MESSAGE_SIZE says."""
    assert len(post("echo", "message=" + "x" * 1_000_000).json) == 1_000_000
    large = ask("/pyro/http.calculator/echo", "POST", b"", CONTENT_LENGTH=str((10 << 20) + 1))
    assert large.status == 413
    assert large.headers["Content-Type"] == "text/plain"
    with config.override(MAX_MESSAGE_SIZE=1000):
        assert post("echo", "message=" + "x" * 1000).status == 413
        assert post("echo", "message=1").json == "1"


def test_malformed_queries(site: Site) -> None:
    """[HTTP-6] Bytes that are no text in any way."""
    assert call("echo?message=%FF").json == "%FF"
    assert call("echo?message=\xff").status == 400


@pytest.mark.parametrize("length", ["-1", "x", "1x", "²", "+5", " 5", "1.0", "٣"])
def test_wrong_lengths(length: str) -> None:
    """[HRD-41]"""
    answer = ask("/pyro/http.x/y", "POST", b"", CONTENT_LENGTH=length)
    assert (answer.line, answer.headers["Content-Type"]) == ("400 Bad Request", "text/plain")


# ---- the name server


def test_name_server_is_not_there(free_port: int) -> None:
    """[HTTP-4]"""
    config.NS_HOST, config.NS_PORT, config.NS_BCPORT = "127.0.0.1", free_port, free_port
    config.BROADCAST_ADDRS = "127.0.0.1"
    answer = ask("/pyro/")
    assert answer.line == "500 Internal Server Error"
    assert answer.text == "Cannot connect to the Pyro name server. Is it running? Refresh page to retry."
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["X-Pyro-Error"] == "NamingError"
    answer = ask("/pyro/http.x/y")
    assert (answer.status, answer.json["__class__"]) == (500, "Pyro4.errors.NamingError")


def test_name_server_is_kept(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """[HTTP-12] One connection, which is made again when it is lost."""
    first = get_nameserver()
    assert get_nameserver(hmac=None) is first
    assert capsys.readouterr().out == ""
    first._pyroConnection.sock.shutdown(2)  # type: ignore[union-attr]
    again = get_nameserver()
    assert again is not first
    assert capsys.readouterr().out == "Connection with nameserver lost, reconnecting...\n"
    assert again.ping() is None


def test_many_threads(site: Site) -> None:
    """[HTTP-12] Servers with threads may use it."""
    results: list[Any] = []

    def calls(number: int) -> None:
        for round_ in range(10):
            value = f"{number}.{round_}"
            results.append(call(f"echo?message={value}").json == value)

    threads = [threading.Thread(target=calls, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 60


# ---- the page


def test_page(site: Site) -> None:
    """[HTTP-13] [HRD-40] What it shows, and what it may load."""
    answer = ask("/pyro/")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = answer.text
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>Pyro HTTP gateway</title>" in page
    assert len(page) > 1000
    assert str(site.nameserver._pyroUri) in page
    assert '<a href="/pyro/http.calculator/$meta">http.calculator</a>' in page
    assert "add, correlation, divide" in page and "<td>precision</td>" in page
    assert "secret.calculator" not in page
    assert "??error:CommunicationError: cannot connect to " in page
    assert f"pyrolite {VERSION}" in page
    assert "/pyro/Pyro.NameServer/$meta" in page and "/pyro/test.echoserver/echo?message=" in page
    # nothing is loaded from anywhere
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert not re.search(r"<(img|iframe|object|embed|link rel=.stylesheet)", page)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert not re.search(r"\son\w+=", page)


def test_page_escapes(site: Site) -> None:
    """[HTTP-13] [HRD-40] A name that would be a script is text."""
    page = ask(f"/pyro/?search={urllib.parse.quote(HOSTILE)}").text
    assert HOSTILE not in page
    assert HOSTILE in html.unescape(page)
    assert page.count("<script>") == 1
    assert "1 of 1 object " in page
    pyro_app.ns_regex = "(<b>)?"
    assert "(<b>)" not in ask("/pyro/?search=nothing+like+that").text


def test_page_shows_ten(site: Site) -> None:
    """[HTTP-13] [HTTP-18] Sorted, at most ten; a search finds the others."""
    for number in range(20):
        site.nameserver.register(f"http.many.{number:02}", "PYRO:gone@127.0.0.1:1")
    page = ask("/pyro/").text
    shown = re.findall(r'data-object="([^"]*)"', page)
    assert len(shown) == 10
    assert shown == sorted(shown)
    assert "10 of 24 objects" in page and "search to see others" in page
    assert re.findall(r'data-object="([^"]*)"', ask("/pyro/?search=MANY.1").text) == [
        f"http.many.{number}" for number in range(10, 20)
    ]


# ---- descriptions


def test_description(site: Site) -> None:
    """[DMN-82] [HTTP-18] Signatures and docstrings of what can be called."""
    described = call("$describe").json
    methods = {method["name"]: method for method in described["methods"]}
    assert set(methods) == set(call("$meta").json["methods"]) - {"__dunder__"}
    assert methods["add"]["signature"] == "(a: Any, b: Any = 2) -> Any"
    assert methods["add"]["doc"] == "Add two values."
    assert methods["add"]["parameters"] == [
        ["a", "POSITIONAL_OR_KEYWORD", None],
        ["b", "POSITIONAL_OR_KEYWORD", "2"],
    ]
    assert methods["whatever"]["parameters"] == [["more", "VAR_KEYWORD", None]]
    assert (methods["note"]["oneway"], methods["add"]["oneway"]) == (True, False)
    assert described["attributes"] == [
        {"name": "precision", "signature": None, "parameters": [], "doc": "Digits.", "oneway": False}
    ]


def test_description_of_other_servers(site: Site) -> None:
    """[HTTP-18] Daemons of Pyro4 do not know signatures."""
    from pyrolite.core import DaemonObject

    @expose
    class Old(DaemonObject):
        def get_metadata(self, objectId: str, as_lists: bool = False) -> Any:
            return super().get_metadata(objectId, as_lists)

    class OldDaemon(Daemon):
        def __init__(self, **options: Any) -> None:
            super().__init__(interface=Old, **options)

    from .gatewaysite import Calculator

    with running_daemon({"old": Calculator()}, daemon_class=OldDaemon) as running:
        site.nameserver.register("http.old", running.uris["old"])
        described = ask("/pyro/http.old/$describe").json
    add = next(method for method in described["methods"] if method["name"] == "add")
    assert add == {"name": "add", "signature": None, "parameters": [], "doc": "", "oneway": False}


def test_without_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """[HTTP-19] [OV-34] Without web libraries it can be imported, and says what to do when they are needed."""
    monkeypatch.setitem(sys.modules, "pyrolite.utils.gatewayweb", None)
    with pytest.raises(ImportError, match=r"pip install pyrolite-rpc\[http\]"):
        ask("/pyro/")
    assert ask("/").status == 302
