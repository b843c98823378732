"""``pyrolite-httpgateway``: calls of remote objects as HTTP requests with JSON answers ([HTTP-1] to [HTTP-19]).

`pyro_app` is a WSGI application for any server; `main` serves it. What needs web libraries is in
`pyrolite.utils.gatewayweb`, which is loaded when the first request comes or the server starts.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hmac as hmac_module
import importlib
import json
import re
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pyrolite import constants
from pyrolite.commandline import Lifetime, OptionParser, checked_port, errors_in_one_line, hmac_key, say
from pyrolite.configuration import Configuration, config, environment_text
from pyrolite.core import URI, Proxy, _locateNS, current_context
from pyrolite.core.context import set_aside
from pyrolite.core.message import Message
from pyrolite.core.names import is_private_attribute
from pyrolite.core.streamiterator import close_stream
from pyrolite.core.uri import bracketed
from pyrolite.errors import NamingError, ProtocolError, PyroError
from pyrolite.naming.service import address_named
from pyrolite.net import sockets
from pyrolite.serializers import get_serializer
from pyrolite.wire.message import ANNOTATION_STREAM, FLAGS_EXCEPTION, FLAGS_ITEMSTREAMRESULT, FLAGS_ONEWAY

__all__ = ["main", "pyro_app"]

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
Headers: TypeAlias = list[tuple[str, str]]

#: Objects that the page shows, and seconds that each may take to say what it has.
_SHOWN: Final = 10
_PATIENCE: Final = 3.0
#: Seconds that the name server may take for an answer, unless another timeout is set.
_NAMESERVER_PATIENCE: Final = 10.0
#: Bytes of a request, unless MAX_MESSAGE_SIZE is set ([HTTP-16]).
_LARGEST_REQUEST: Final = 10 << 20
_NO_NAMESERVER: Final = "Cannot connect to the Pyro name server. Is it running? Refresh page to retry."
_WRONG_KEY: Final = "403 Forbidden - incorrect gateway api key"
_JSON: Final = ("Content-Type", "application/json; charset=utf-8")

_EPILOG: Final = """\
examples:
  pyrolite-httpgateway                         objects whose names begin with http. at http://localhost:8080/pyro/
  pyrolite-httpgateway -e 'example\\.|test\\.'   those whose names begin with example. or test.
  PYRO_HTTPGATEWAY_KEY=... pyrolite-httpgateway -H 192.168.1.5 -t 10
                                               for the network, with a key, and 10 seconds for a call

A call is a request:
  curl 'http://localhost:8080/pyro/http.calculator/add?a=1&b=2'
  curl -H 'X-Pyro-Gateway-Key: ...' -H 'Content-Type: application/json' -d '{"a": 1, "b": 2}' \\
       http://localhost:8080/pyro/http.calculator/add

