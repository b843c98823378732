"""The remote console of Flame: an interpreter on the server, and what talks to it at a client's terminal ([FLM-7])."""

from __future__ import annotations

import code
import contextlib
import io
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, TextIO

from pyrolite.core import expose
from pyrolite.errors import PyroError

__all__ = ["InteractiveConsole", "RemoteInteractiveConsole", "captured_output"]

#: What people type to leave.
_FAREWELLS: Final = frozenset(("exit()", "quit()", "exit", "quit"))


class InteractiveConsole(code.InteractiveConsole):
    """An interpreter that is given its lines by a client, and returns what it prints.

    Thread safety: the remote methods may be called from any thread, one line is run after the other.
    """

    _pyroDaemon: Any
    _pyroId: str

    def __init__(self, locals: dict[str, Any] | None = None, filename: str = "<console>") -> None:  # noqa: A002
        super().__init__(locals, filename)
        self._output = io.StringIO()
        self._lock = threading.Lock()  # protects the interpreter; it is held while the user's code runs, on purpose

    @expose
    def push_and_get_output(self, line: str) -> tuple[str, bool]:
        """Run a line; returns what it has printed, and whether the statement goes on."""
        with self._lock:
            self._output = io.StringIO()
            with captured_output(self._output):
                try:
                    more = bool(self.push(line))
                except SystemExit as end:  # of the session, not of the server
                    self.resetbuffer()
                    more = False
                    self.write(f"SystemExit: {end}\n")
            return self._output.getvalue(), more

    @expose
    def reset(self) -> None:
        """Forget the lines of a statement that is not complete."""
        with self._lock:
            self.resetbuffer()

    @expose
    def get_banner(self) -> str:
        """What to greet the user with."""
        return f"Python {sys.version} on {sys.platform}\n(Remote console on {self._pyroDaemon.uriFor(self).location})"

    @expose
    def terminate(self) -> None:
        """End the interpreter."""
        self._pyroDaemon.unregister(self)
        self.resetbuffer()

    def write(self, data: str) -> None:
        """Take what the interpreter itself prints: tracebacks."""
        self._output.write(data)


class RemoteInteractiveConsole:
    """The client's side of an `InteractiveConsole` on a server.

    Thread safety: none.
    """

    remoteconsole: Any

    def __init__(self, remoteconsole: Any) -> None:
        self.remoteconsole = remoteconsole

    def interact(self) -> None:
        """Read lines from the terminal and run them on the server, until end of file, ``exit()``, or its end.

        Raises:
            CommunicationError: the server cannot be reached.
        """
        _LineSender(self.remoteconsole).interact(banner=self.remoteconsole.get_banner(), exitmsg="")
        sys.stdout.write("(Remote session ended)\n")
        sys.stdout.flush()

    def terminate(self) -> None:
        """End the interpreter on the server."""
        self.remoteconsole.terminate()

    def close(self) -> None:
        """End the interpreter on the server, and the connection to it."""
        try:
            self.terminate()
        finally:
            self.remoteconsole._pyroRelease()

    def __enter__(self) -> RemoteInteractiveConsole:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        cls = type(self)
        location = self.remoteconsole._pyroUri.location
        return f"<{cls.__module__}.{cls.__name__} at 0x{id(self):x}; for {location}>"


class _LineSender(code.InteractiveConsole):
    """A console whose lines are run elsewhere."""

    def __init__(self, remote: Any) -> None:
        super().__init__(filename="<remoteconsole>")
        self._remote = remote
        self._more = False

    def raw_input(self, prompt: str = "") -> str:
        """Read a line; leaving is understood here, so that it does not end the server."""
        line = super().raw_input(prompt)
        if not self._more and line.strip() in _FAREWELLS:
            raise EOFError
        return line

    def push(self, line: str, *args: Any, **kwargs: Any) -> bool:
        """Run a line on the server; whether the statement goes on."""
        try:
            output, self._more = self._remote.push_and_get_output(line)
        except PyroError as error:
            output, self._more = f"{type(error).__name__}: {error}\n", False
        sys.stdout.write(output)
        sys.stdout.flush()
        return self._more

    def resetbuffer(self) -> None:
        """After Ctrl-C: the incomplete statement is forgotten, here and there."""
        super().resetbuffer()
        if getattr(self, "_more", False):
            self._more = False
            with contextlib.suppress(PyroError, AttributeError):  # a Pyro4 server cannot do that
                self._remote.reset()


# ---- output of one thread


class _Routed(io.TextIOBase):
    """Stands for sys.stdout or sys.stderr: gives what the threads that want it print to them, the rest to the file."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.here = threading.local()

    def _target(self) -> Any:
        return getattr(self.here, "target", None) or self.file

    def write(self, text: str) -> int:
        written: int = self._target().write(text)
        return written

    def flush(self) -> None:
        self._target().flush()

    def isatty(self) -> bool:
        return bool(self._target().isatty())

    def fileno(self) -> int:
        number: int = self._target().fileno()
        return number

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.file.encoding


_capture_lock = threading.Lock()  # protects what follows, and the exchange of sys.stdout and sys.stderr
_captures = 0
_routed: dict[str, _Routed] = {}


@contextlib.contextmanager
def captured_output(target: TextIO) -> Iterator[None]:
    """Write what this thread prints to ``target``; that of other threads goes where it always goes."""
    global _captures  # noqa: PLW0603
    with _capture_lock:
        _captures += 1
        for name in ("stdout", "stderr"):
            current = getattr(sys, name)
            if not isinstance(current, _Routed):
                _routed[name] = _Routed(current)
                setattr(sys, name, _routed[name])
        mine = [getattr(sys, name) for name in ("stdout", "stderr")]
    before = [getattr(stream.here, "target", None) for stream in mine]
    for stream in mine:
        stream.here.target = target
    try:
        yield
    finally:
        for stream, earlier in zip(mine, before, strict=True):
            stream.here.target = earlier
        with _capture_lock:
            _captures -= 1
            if not _captures:
                for name, stream in _routed.items():
                    if getattr(sys, name) is stream:  # else the program has set another one meanwhile
                        setattr(sys, name, stream.file)
                _routed.clear()
