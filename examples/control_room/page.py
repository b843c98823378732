"""A live page of the laboratory for web browsers: python page.py [PORT]. Needs: pip install pyrolite-rpc[http].

The page itself is ``page.html``. Measurements are pushed to it: `Watcher` reads the streams of the instruments, as for
the dashboard, and ``/live`` hands on what it knows. The buttons go through the HTTP gateway, which is a part of this
server: each request below ``/pyro/`` is a call of a remote object.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from watching import Watcher

from pyrolite.utils.httpgateway import pyro_app

PAGE = Path(__file__).resolve().with_name("page.html")
DEFAULT_PORT = 8080
#: Seconds between measurements, and between two messages to a browser.
INTERVAL, PUSH = 0.5, 0.25


class Laboratory:
    """The WSGI application: the page, what it shows, and what it can do."""

    def __init__(self) -> None:
        self._events: deque[str] = deque(maxlen=8)
        self._ended = threading.Event()
        self._watcher = Watcher(INTERVAL, self._tell)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/":
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
            return [PAGE.read_bytes()]
        if environ["PATH_INFO"] == "/live":
            start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
            return self._live()
        return pyro_app(environ, start_response)

    def close(self) -> None:
        self._ended.set()
        self._watcher.close()

    def _tell(self, event: str) -> None:
        self._events.appendleft(f"{time.strftime('%H:%M:%S')} {event}")

    def _live(self) -> Iterator[bytes]:
        """Server-sent events, until the browser goes or this server ends: each one has everything that is known."""
        while not self._ended.wait(PUSH):
            instruments = [{**vars(channel), "values": list(channel.values)} for channel in self._watcher.channels()]
            state = {"instruments": instruments, "events": list(self._events)}
            yield f"data: {json.dumps(state)}\n\n".encode()


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
    laboratory = Laboratory()
    try:
        with make_server("127.0.0.1", port, laboratory, server_class=Server, handler_class=QuietHandler) as server:
            print(f"the page is ready: http://127.0.0.1:{server.server_port}/", flush=True)
            server.serve_forever(poll_interval=0.1)
    except OSError as error:
        sys.exit(f"cannot use port {port}: {error}")
    except KeyboardInterrupt:
        print("the page has closed", flush=True)
    finally:
        laboratory.close()


if __name__ == "__main__":
    main()