Environment variables: PYRO_HMAC_KEY is the key of the Pyro servers, PYRO_HTTPGATEWAY_KEY the one of the gateway.
It needs some web libraries: pip install pyrolite-rpc[http]
Exit code: 0 ended by a signal, 1 error, 2 wrong usage.
"""


class _Application:
    """The WSGI application; its settings are attributes ([HTTP-3]).

    Thread safety: may be called from any thread; the settings are to be made before.
    """

    #: Which names of the name server may be used: those that begin with a match. Empty: all.
    ns_regex: str = r"http\."
    #: The key of the Pyro servers.
    hmac_key: bytes | None = None
    #: The key that clients of the gateway need.
    gateway_key: bytes | None = None
    #: Seconds for each step of a call; 0: no limit.
    comm_timeout: float = config.COMMTIMEOUT or 0.0

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        """Answer a request ([HTTP-4])."""
        path = _path(environ)
        if path in {"", "/"}:
            return redirect(start_response, "/pyro/")
        if not path.startswith("/pyro/"):
            return not_found(start_response)
        if environ["REQUEST_METHOD"] not in {"GET", "POST"}:
            return invalid_request(start_response)
        web = _web()
        try:
            parameters = singlyfy_parameters(web.read_parameters(environ, _largest_request()))
        except web.RefusedRequest as refused:
            return _plain(start_response, refused.status, refused.text)
        path = path[len("/pyro/") :]
        if path:
            return process_pyro_request(environ, path, parameters, start_response)
        return _homepage(environ, parameters, start_response)


pyro_app: _Application = _Application()


def _web() -> Any:
    """The module with the web libraries."""
    try:
        return importlib.import_module("pyrolite.utils.gatewayweb")
    except ImportError as error:
        raise ImportError(f"the HTTP gateway needs web libraries ({error}): pip install pyrolite-rpc[http]") from error


def _path(environ: Environ) -> str:
    """The path of the request, whose bytes WSGI gives as Latin-1."""
    path: str = environ.get("PATH_INFO", "")
    return path.encode("latin-1").decode("utf-8", "replace")


def _largest_request() -> int:
    return config.MAX_MESSAGE_SIZE or _LARGEST_REQUEST


def singlyfy_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """The same dict, with lists of one item replaced by the item ([HTTP-6])."""
    for name, value in parameters.items():
        if isinstance(value, (list, tuple)) and len(value) == 1:
            parameters[name] = value[0]
    return parameters


# ---- simple answers


def _plain(
    start_response: StartResponse, status: str, text: str, headers: Sequence[tuple[str, str]] = ()
) -> list[bytes]:
    body = text.encode("utf-8")
    start_response(
        status,
        [
            ("Content-Type", "text/plain"),
            ("X-Content-Type-Options", "nosniff"),
            ("Content-Length", str(len(body))),
            *headers,
        ],
    )
    return [body]


def invalid_request(start_response: StartResponse) -> list[bytes]:
    """Answer that only GET and POST are understood."""
    return _plain(start_response, "405 Method Not Allowed", "Error 405: Method Not Allowed", [("Allow", "GET, POST")])


def not_found(start_response: StartResponse) -> list[bytes]:
    """Answer that there is nothing."""
    return _plain(start_response, "404 Not Found", "Error 404: Not Found")


def redirect(start_response: StartResponse, target: str) -> list[bytes]:
    """Answer with another place to look at."""
    start_response("302 Found", [("Location", target), ("Content-Length", "0")])
    return [b""]


# ---- who may do what


def _key_is_right(environ: Environ, parameters: dict[str, Any]) -> bool:
    """Whether the client has the key of the gateway, if there is one; takes it out of the parameters ([HTTP-5])."""
    given = parameters.pop("$key", None)
    wanted = pyro_app.gateway_key
    if not wanted:
        return True
    header: str | None = environ.get("HTTP_X_PYRO_GATEWAY_KEY")
    if header is not None:
        candidate = header.encode("latin-1")
    elif isinstance(given, str):
        candidate = given.encode("utf-8", "surrogatepass")
    else:
        return False
    return hmac_module.compare_digest(candidate, _bytes(wanted))


def _bytes(key: bytes | str) -> bytes:
    return key.encode("utf-8") if isinstance(key, str) else key


def _may_be_used(name: str) -> bool:
    return not pyro_app.ns_regex or re.match(pyro_app.ns_regex, name) is not None


# ---- the name server


class _NameServer:
    """The proxy of the name server, which all threads share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # protects what follows; it is held while the name server is being located
        self.proxy: Proxy | None = None
        self.key: bytes | str | None = None


_nameserver = _NameServer()


def get_nameserver(hmac: bytes | str | None = None) -> Proxy:
    """A proxy of the name server that has just answered a ping ([HTTP-12]).

    Args:
        hmac: its key.

    Raises:
        NamingError: there is none.
    """
    with _nameserver.lock:
        proxy = _nameserver.proxy
        if proxy is not None and _nameserver.key == hmac:
            try:
                proxy.ping()
            except PyroError:
                say("Connection with nameserver lost, reconnecting...")
                proxy._pyroRelease()
            else:
                return proxy
        _nameserver.proxy = None
        with set_aside():
            # everybody waits for it, so it gets some time even when calls get all the time they want
            proxy = _locateNS(hmac_key=hmac, config=_configuration(pyro_app.comm_timeout or _NAMESERVER_PATIENCE))
            proxy.ping()
        _nameserver.proxy, _nameserver.key = proxy, hmac
        return proxy


def _configuration(timeout: float) -> Configuration:
    """The configuration of the proxies: answers are JSON, and nothing is waited for too long; not the global one."""
    return config.copy(SERIALIZER="json", COMMTIMEOUT=timeout, METADATA=True)


