"""A live page of the laboratory for web browsers: python page.py [PORT]. Needs: pip install pyrolite-rpc[http].

The page itself is ``page.html``. What it shows comes through the HTTP gateway, which is a part of it: each request
below ``/pyro/`` is a call of a remote object.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from pyrolite.utils.httpgateway import pyro_app

PAGE = Path(__file__).resolve().with_name("page.html")
DEFAULT_PORT = 8080


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/":
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [PAGE.read_bytes()]
    return pyro_app(environ, start_response)


class Server(ThreadingMixIn, WSGIServer):
    """Serves several requests at the same time: one that waits for an instrument must not stop the others."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        pass


def end(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PORT
    signal.signal(signal.SIGTERM, end)
    pyro_app.ns_regex = r"lab\."  # the names that the page may use, and no others
    pyro_app.comm_timeout = 2.0
    with make_server("127.0.0.1", port, application, server_class=Server, handler_class=QuietHandler) as server:
        print(f"the page is ready: http://127.0.0.1:{server.server_port}/", flush=True)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            print("the page has closed", flush=True)


if __name__ == "__main__":
    main()
