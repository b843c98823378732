"""The remote objects of the peer server, the same for both libraries.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import ssl
import threading
import time

import value_table
from peer_common import attempt, describe


class UnknownError(Exception):
    """An exception class that no peer knows a converter for."""


class Unpicklable(Exception):
    """An exception that no serializer can encode."""

    def __init__(self):
        super().__init__(threading.Lock())


def raisable(lib, what):
    """The exception called ``what``."""
    if what in ("NamingError", "DaemonError", "PyroError", "SecurityError", "ProtocolError", "SerializeError") or (
        what in ("CommunicationError", "ConnectionClosedError", "MessageTooLargeError")
    ):
        return getattr(lib.errors, what)("library error", 42)
    if what == "PyroTimeout":
        return lib.errors.TimeoutError("library error", 42)
    special = {
        "attributes": lambda: _with_attributes(ValueError("with attributes")),
        "OSError": lambda: OSError(2, "No such file", "/tmp/nowhere"),
        "unicode": lambda: ValueError("caf\xe9 \u20ac \U0001f600"),
        "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        "nested": lambda: ValueError(KeyError("inner")),
        "unknown": lambda: UnknownError("unknown to you", 1),
        "unserializable": Unpicklable,
        "sqlite": lambda: __import__("sqlite3").OperationalError("no such table"),
        "ssl": lambda: ssl.SSLError(1, "handshake"),
        "noargs": KeyError,
        "manyargs": lambda: RuntimeError("a", 1, None, [2.5], {"k": "v"}),
    }
    if what in special:
        return special[what]()
    return getattr(__import__("builtins"), what)("builtin error", 42)


def _with_attributes(error):
    error.code = 17
    error.details = {"why": ["because", None]}
    return error


def claim(proxy):
    """Make a proxy usable by this thread, where the library binds proxies to threads."""
    if "_pyroClaimOwnership" in dir(type(proxy)):  # not in Pyro4
        proxy._pyroClaimOwnership()


def proxies_in(value):
    """All proxies at any depth, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [proxy for item in value for proxy in proxies_in(item)]
    return [value] if type(value).__name__ == "Proxy" else []


