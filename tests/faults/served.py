"""The server under attack, a process of its own with little memory and few descriptors: ``served.py SETTINGS``.

SETTINGS is a JSON object, see `main`. Prints one line of JSON when it serves; after that, each line on stdin is a
command that is answered with a line of JSON, and the end of stdin ends the server.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import json
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pyrolite import Daemon, behavior, callback, config, current_context, expose, oneway


class TextlessError(Exception):
    """Tells nobody what it is about."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class ForeverError(Exception):
    """Cannot be serialized, whatever one tries."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.handle = threading.Lock()

    def __getattribute__(self, name: str) -> Any:
        if name == "args":
            raise KeyboardInterrupt("in an attribute of an exception")
        return super().__getattribute__(name)


class ExitInTextError(Exception):
    """Whoever describes it is to end."""

    def __str__(self) -> str:
        raise SystemExit("in the text of an exception")

    def __repr__(self) -> str:
        raise KeyboardInterrupt("in the text of an exception")


class EndlessError(Exception):
    """Describes itself by describing itself."""

    def __str__(self) -> str:
        return str(self)

    __repr__ = __str__


#: What is no text.
NUMBER: Any = 5


class NumberError(Exception):
    """Its text is no text."""

    def __str__(self) -> str:
        return NUMBER


class _NamelessType(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in {"__name__", "__qualname__", "__module__"}:
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class NamelessError(Exception, metaclass=_NamelessType):
    """Not even its class can be named."""


class ClasslessError(Exception):
    """Neither its class nor its attributes can be looked at."""

    @property
    def __class__(self) -> Any:
        raise SystemExit("in the class of an exception")

    @property
    def __dict__(self) -> Any:
        raise GeneratorExit("in the attributes of an exception")


for _class in (TextlessError, ForeverError, ExitInTextError, EndlessError, NumberError, ClasslessError):
    _class.__module__ = "served"  # names with double underscores are not recreated ([SEC-22])


def _with_odd_attributes() -> Exception:
    error = ValueError("odd attributes")
    error.itself, error.function, error.lock = error, lambda: None, threading.Lock()  # type: ignore[attr-defined]
    error._pyroTraceback = 5  # type: ignore[attr-defined]
    return error


def _with_odd_arguments() -> Exception:
    error = ValueError()
    error.args = (error, object(), threading.Lock())
    return error


def _chain(length: int) -> Exception:
    error = ValueError("first of many")
    for number in range(length):
        following = ValueError(number)
        following.__cause__ = following.__context__ = error
        error = following
    return error


def _circle() -> Exception:
    one, other = ValueError("one of two"), ValueError("the other one")
    one.__cause__, other.__cause__ = other, one
    one.__context__, other.__context__ = other, one
    return one


#: What `Target.fail` raises.
FAILURES = {
    "value": lambda: ValueError("wrong value"),
    "system exit": lambda: SystemExit(3),
    "keyboard interrupt": lambda: KeyboardInterrupt("pressed"),
    "generator exit": lambda: GeneratorExit("out"),
    "base exception": lambda: BaseException("all"),
    "stop iteration": lambda: StopIteration(5),
    "memory": lambda: MemoryError("none left"),
    "recursion": lambda: RecursionError("too deep"),
    "os": lambda: ConnectionResetError(104, "of some other connection"),
    "connection closed": lambda: __import__("pyrolite").errors.ConnectionClosedError("of some other connection"),
    "timeout": lambda: __import__("pyrolite").errors.TimeoutError("of some other connection"),
    "security": lambda: __import__("pyrolite").errors.SecurityError("of the method"),
    "protocol": lambda: __import__("pyrolite").errors.ProtocolError("of some other connection"),
    "textless": lambda: TextlessError("hidden"),
    "unserializable": ForeverError,
    "surrogates": lambda: ValueError("\ud800 and \udfff"),
    "huge": lambda: ValueError("x" * 3_000_000),
    "exit in text": lambda: ExitInTextError("hidden"),
    "endless": lambda: EndlessError("hidden"),
    "no text": lambda: NumberError("hidden"),
    "nameless": lambda: NamelessError("hidden"),
    "classless": lambda: ClasslessError("hidden"),
    "odd attributes": _with_odd_attributes,
    "odd arguments": _with_odd_arguments,
    "huge number": lambda: ValueError(10**5000),
    "chain": lambda: _chain(2000),
    "circle": _circle,
    "cancelled": asyncio.CancelledError,
    "not callable": lambda: 5,
    "group": lambda: __import__("builtins").__dict__.get("ExceptionGroup", lambda *_: ValueError("no groups"))(
        "several", [ValueError("inner")]
    ),
}


@expose
@behavior(instance_mode="single")
class Target:
    """What attackers and the well-behaved client call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted = 0
        self._gate = threading.Event()
        self.property_runs = 0

    def echo(self, value: Any) -> Any:
        return value

    def slow(self, seconds: float, value: Any = None) -> Any:
        time.sleep(seconds)
        return value

    def pause(self, seconds: float) -> Iterator[int]:
        """A generator that takes its time."""
        for number in range(3):
            time.sleep(seconds)
            yield number

    def wait_at_gate(self) -> int:
        """Return when `open_gate` is called."""
        assert self._gate.wait(30)
        return os.getpid()

    def open_gate(self) -> None:
        self._gate.set()

    @oneway
    def note(self, seconds: float = 0.0) -> None:
        if seconds:
            time.sleep(seconds)
        with self._lock:
            self._noted += 1

    @oneway
    def note_at_gate(self) -> None:
        assert self._gate.wait(60)
        with self._lock:
            self._noted += 1

    def noted(self) -> int:
        return self._noted

    def big(self, size: int) -> bytes:
        return b"x" * size

    def text(self, size: int) -> str:
        return "x" * size

    def numbers(self, count: int) -> Iterator[int]:
        yield from range(count)

    def failing_numbers(self, kind: str) -> Iterator[int]:
        yield 1
        raise FAILURES[kind]()

    def fail(self, kind: str) -> None:
        raise FAILURES[kind]()

    @callback
    def fail_callback(self, kind: str) -> None:
        raise FAILURES[kind]()

    @oneway
    def fail_oneway(self, kind: str) -> None:
        raise FAILURES[kind]()

    def result(self, kind: str) -> Any:
        return {
            "lock": threading.Lock,
            "surrogate": lambda: "\ud800",
            "recursive": _recursive,
            "deep": _deep,
            "memory": lambda: bytes(8 << 30),
            "iterator": lambda: iter(range(3)),
            "class": lambda: Target,
            "incomparable": _Incomparable,
            "huge number": lambda: 10**5000,
            "generators": lambda: [iter([1])],
            "function": lambda: lambda: None,
            "none": lambda: None,
        }[kind]()

    @property
    def broken(self) -> Any:
        raise SystemExit(4)

    @broken.setter
    def broken(self, value: Any) -> None:
        raise GeneratorExit(value)

    def answer_with(self, annotations: dict[str, Any], fail: bool = False) -> None:
        """Set the annotations of the answer, given as text."""
        current_context.response_annotations = {
            key: value.encode() if isinstance(value, str) else value for key, value in annotations.items()
        }
        if fail:
            raise ValueError("after setting annotations")

    @oneway
    def oneway_with(self, annotations: dict[str, Any]) -> None:
        self.answer_with(annotations)

    def stream(self, kind: str) -> Any:
        """An iterator that misbehaves after its first item."""
        return STREAMS[kind]()

    def misuse(self, kind: str) -> str:
        """Put nonsense into the context of the call."""
        MISUSES[kind](current_context)
        return kind

    def context(self) -> dict[str, Any]:
        return {
            "annotations": {key: bytes(value).hex() for key, value in current_context.annotations.items()},
            "responses": sorted(current_context.response_annotations),
            "correlation": str(current_context.correlation_id),
        }

    def runs(self) -> int:
        return self.property_runs


