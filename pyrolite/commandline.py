"""What the command line tools share: options, keys, output, errors, and how servers end ([CLI-2], [CLI-3], [CLI-6])."""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from pyrolite.configuration import environment_text
from pyrolite.errors import PyroError

__all__ = ["Lifetime", "OptionParser", "checked_port", "errors_in_one_line", "hmac_key", "say", "visible"]


class OptionParser(argparse.ArgumentParser):
    """Parses options as the tools of Pyro4 do: with abbreviations, and arguments anywhere between them.

    Args:
        prog: name of the tool.
        usage: what follows the name of the tool.
        description: what the tool does.
        epilog: examples, shown as they are.
    """

    def __init__(self, prog: str, description: str, epilog: str, usage: str = "[options]") -> None:
        super().__init__(
            prog=prog,
            usage=f"%(prog)s {usage}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def parse(self, args: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
        """The options and the other arguments of ``args``, default those of the process.

        Raises:
            SystemExit: help was asked for (0), or the options are wrong (2).
        """
        given = list(sys.argv[1:] if args is None else args)
        cut = given.index("--") if "--" in given else len(given)
        options, rest = self.parse_known_args(given[:cut])
        for text in rest:
            if len(text) > 1 and text.startswith("-") and not text[1:2].isdigit() and " " not in text:
                self.error(f"no such option: {text.partition('=')[0]}")
        return options, rest + given[cut + 1 :]

    def add_key_option(self) -> None:
        """Add ``-k/--key``."""
        self.add_argument("-k", "--key", help="the HMAC key (deprecated: set the environment variable PYRO_HMAC_KEY)")


def hmac_key(given: str | None) -> bytes | None:
    """The key of option ``-k``, or else of the environment; None when there is none ([CLI-3]).

    Raises:
        SystemExit: there are both.
    """
    configured = environment_text("HMAC_KEY")
    if given and configured:
        raise SystemExit("error: don't use -k and PYRO_HMAC_KEY at the same time")
    if given:
        warnings.warn(
            "using -k to supply HMAC key on the command line is a security problem and is deprecated since Pyro 4.72. "
            "See the documentation for an alternative.",
            stacklevel=3,
        )
    key = given or configured
    return key.encode("utf-8") if key else None


def checked_port(port: int | None) -> int | None:
    """The port, if there can be such a port; the system's functions would take another one.

    Raises:
        ValueError: there cannot.
    """
    if port is not None and not 0 <= port <= 0xFFFF:
        raise ValueError(f"port must be 0 to 65535, not {port}")
    return port


def say(text: str) -> None:
    """Print a line at once; characters that the terminal does not know are escaped.

    A server goes on when nobody reads its output any more.
    """
    out = sys.stdout
    encoding = getattr(out, "encoding", None) or "utf-8"
    try:
        out.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        out.flush()
    except BrokenPipeError:
        # what is in the buffer would fail again when the interpreter ends
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), out.fileno())


def visible(text: str) -> str:
    """Text with control characters escaped: names come from anybody, and terminals obey."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Report what the user can do something about as one line on stderr, and exit with 1 ([CLI-6], [HRD-45]).

    Raises:
        SystemExit: for addresses and files that cannot be used, and for wrong values.
    """
    try:
        yield
    except (OSError, ValueError, OverflowError, ImportError, PyroError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        sys.stderr.write(f"Error: {text}\n")
        raise SystemExit(1) from error


class Lifetime:
    """Ends a server tool in an orderly way when the process gets SIGTERM or SIGINT.

    While `serving`, the first signal has the server shut down, with the calls in progress finished; a second one ends
    it at once. Before and after that, a signal ends the ``with`` block.

    Thread safety: signals are only handled when it is entered in the main thread; elsewhere it does nothing.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._serving = False
        #: safe to be used in a signal handler, unlike locks and the start of a thread
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def __enter__(self) -> Lifetime:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        return bool(self._handlers) and exc_type is KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._serving:
            raise KeyboardInterrupt
        self._serving = False
        self._requests.put(True)

    @contextlib.contextmanager
    def serving(self, shutdown: Callable[[], object]) -> Iterator[None]:
        """Call ``shutdown``, in a thread of its own, when a signal comes; it has returned when the block is left."""

        def wait() -> None:
            if self._requests.get():
                shutdown()

        thread = threading.Thread(target=wait, name="pyrolite-shutdown", daemon=True)
        thread.start()
        self._serving = True
        try:
            yield
        finally:
            self._serving = False
            self._requests.put(False)
            thread.join()