def _proxy(uri: URI | str) -> Proxy:
    proxy = Proxy(uri, config=_configuration(pyro_app.comm_timeout))
    proxy._pyroSerializer = "json"
    proxy._pyroHmacKey = pyro_app.hmac_key
    return proxy


# ---- calls


def process_pyro_request(
    environ: Environ, path: str, parameters: dict[str, Any], start_response: StartResponse
) -> list[bytes]:
    """Make the call that ``path`` (``object/method``) asks for, with the parameters as keyword arguments ([HTTP-5])."""
    object_name, _, method = path.rpartition("/")
    if not object_name or not method:
        return not_found(start_response)
    refusal = _refusal(environ, object_name, method, parameters)
    if refusal:
        return _plain(start_response, "403 Forbidden", refusal)
    correlation_id = uuid.uuid4()
    try:
        with _correlated(environ, correlation_id) as correlation_id:
            body, failed = _call(environ, object_name, method, parameters)
    except Exception as error:
        shown = path.encode("unicode_escape").decode("ascii")  # nobody is to write lines of his own into the log
        environ["wsgi.errors"].write(f"ERROR handling {shown} with params {parameters!r}:\n{traceback.format_exc()}")
        body, failed = _error_body(error), type(error).__name__
    status = "200 OK"
    headers = [_JSON, ("X-Content-Type-Options", "nosniff"), ("X-Pyro-Correlation-Id", str(correlation_id))]
    if failed:
        status = "500 Internal Server Error"
        headers.append(("X-Pyro-Error", failed))
    headers.append(("Content-Length", str(len(body))))
    start_response(status, headers)
    return [body]


def _refusal(environ: Environ, object_name: str, method: str, parameters: dict[str, Any]) -> str:
    """Why the request is refused with 403; empty when it is not."""
    if not _key_is_right(environ, parameters):
        return _WRONG_KEY
    if environ.get("HTTP_SEC_FETCH_SITE") == "cross-site":
        return "403 Forbidden - pages of other sites cannot make calls"
    if not _may_be_used(object_name):
        return "403 Forbidden - access to the requested object has been denied"
    if method.startswith("_"):
        return "403 Forbidden - private names cannot be used"
    return ""


@contextlib.contextmanager
def _correlated(environ: Environ, correlation_id: uuid.UUID) -> Iterator[uuid.UUID]:
    """Send the client's correlation id with the calls that are made, or else the given one ([HTTP-11])."""
    wanted = environ.get("HTTP_X_PYRO_CORRELATION_ID")
    if wanted:
        correlation_id = uuid.UUID(wanted)
    with set_aside():
        current_context.correlation_id = correlation_id
        yield correlation_id


def _call(environ: Environ, object_name: str, method: str, parameters: dict[str, Any]) -> tuple[bytes, str]:
    """The JSON that the remote object answers with, and the name of the exception's class when it is one."""
    uri = get_nameserver(_key_or_none()).lookup(object_name)
    with _proxy(uri) as proxy:
        proxy._pyroBind()
        if not (proxy._pyroMethods or proxy._pyroAttrs):
            proxy._pyroGetMetadata()
        if method == "$meta":
            return _dumped({"methods": sorted(proxy._pyroMethods), "attributes": sorted(proxy._pyroAttrs)}), ""
        if method == "$describe":
            return _dumped(_description(proxy)), ""
        return _answer(proxy, method, parameters, _options(environ))


def _key_or_none() -> bytes | None:
    return _bytes(pyro_app.hmac_key) if pyro_app.hmac_key else None


def _options(environ: Environ) -> set[str]:
    return {option.strip().lower() for option in environ.get("HTTP_X_PYRO_OPTIONS", "").split(",")}