def build(lib):
    """The classes of remote objects, made with the decorators of ``lib``."""

    class Target:
        """Everything that takes no more than one object."""

        def __init__(self):
            self._value = "initial"
            self._notes = []
            self._changed = threading.Condition()
            self._closed_streams = []
            self._kept = None

        @lib.expose
        def echo(self, value):
            return value

        @lib.expose
        def describe(self, value):
            return describe(value)

        @lib.expose
        def give(self, item):
            return value_table.make(item, lib)

        @lib.expose
        def arguments(self, *args, **kwargs):
            return [list(args), kwargs]

        @lib.expose
        def nothing(self):
            pass

        @lib.expose
        def fail(self, what):
            raise raisable(lib, what)

        @lib.expose
        @lib.callback
        def fail_in_callback(self):
            raise ValueError("in callback")

        @lib.expose
        def sleep(self, seconds):
            time.sleep(seconds)
            return "slept"

        @lib.expose
        @property
        def value(self):
            return self._value

        @value.setter
        def value(self, new):
            self._value = new

        @lib.expose
        @property
        def constant(self):
            return [1, "two", None]

        @lib.expose
        @property
        def broken(self):
            raise ZeroDivisionError("property broken")

        def hidden(self):
            return "never"

        @property
        def hidden_value(self):
            return "never"

        def _private(self):
            return "never"

        # --- oneway

        @lib.expose
        @lib.oneway
        def note(self, text):
            with self._changed:
                self._notes.append(text)
                self._changed.notify_all()

        @lib.expose
        @lib.oneway
        def note_and_fail(self, text):
            with self._changed:
                self._notes.append(text)
                self._changed.notify_all()
            raise ValueError("nobody hears this")

        @lib.expose
        def notes(self, count):
            """The notes, once there are ``count`` of them; then forget them."""
            with self._changed:
                self._changed.wait_for(lambda: len(self._notes) >= count, 5)
                notes, self._notes = self._notes, []
            return sorted(notes)

        # --- context

        @lib.expose
        def annotations(self):
            """What arrived with this call, and what goes back with it."""
            context = lib.current_context
            seen = {key: bytes(value).decode("latin-1") for key, value in context.annotations.items() if key != "CORR"}
            context.response_annotations = {"RESP": b"answer", "EMPT": b""}
            return seen

        @lib.expose
        def annotate_and_fail(self):
            lib.current_context.response_annotations = {"RESP": b"of the failed call"}
            raise ValueError("failed")

        @lib.expose
        def correlation(self):
            return str(lib.current_context.correlation_id)

        @lib.expose
        def context(self):
            context = lib.current_context
            return [context.seq, context.msg_flags, context.serializer_id, context.client_sock_addr is not None]

        @lib.expose
        def peer_certificate(self):
            return lib.current_context.client.getpeercert()

        # --- calls to others

        @lib.expose
        def relay(self, uri, method, *args):
            """Call another object."""
            with lib.Proxy(uri) as proxy:
                return getattr(proxy, method)(*args)

        @lib.expose
        def call_back(self, proxy, *args):
            """Call a proxy that came as argument."""
            claim(proxy)
            with proxy:
                return attempt(proxy.called, *args)

        @lib.expose
        def call_back_twice(self, proxy):
            claim(proxy)
            with proxy:
                return [attempt(proxy.called_and_failed), attempt(proxy.called, "again")]

        @lib.expose
        @lib.oneway
        def tell(self, proxy, *args):
            claim(proxy)
            with proxy:
                proxy.told(*args)

        @lib.expose
        def names_of(self, *args, **kwargs):
            """What all the objects in the arguments say is their name."""
            names = []
            for proxy in proxies_in([args, kwargs]):
                claim(proxy)
                with proxy:
                    names.append(proxy.name())
            return names

        @lib.expose
        @lib.oneway
        def note_correlation(self):
            self.note(str(lib.current_context.correlation_id))

        @lib.expose
        @lib.oneway
        def keep_blob(self, blob):
            with self._changed:
                self._kept = blob
                self._changed.notify_all()

        @lib.expose
        def kept_blob(self):
            with self._changed:
                self._changed.wait_for(lambda: self._kept is not None, 5)
                blob, self._kept = self._kept, None
            return describe(blob.deserialized())

        @lib.expose
        def blob(self, blob):
            return [describe(blob.info), describe(blob.deserialized()), describe(blob.deserialized())]

        @lib.expose
        def blob_info(self, blob):
            return describe(blob.info)

        @lib.expose
        def forward_blob(self, blob):
            with lib.Proxy(blob.info[1]) as proxy:
                return proxy.blob(blob)

        @lib.expose
        def make_object(self):
            part = Part("made by server")
            self._pyroDaemon.register(part)
            return part

        @lib.expose
        def make_objects(self):
            parts = [Part("nested %d" % number) for number in range(2)]
            for part in parts:
                self._pyroDaemon.register(part)
            return {"parts": parts}

        @lib.expose
        def uri_of_me(self):
            return self._pyroDaemon.uriFor(self)

        @lib.expose
        def proxy_of_me(self):
            return self._pyroDaemon.proxyFor(self)

        # --- streams

        @lib.expose
        def count_up(self, limit):
            try:
                for number in range(limit):
                    yield number
            finally:
                with self._changed:
                    self._closed_streams.append(limit)
                    self._changed.notify_all()

        @lib.expose
        def iterator(self):
            return iter([1, "two", [3]])

        @lib.expose
        def failing_stream(self):
            yield 1
            raise ValueError("stream broke")

        @lib.expose
        def stream_ended(self, limit):
            """Whether the ``count_up`` of that limit has come to its end, or been given up, within a few seconds."""
            with self._changed:
                return self._changed.wait_for(lambda: limit in self._closed_streams, 5)

    @lib.expose
    class Part:
        """An object that is registered while the server runs."""

        def __init__(self, name):
            self.name_ = name

        def name(self):
            return self.name_

    class Counting:
        created = 0
        lock = threading.Lock()

        def __init__(self):
            with self.lock:
                type(self).created += 1
                self.number = type(self).created

        @lib.expose
        def which(self):
            return self.number

    @lib.behavior(instance_mode="session")
    class Session(Counting):
        created = 0

    @lib.behavior(instance_mode="single")
    class Single(Counting):
        created = 0

    @lib.behavior(instance_mode="percall")
    class PerCall(Counting):
        created = 0

    class Creator:
        def __init__(self, text):
            self.text = text

        @lib.expose
        def which(self):
            return self.text

    lib.behavior(instance_mode="single", instance_creator=lambda clazz: clazz("by creator"))(Creator)

    @lib.behavior(instance_mode="single", instance_creator=lambda clazz: object())
    class Misfit:
        @lib.expose
        def which(self):
            return "never"

    @lib.expose
    class Base:
        def inherited(self):
            return 1

        def overridden(self):
            return 2

        @staticmethod
        def static(x):
            return x + 1

        @classmethod
        def of_class(cls):
            return cls.__name__

    class Derived(Base):
        def overridden(self):
            return 3

        @lib.expose
        @lib.oneway
        def own_oneway(self):
            pass

        @lib.expose
        def __len__(self):
            return 7

    class Closed:
        def nothing_exposed(self):
            pass

    class PeerDaemon(lib.Daemon):
        """Answers handshakes, adds annotations, and remembers who left."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.departures = 0

        def validateHandshake(self, conn, data):
            if isinstance(data, dict) and "refuse" in data:
                raise ValueError(data["refuse"])
            if isinstance(data, dict) and "refuse certificate" in data:
                raise ValueError(dict(entry[0] for entry in conn.getpeercert()["subject"])["commonName"])
            return "hello" if data == "hello" else {"you said": describe(data)}

        def annotations(self):
            return {"DAEM": b"from daemon"}

        def clientDisconnect(self, conn):
            self.departures += 1

    objects = {"target": Target(), "session": Session, "single": Single, "percall": PerCall, "creator": Creator}
    objects.update({"misfit": Misfit, "derived": Derived, "closed": Closed()})
    return PeerDaemon, objects
