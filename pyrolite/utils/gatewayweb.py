"""What the HTTP gateway needs of web libraries: reading requests, the page, the server ([HTTP-6], [HTTP-13], [HRD-41]).

The only module that imports werkzeug, jinja2 and waitress, which come with ``pip install pyrolite-rpc[http]``.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, TypeAlias

import jinja2
import waitress.server
import waitress.wasyncore
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from pyrolite.constants import VERSION

__all__ = ["RefusedRequest", "Row", "page_headers", "read_parameters", "render_page", "serve"]

WsgiApplication: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: Calls that are served at the same time, and connections that are open, at most ([HRD-41]).
THREADS: Final = 16
CONNECTIONS: Final = 200
#: Seconds that a client may take for its request, or be silent.
PATIENCE: Final = 10
#: Fields of a form, at most.
_FIELDS: Final = 1000


class RefusedRequest(Exception):
    """The request cannot be served; ``status`` and ``text`` are the answer."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


# ---- requests


def read_parameters(environ: dict[str, Any], limit: int) -> dict[str, list[Any]]:
    """The parameters of a request: the fields of its body, then those of its query; empty ones are left out.

    Args:
        environ: of the WSGI request.
        limit: bytes that the body may have, at most.

    Raises:
        RefusedRequest: the body is too large (413) or malformed (400).
    """
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise RefusedRequest("400 Bad Request", "Error 400: Content-Length is no number")
    if int(length) > limit:
        raise RefusedRequest("413 Request Entity Too Large", f"Error 413: more than {limit} bytes")
    request = Request(environ)
    request.max_content_length = request.max_form_memory_size = limit
    request.max_form_parts = _FIELDS
    try:
        with request:  # files that somebody sends are closed
            found = _body_fields(request) if request.method == "POST" else {}
            for name, values in _texts(request.args.lists()).items():
                found.setdefault(name, []).extend(values)
    except RequestEntityTooLarge as error:
        raise RefusedRequest("413 Request Entity Too Large", f"Error 413: more than {limit} bytes") from error
    except UnicodeDecodeError as error:
        raise RefusedRequest("400 Bad Request", "Error 400: the query is no UTF-8") from error
    return found


def _body_fields(request: Request) -> dict[str, list[Any]]:
    if request.mimetype == "application/json":
        return {name: [value] for name, value in _json_object(request).items()}
    if request.files:
        raise RefusedRequest("400 Bad Request", "Error 400: files cannot be passed")
    return _texts(request.form.lists())


def _texts(fields: Iterable[tuple[str, list[str]]]) -> dict[str, list[Any]]:
    found = {name: [value for value in values if value] for name, values in fields}
    return {name: values for name, values in found.items() if values}


def _json_object(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise RefusedRequest("400 Bad Request", "Error 400: the body is no JSON") from error
    if not isinstance(value, dict):
        raise RefusedRequest("400 Bad Request", "Error 400: the body is no JSON object of arguments")
    return value


# ---- the page


class Row(NamedTuple):
    """What the page shows of an object; ``error`` is why there is nothing to show."""

    name: str
    methods: list[str]
    attributes: list[str]
    error: str = ""


def _resource(name: str) -> str:
    return importlib.resources.files("pyrolite.utils").joinpath("explorer").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a Content-Security-Policy names an inline script or style."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"


_style: Final = _resource("page.css")
_script: Final = _resource("page.js")
_page: Final = jinja2.Environment(
    autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
).from_string(_resource("page.html"))
_POLICY: Final = (
    f"default-src 'none'; script-src {_hash(_script)}; style-src {_hash(_style)}; img-src data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page_headers() -> list[tuple[str, str]]:
    """The headers of the page: nothing runs but its own script, and nothing is loaded from elsewhere ([HRD-40])."""
    return [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", _POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
    ]


def render_page(
    *,
    location: str = "",
    rows: Iterable[Row] = (),
    total: int = 0,
    search: str = "",
    regex: str = "",
    key: str = "",
    wants_key: bool = False,
) -> bytes:
    """The home page, with everything in it escaped.

    Args:
        location: URI of the name server.
        rows: the objects to show.
        total: how many there are.
        search: what was searched for.
        regex: which objects may be used.
        key: the key of the gateway, when one is needed and the client has it.
        wants_key: ask for the key instead of showing anything.
    """
    text = _page.render(
        location=location,
        rows=list(rows),
        total=total,
        search=search,
        regex=regex,
        key=key,
        wants_key=wants_key,
        version=VERSION,
        style=_style,
        script=_script,
    )
    return text.encode("utf-8")


# ---- the server


def serve(
    application: WsgiApplication,
    sock: socket.socket,
    limit: int,
    serving: Callable[[Callable[[], None]], AbstractContextManager[None]],
) -> None:
    """Serve the application on a listening socket.

    Args:
        application: what answers the requests.
        sock: where clients connect.
        limit: bytes of the largest request.
        serving: makes of the function that ends the server the context in which it is to serve.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a call that waits for a thread is nothing special
    channels: dict[int, Any] = {}
    server = waitress.server.create_server(
        _logged(application),
        map=channels,
        sockets=[sock],
        threads=THREADS,
        connection_limit=CONNECTIONS,
        channel_timeout=PATIENCE,
        cleanup_interval=max(1, PATIENCE // 4),
        max_request_body_size=limit,
        max_request_header_size=1 << 16,
        clear_untrusted_proxy_headers=True,
        ident=None,
    )

    def close_all() -> None:
        waitress.wasyncore.close_all(channels, ignore_all=True)

    try:
        # the loop ends when there is nothing left to wait for; it closes everything itself, between two events
        with serving(lambda: server.trigger.pull_trigger(close_all)):
            server.run()
    finally:
        server.task_dispatcher.shutdown()
        close_all()


def _logged(application: WsgiApplication) -> WsgiApplication:
    """The application, with a line on stderr for each request, as web servers write them ([HTTP-2])."""

    def logged(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status = "-"

        def start(line: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            nonlocal status
            status = line.partition(" ")[0]
            return start_response(line, headers, *more)

        answer = list(application(environ, start))
        # the query may contain the key and the business of users
        line = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {environ['SERVER_PROTOCOL']}"
        shown = line.encode("unicode_escape").decode("ascii").replace('"', '\\"')
        when = time.strftime("%d/%b/%Y %H:%M:%S")
        sys.stderr.write(f'{environ.get("REMOTE_ADDR", "-")} - - [{when}] "{shown}" {status} {sum(map(len, answer))}\n')
        sys.stderr.flush()
        return answer

    return logged