def _answer(proxy: Proxy, member: str, parameters: dict[str, Any], options: set[str]) -> tuple[bytes, str]:
    """Call a method, or get an attribute, if it is in the metadata ([HRD-39])."""
    proxy._pyroRawWireResponse = True
    if member in proxy._pyroAttrs and not is_private_attribute(member):
        if parameters:
            raise AssertionError("attribute lookup can't have query parameters")
        message = proxy._pyroInvoke("__getattr__", (member,), None)
    elif member in proxy._pyroMethods and not is_private_attribute(member):
        message = proxy._pyroInvoke(member, (), parameters, FLAGS_ONEWAY if "oneway" in options else 0)
    else:
        raise AttributeError(f"remote object '{proxy._pyroUri}' has no exposed attribute or method '{member}'")
    if message is None:
        return b"", ""
    if message.flags & FLAGS_ITEMSTREAMRESULT:
        _forget_stream(proxy, message)
        raise ProtocolError("result of call is an iterator")
    body = bytes(message.data)
    return body, _class_name(body) if message.flags & FLAGS_EXCEPTION else ""


def _forget_stream(proxy: Proxy, message: Message) -> None:
    """Tell the server at once that nobody is going to read the stream."""
    stream_id = message.annotations.get(ANNOTATION_STREAM)
    if stream_id is not None:
        close_stream(proxy, bytes(stream_id).decode("ascii", "replace"))


def _class_name(body: bytes) -> str:
    """The name of the class of the exception in ``body``, in characters that a header may have ([HTTP-14])."""
    try:
        name = json.loads(body)["__class__"].rpartition(".")[2]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "Exception"
    return re.sub(r"[^A-Za-z0-9_]", "", name) or "Exception"


def _dumped(value: Any) -> bytes:
    return get_serializer("json").dumps(value)


def _error_body(error: Exception) -> bytes:
    """The same form as that of remote exceptions ([HTTP-10])."""
    try:
        return _dumped(error)
    except Exception as why:  # what is in the exception comes from elsewhere
        return _dumped(PyroError(f"{type(error).__name__}: {error} (which has no form in JSON: {type(why).__name__})"))


def _description(proxy: Proxy) -> dict[str, Any]:
    """The members with signatures and docstrings, as far as the server tells them ([HTTP-18])."""
    details: Any = {}
    try:
        metadata = proxy._pyroInvoke(
            "get_metadata",
            [proxy._pyroUri.object],
            {"as_lists": True, "details": True},
            objectId=constants.DAEMON_NAME,
        )
        details = metadata["details"]
    except (TypeError, LookupError, AttributeError):  # Pyro4's daemon knows the names only
        details = {}
    if not isinstance(details, Mapping):
        details = {}

    def described(name: str) -> dict[str, Any]:
        told = details.get(name)
        told = told if isinstance(told, Mapping) else {}
        return {
            "name": name,
            "signature": told.get("signature"),
            "parameters": told.get("parameters", []),
            "doc": told.get("doc", ""),
            "oneway": name in proxy._pyroOneway,
        }

    usable = [name for name in sorted(proxy._pyroMethods) if not name.startswith("_")]
    return {
        "methods": [described(name) for name in usable],
        "attributes": [described(name) for name in sorted(proxy._pyroAttrs) if not name.startswith("_")],
    }


# ---- the page