class _Closing:
    """A resource or iterator that cannot even be closed."""

    def __iter__(self) -> _Closing:
        return self

    def __next__(self) -> int:
        return 1

    def close(self) -> None:
        raise SystemExit("in close")


class _Incomparable:
    """Raises whatever is asked of it."""

    def __eq__(self, other: object) -> bool:
        raise SystemExit("in a comparison")

    def __hash__(self) -> int:
        raise GeneratorExit("in a hash")

    def __bool__(self) -> bool:
        raise KeyboardInterrupt("in a truth value")

    def __getattr__(self, name: str) -> Any:
        raise SystemExit(f"in {name}")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise SystemExit("while it is serialized")


def _unserializable_item() -> Iterator[Any]:
    yield 1
    yield threading.Lock()


def _unencodable_item() -> Iterator[Any]:
    yield 1
    yield "\ud800"


def _stays_open() -> Iterator[Any]:
    try:
        yield 1
    finally:
        yield "not yet"


def _fails_to_close() -> Iterator[Any]:
    try:
        yield 1
        yield 2
    finally:
        raise SystemExit("in finally")


def _calls_itself() -> Iterator[Any]:
    def items() -> Iterator[Any]:
        yield 1
        yield next(iterator)

    iterator = items()
    return iterator


STREAMS: dict[str, Any] = {
    "unserializable item": _unserializable_item,
    "unencodable item": _unencodable_item,
    "stays open": _stays_open,
    "fails to close": _fails_to_close,
    "close raises": _Closing,
    "calls itself": _calls_itself,
}

MISUSES: dict[str, Any] = {
    "no responses": lambda context: setattr(context, "response_annotations", None),
    "list of responses": lambda context: setattr(context, "response_annotations", [1]),
    "long key": lambda context: setattr(context, "response_annotations", {"TOOLONG": b"x"}),
    "number as key": lambda context: setattr(context, "response_annotations", {5: b"x"}),
    "key of other letters": lambda context: setattr(context, "response_annotations", {"\xe4bcd": b"x"}),
    "number": lambda context: setattr(context, "response_annotations", {"ABCD": 5}),
    "too large": lambda context: setattr(context, "response_annotations", {"ABCD": b"x" * 70_000}),
    "key of the library": lambda context: setattr(context, "response_annotations", {"STRM": b"x", "CORR": b"y"}),
    "no annotations": lambda context: setattr(context, "annotations", None),
    "odd correlation id": lambda context: setattr(context, "correlation_id", "text"),
    "no client": lambda context: setattr(context, "client", None),
    "other sequence number": lambda context: setattr(context, "seq", 99),
    "number as resource": lambda context: context.track_resource(5),
    "incomparable resource": lambda context: context.track_resource(_Incomparable()),
    "resource that cannot be closed": lambda context: _track(context, _Closing()),
}


def _track(context: Any, resource: Any) -> None:
    _KEPT.append(resource)  # nobody else would keep it alive
    context.track_resource(resource)


_KEPT: list[Any] = []


class Hidden:
    """Has a property that nobody exposed."""

    runs = 0

    @property
    def secret(self) -> int:
        type(self).runs += 1
        return 42

    @expose
    def how_often(self) -> int:
        return self.runs


@expose
@behavior(instance_mode="session")
class Empty:
    """A session object that is false."""

    def __init__(self) -> None:
        self._items: list[Any] = []

    def __len__(self) -> int:
        return 0

    def add(self, item: Any) -> int:
        self._items.append(item)
        return len(self._items)


@expose
@behavior(instance_mode="single")
class EmptySingle(Empty):
    """The only one, and false."""


def _fail_to_create(cls: type) -> Any:
    raise SystemExit(5)


@expose
@behavior(instance_mode="session", instance_creator=_fail_to_create)
class Uncreatable:
    """Nobody can make one."""

    def ping(self) -> str:
        return "pong"


@expose
@behavior(instance_mode="session")
class Holder:
    """The only one that knows of its resource."""

    closed = 0

    def hold(self) -> None:
        self._resource = _Resource()
        current_context.track_resource(self._resource)

    def how_many(self) -> int:
        return Holder.closed


class _Resource:
    def close(self) -> None:
        Holder.closed += 1


def _recursive() -> Any:
    items: list[Any] = []
    items.append(items)
    return items


def _deep() -> Any:
    value: Any = None
    for _ in range(20_000):
        value = [value]
    return value


# ---- daemons with hooks that fail; what is raised changes from call to call


class HookError(BaseException):
    """Of no class that anybody expects."""


HOOK_FAILURES: dict[str, Any] = {
    "Exception": ValueError,
    "HookError": HookError,
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "ExitInTextError": ExitInTextError,
    "NamelessError": NamelessError,
}


class FailingHooks(Daemon):
    """Fails in every hook as often as `fail_next` says, and lets the handshake data decide about the handshake."""

    fail_next: str = ""

    def _fail(self, hook: str) -> None:
        kind = self.fail_next
        if kind:
            raise HOOK_FAILURES[kind](f"in {hook}")

    def annotations(self) -> dict[str, Any]:
        if self.fail_next in WRONG_ANNOTATIONS:
            return WRONG_ANNOTATIONS[self.fail_next]
        self._fail("annotations")
        return {}

    def validateHandshake(self, conn: Any, data: Any) -> Any:
        if isinstance(data, str) and data.startswith("raise "):
            raise {**FAILURES, "hook": lambda: HookError("in validateHandshake")}[data[6:]]()
        if data == "unserializable":
            return threading.Lock()
        if data == "surrogates":
            return "\ud800"
        return super().validateHandshake(conn, data)

    def clientDisconnect(self, conn: Any) -> None:
        self._fail("clientDisconnect")

    def housekeeping(self) -> None:
        if self.fail_next not in {"SystemExit", "KeyboardInterrupt"}:  # a documented way to end the loop
            self._fail("housekeeping")