def return_homepage(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer with the page that shows what there is ([HTTP-13])."""
    web = _web()
    try:
        parameters = singlyfy_parameters(web.read_parameters(environ, _largest_request()))
    except web.RefusedRequest as refused:
        return _plain(start_response, refused.status, refused.text)
    return _homepage(environ, parameters, start_response)


def _homepage(environ: Environ, parameters: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    web = _web()
    if not _key_is_right(environ, parameters):
        if "text/html" not in environ.get("HTTP_ACCEPT", ""):
            return _plain(start_response, "403 Forbidden", _WRONG_KEY)
        return _page(start_response, "403 Forbidden", web.render_page(wants_key=True))
    try:
        nameserver = get_nameserver(_key_or_none())
        with set_aside():
            registered = nameserver.list()
    except PyroError as error:
        environ["wsgi.errors"].write(f"ERROR asking the name server: {error}\n")
        headers = [("X-Pyro-Error", type(error).__name__)]
        return _plain(start_response, "500 Internal Server Error", _NO_NAMESERVER, headers)
    search = str(parameters.get("search", ""))
    names = sorted(name for name in registered if _may_be_used(name) and search.lower() in name.lower())
    shown = [(name, str(registered[name])) for name in names[:_SHOWN]]
    with concurrent.futures.ThreadPoolExecutor(_SHOWN, thread_name_prefix="pyrolite-gateway-page") as pool:
        rows = list(pool.map(lambda entry: _row(*entry), shown))
    body = web.render_page(
        location=str(nameserver._pyroUri),
        rows=rows,
        total=len(names),
        search=search,
        regex=pyro_app.ns_regex,
        key=_bytes(pyro_app.gateway_key).decode("utf-8", "replace") if pyro_app.gateway_key else "",
    )
    return _page(start_response, "200 OK", body)


def _page(start_response: StartResponse, status: str, body: bytes) -> list[bytes]:
    start_response(status, [*_web().page_headers(), ("Content-Length", str(len(body)))])
    return [body]


def _row(name: str, uri: str) -> Any:
    """What the page shows of an object, which may not be there any more."""
    make = _web().Row
    try:
        with _proxy(uri) as proxy:
            proxy._pyroTimeout = min(pyro_app.comm_timeout or _PATIENCE, _PATIENCE)
            proxy._pyroBind()
            return make(name, sorted(proxy._pyroMethods), sorted(proxy._pyroAttrs))
    except Exception as error:
        return make(name, [], [], f"{type(error).__name__}: {error}")


# ---- the command


def main(args: Sequence[str] | None = None) -> int:
    """Run the gateway with these arguments, default those of the process; 0 when serving has ended.

    Raises:
        SystemExit: the arguments are wrong (2), or something cannot be used (1).
    """
    parser = OptionParser("pyrolite-httpgateway", "Make calls of Pyro objects possible over HTTP.", _EPILOG)
    parser.add_argument("-H", "--host", default="localhost", help="hostname to bind the server on (default: localhost)")
    parser.add_argument("-p", "--port", type=int, default=8080, help="port to bind the server on (default: 8080)")
    parser.add_argument(
        "-e", "--expose", metavar="REGEX", default=_Application.ns_regex, help=r"objects to expose (default: http\.)"
    )
    parser.add_argument("-k", "--pyrokey", metavar="KEY", help="the HMAC key of the Pyro servers (deprecated)")
    parser.add_argument("-g", "--gatewaykey", metavar="KEY", help="the key that clients of the gateway need")
    parser.add_argument(
        "-t",
        "--timeout",
        type=float,
        default=config.COMMTIMEOUT or 0.0,
        help="seconds for a step of a call (0=no limit)",
    )
    options, _ = parser.parse(args)
    pyro_key = hmac_key(options.pyrokey)
    gateway_key = _gateway_key(options.gatewaykey)
    with errors_in_one_line(), Lifetime() as lifetime:
        checked_port(options.port)
        _check_regex(options.expose)
        web = _web()
        pyro_app.ns_regex = options.expose
        pyro_app.hmac_key, pyro_app.gateway_key = pyro_key, gateway_key
        pyro_app.comm_timeout = options.timeout
        _configuration(options.timeout)  # refuses timeouts that are none
        with address_named(None, options.host, options.port):
            sock = sockets.createSocket(bind=(options.host, options.port), reuseaddr=config.SOCK_REUSE)
        try:
            if pyro_app.ns_regex:
                say(f"Exposing objects with names matching:  {pyro_app.ns_regex}")
            else:
                say("Warning: exposing all objects (no expose regex set)")
            try:
                say(f"Connected to name server at:  {get_nameserver(_key_or_none())._pyroUri}")
            except NamingError:
                say("Not yet connected to a name server.")
            host, port = sock.getsockname()[:2]
            say(f"Pyro HTTP gateway running on http://{bracketed(host)}:{port}/pyro/")
            web.serve(pyro_app, sock, _largest_request(), lifetime.serving)
        finally:
            sock.close()
    return 0


def _check_regex(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error


def _gateway_key(given: str | None) -> bytes | None:
    """The key of option ``-g``, or else of the environment ([HTTP-1]).

    Raises:
        SystemExit: there are both.
    """
    configured = environment_text("HTTPGATEWAY_KEY")
    if given and configured:
        raise SystemExit("error: don't use -g and PYRO_HTTPGATEWAY_KEY at the same time")
    key = given or configured
    return key.encode("utf-8") if key else None


if __name__ == "__main__":
    raise SystemExit(main())