WRONG_ANNOTATIONS: dict[str, Any] = {
    "long key": {"TOOLONG": b"x"},
    "no ascii": {"\xe4\xf6\xfcx": b"x"},
    "no bytes": {"ABCD": "text"},
    "too large": {"ABCD": b"x" * 70_000},
    "no dict": [1, 2, 3],
    "none": None,
}


class SlowDisconnects(Daemon):
    """Takes its time when the first client leaves: until the gate is opened."""

    first = True

    def clientDisconnect(self, conn: Any) -> None:
        if self.first:
            self.first = False
            self.objectsById["gate"].wait_at_gate()


DAEMONS = {"Daemon": Daemon, "FailingHooks": FailingHooks, "SlowDisconnects": SlowDisconnects}


# ---- the program


def _limit(settings: dict[str, Any]) -> None:
    if settings["memory"]:
        resource.setrlimit(resource.RLIMIT_AS, (settings["memory"], settings["memory"]))
    if settings["descriptors"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (settings["descriptors"], settings["descriptors"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.stack_size(settings["stack"])


def _command(daemon: Any, line: str) -> Any:
    name, _, argument = line.strip().partition(" ")
    if name == "stats":
        return daemon.stats()
    if name == "threads":
        return sorted(thread.name for thread in threading.enumerate())
    if name == "fail":
        daemon.fail_next = argument
    elif name == "collect":
        gc.collect()
    elif name == "open":  # the gate
        daemon.objectsById[argument].open_gate()
    elif name == "shutdown":
        begin = time.monotonic()
        daemon.shutdown(float(argument))
        return time.monotonic() - begin
    elif name == "noted":
        instance = daemon._pyroInstances.get(Target)
        return instance.noted() if instance else 0
    elif name == "blocks":
        gc.collect()
        return sys.getallocatedblocks()
    elif name == "shutdowns":
        return _shut_down_often(daemon, [float(drain) for drain in argument.split()])
    return None


def _shut_down_often(daemon: Any, drains: list[float]) -> list[float]:
    """From several threads, one after the other; when each of them has returned."""
    begin = time.monotonic()
    ended = [0.0] * len(drains)

    def shut_down(number: int) -> None:
        daemon.shutdown(drains[number])
        ended[number] = time.monotonic() - begin

    threads = [threading.Thread(target=shut_down, args=(number,)) for number in range(len(drains))]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    return ended


def _serve_commands(daemon: Any, on_end: Any) -> None:
    for line in sys.stdin:
        print(json.dumps(_command(daemon, line)), flush=True)
    on_end()


def main(settings: dict[str, Any]) -> None:
    """Serve until stdin ends.

    ``servertype`` and ``config`` are items of the configuration, ``daemon`` a key of `DAEMONS`, ``host``, ``port`` and
    ``unixsocket`` where to listen, ``hmac_key`` text or None, ``log`` whether to log everything, ``memory``,
    ``descriptors`` and ``stack`` limits (0: none).
    """
    faulthandler.enable()
    if settings["log"]:  # to nowhere, but everything has to have a text
        logging.basicConfig(level=logging.DEBUG, filename=os.devnull)
    _limit(settings)
    signal.signal(signal.SIGUSR1, lambda *_: None)  # interrupts system calls
    config.SERVERTYPE = settings["servertype"]
    for name, value in settings["config"].items():
        setattr(config, name, set(value) if isinstance(value, list) else value)
    daemon = DAEMONS[settings["daemon"]](settings["host"], settings["port"], settings["unixsocket"])
    if settings["hmac_key"]:
        daemon._pyroHmacKey = settings["hmac_key"]
    daemon.register(Target, "target")
    daemon.register(Hidden(), "hidden")
    daemon.register(Target(), "gate")
    daemon.register(Empty, "empty")
    daemon.register(EmptySingle, "empty-single")
    daemon.register(Uncreatable, "uncreatable")
    daemon.register(Holder, "holder")
    print(json.dumps({"location": daemon.locationStr}), flush=True)
    commands = threading.Thread(target=_serve_commands, args=(daemon, daemon.shutdown), name="commands", daemon=True)
    commands.start()
    daemon.requestLoop()
    daemon.close()
    # whoever gives commands may want to know that the loop has ended
    commands.join(30)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
