"""The doctor: walks the path of a call step by step, and explains the first step that fails ([BYD-20]).

The steps do what a proxy does, one at a time and with a look at what really comes back. `Walk.run` reports each step to
a callback as soon as it is done.
"""

from __future__ import annotations

import contextlib
import difflib
import socket
import ssl
import statistics
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from pyrolite import constants
from pyrolite.cli.answers import ForeignAnswerError, ServerAnswer, handshake
from pyrolite.cli.diagnoses import (
    HTTP_THERE,
    TLS_HERE,
    FailedError,
    bad_certificate,
    key_trouble,
    no_answer,
    not_connected,
    not_connected_unix,
    visible,
)
from pyrolite.configuration import Configuration
from pyrolite.configuration.risks import CODE_CARRIERS, is_reachable
from pyrolite.core import URI, Proxy, _locateNS
from pyrolite.core.message import Message
from pyrolite.core.resolver import location_of
from pyrolite.errors import NamingError, PyroError, SerializeError
from pyrolite.net import addresses, tls
from pyrolite.net.connection import SocketConnection
from pyrolite.serializers import _serializers, get_serializer

__all__ = ["Step", "Walk", "visible"]

T = TypeVar("T")

#: Pings of the last step.
PINGS: Final = 20
#: Names that are shown, at most.
_SHOWN: Final = 8


class Step(NamedTuple):
    """What came of one step. ``remedy`` is empty when it has succeeded and is not ``risky``; ``cause`` may be."""

    name: str
    ok: bool
    seconds: float
    text: str
    cause: str = ""
    remedy: str = ""

    @property
    def risky(self) -> bool:
        """Whether it has succeeded, but there is something to warn of."""
        return self.ok and bool(self.remedy)


class _EndError(Exception):
    """A step has failed, and that has been reported."""


class Walk:
    """Walks the path of a call.

    Args:
        config: the configuration of the client.
        key: its HMAC key, None for none.
        timeout: seconds for each step.
        report: called with each step.
    """

    def __init__(
        self, config: Configuration, key: bytes | None, timeout: float, report: Callable[[Step], object]
    ) -> None:
        self.config: Configuration = config.copy(COMMTIMEOUT=timeout, CONNECT_TIMEOUT=timeout, METADATA=True)
        self.key = key
        self.timeout = timeout
        self.failed: Step | None = None
        self._report = report
        self._prefix = ""
        self._opened = contextlib.ExitStack()  # closes sockets, whenever the walk ends

    def run(self, uri: URI) -> bool:
        """Walk to the object of ``uri``; whether everything has worked. ``failed`` is the step that has not."""
        with self._opened:
            try:
                found = self._resolved(uri)
                self._reach(found, named=found is not uri)
            except _EndError:
                return False
        return True

    def _step(self, name: str, action: Callable[[], tuple[str, T]]) -> T:
        name = self._prefix + name
        begin = time.perf_counter()
        try:
            text, value = action()
        except FailedError as error:
            seconds = time.perf_counter() - begin
            self.failed = Step(name, ok=False, seconds=seconds, text=error.text, cause=error.cause, remedy=error.remedy)
            self._report(self.failed)
            raise _EndError from error
        self._report(Step(name, ok=True, seconds=time.perf_counter() - begin, text=visible(text)))
        return value

    # ---- from names to addresses

    def _resolved(self, uri: URI) -> URI:
        for _ in range(10):  # a name may stand for a name
            if uri.protocol == "PYRO":
                return uri
            location = f"./u:{uri.sockname}" if uri.sockname else uri.host
            with self._nameserver(location, uri.port) as nameserver:
                current = uri
                uri = self._step("name", lambda: self._lookup(nameserver, current))  # noqa: B023 - called at once
        raise self._step("name", lambda: _raise(f"too many indirections in resolving {uri}", *_TOO_MANY))

    def _nameserver(self, location: str | None, port: int | None) -> Proxy:
        try:
            return self._step("name server", lambda: self._located(location, port))
        except _UnlocatedError as error:
            text = str(error)
            host = location or self.config.NS_HOST
            at = location_of(host.split(",")[0].strip(), port or self.config.NS_PORT)  # of a list, the first
            self._prefix = "name server: "
            self._reach(URI(f"PYRO:{constants.NAMESERVER_NAME}@{at}"), named=False)
            self._prefix = ""
            self._step("name server", lambda: _raise(text, "The name server answers now, but did not.", "Again."))
            raise

    def _located(self, location: str | None, port: int | None) -> tuple[str, Proxy]:
        try:
            proxy = _locateNS(location, port, hmac_key=self.key, config=self.config)
            proxy._pyroBind()
        except PyroError as error:
            raise _UnlocatedError(str(error)) from error
        return f"found at {proxy._pyroUri.location}", proxy

    def _lookup(self, nameserver: Proxy, uri: URI) -> tuple[str, URI]:
        try:
            if uri.protocol == "PYRONAME":
                found = nameserver.lookup(uri.object)
            else:
                candidates = nameserver.list(metadata_all=list(uri.object))
                if not candidates:
                    raise NamingError("nothing is registered with this metadata")
                found = next(iter(sorted(candidates.values())))
        except NamingError as error:
            raise self._unknown(nameserver, uri, error) from error
        except PyroError as error:
            raise FailedError(
                visible(str(error)),
                "The name server could not answer.",
                "Look into the output and log of the name server.",
            ) from error
        return f"{uri} is {found}", found if isinstance(found, URI) else URI(found)

    @staticmethod
    def _unknown(nameserver: Proxy, uri: URI, error: NamingError) -> FailedError:
        with contextlib.suppress(PyroError):
            names = sorted(nameserver.list())
            similar = (
                difflib.get_close_matches(str(uri.object), names, _SHOWN, 0.5) if uri.protocol == "PYRONAME" else []
            )
            some = ", ".join(map(visible, similar or names[:_SHOWN]))
            cause = f"The name server does not know it. Of its {len(names)} names, "
            cause += f"similar are: {some}." if similar else f"some are: {some}."
            return FailedError(
                visible(str(error)),
                cause,
                "Start the server of the object, see that it registers the name in this name server, and compare the "
                "spelling; pyrolite-nsc list shows all names.",
            )
        return FailedError(visible(str(error)), "The name server does not know it.", "Register it.")

    # ---- from addresses to objects

    def _reach(self, uri: URI, *, named: bool) -> None:
        if uri.sockname is None:
            self._step("address", lambda: self._addresses(uri))
        sock = self._step("connect", lambda: self._connected(uri, named=named))
        if self.config.SSL:
            sock = self._step("TLS", lambda: self._encrypted(sock, uri))
        answer = self._step("handshake", lambda: self._shaken(sock, uri))
        if answer is None:
            self._reach_with_proxy(uri)
            return
        self._step("serializer", lambda: (f"{self.config.SERIALIZER} is accepted", None))
        signed = "all messages are signed" if self.key else "no key on either side, anyone can connect"
        self._step("HMAC", lambda: (signed, None))
        self._warn_of_strangers(sock, uri)
        self._step("metadata", lambda: self._metadata(answer.metadata, uri))
        connection = SocketConnection(sock)
        self._step("ping", lambda: self._pings(lambda: Message.ping(connection, self.key)))

    def _warn_of_strangers(self, sock: socket.socket, uri: URI) -> None:
        """What others in the network can do with this connection."""
        if uri.sockname is not None:
            return
        if not self.config.SSL and is_reachable(sock.getpeername()[0]):
            text = "not encrypted: calls and results can be read on the way" + (
                "" if self.key else ", and nobody knows who is at the other end"
            )
            self._report(Step("network", ok=True, seconds=0.0, text=text, remedy="Use TLS (docs/how-to/tls.md)."))
        if self.config.SERIALIZER in CODE_CARRIERS:
            text = f"answers in {self.config.SERIALIZER} run code here: this server can do what this user can"
            remedy = "Use serpent, json or msgpack, unless you trust the server."
            self._report(Step("serializer", ok=True, seconds=0.0, text=text, remedy=remedy))

    def _reach_with_proxy(self, uri: URI) -> None:
        """The remaining steps for another protocol, which a proxy has chosen."""
        with Proxy(uri, config=self.config) as proxy:
            proxy._pyroHmacKey = self.key
            proxy._pyroBind()
            members = {"methods": proxy._pyroMethods, "attrs": proxy._pyroAttrs, "oneway": proxy._pyroOneway}
            self._step("metadata", lambda: self._metadata(members, uri))
            ping = lambda: proxy._pyroInvoke("ping", [], {}, objectId=constants.DAEMON_NAME)  # noqa: E731
            self._step("ping", lambda: self._pings(ping))

    def _addresses(self, uri: URI) -> tuple[str, None]:
        try:
            found = addresses.lookup(uri.host or "", uri.port, 0)
        except socket.gaierror as error:
            raise FailedError(
                f"{uri.host}: {error.strerror}",
                f"There is no host of the name {uri.host}, or the service that knows names does not answer.",
                "Correct the name, enter it into /etc/hosts or the DNS, or use the IP address.",
            ) from error
        except (OSError, OverflowError, ValueError) as error:
            raise FailedError(str(error), "The location in the URI cannot be used.", "Correct it.") from error
        texts = dict.fromkeys(f"{address[0]}" for _, address in found)
        return f"{uri.host} is {', '.join(texts)}; port {uri.port}", None

    def _connected(self, uri: URI, *, named: bool) -> tuple[str, socket.socket]:
        if uri.sockname is not None:
            return self._connected_unix(uri.sockname)
        found = addresses.lookup(
            uri.host or "", uri.port, 0 if ":" in (uri.host or "") else self.config.PREFER_IP_VERSION
        )
        if self.config.PREFER_IP_VERSION:
            del found[1:]  # as proxies do
        for number, (family, address) in enumerate(found, 1):
            sock = self._opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.settimeout(self.timeout)
            try:
                sock.connect(address)
            except OSError as error:
                if number == len(found):
                    raise not_connected(error, family, address, named=named, nameserver=bool(self._prefix)) from error
            else:
                return f"{address[0]} accepts connections, from here {sock.getsockname()[0]}", sock
        raise AssertionError("lookup never gives nothing")

    def _connected_unix(self, name: str) -> tuple[str, socket.socket]:
        sock = self._opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.settimeout(self.timeout)
        try:
            sock.connect(name)
        except OSError as error:
            raise not_connected_unix(error, name) from error
        return f"{name} accepts connections", sock

    # ---- TLS

    def _encrypted(self, sock: socket.socket, uri: URI) -> tuple[str, socket.socket]:
        try:
            context = tls.client_context(self.config, unixsocket=uri.sockname is not None)
        except (OSError, ValueError) as error:
            raise FailedError(
                str(error),
                "The TLS settings of this client cannot be used.",
                "Correct PYRO_SSL_CACERTS, PYRO_SSL_CLIENTCERT and PYRO_SSL_CLIENTKEY.",
            ) from error
        try:
            encrypted = context.wrap_socket(
                sock, server_hostname=None if uri.sockname else (uri.host or "").partition("%")[0]
            )
        except ssl.SSLCertVerificationError as error:
            raise bad_certificate(error, uri.host) from error
        except OSError as error:
            raise FailedError(
                str(getattr(error, "reason", None) or error),
                "The server does not speak TLS: it is a plain one, or none of TLS 1.2 and later.",
                "Switch TLS on in the server (PYRO_SSL=1 and PYRO_SSL_SERVERCERT), or off here (PYRO_SSL=0).",
            ) from error
        self._opened.enter_context(encrypted)
        certificate: Any = encrypted.getpeercert() or {}
        names = [value for part in certificate.get("subject", ()) for name, value in part if name == "commonName"]
        issued = f"certificate of {', '.join(names) or '(no name)'}, valid until {certificate.get('notAfter', '?')}"
        return f"{encrypted.version()}, {issued}", encrypted

    # ---- the handshake

    def _shaken(self, sock: socket.socket, uri: URI) -> tuple[str, ServerAnswer | None]:
        """Say hello; the answer is None when the server speaks another protocol that proxies know as well."""
        try:
            serializer = get_serializer(self.config.SERIALIZER)
        except SerializeError as error:
            available = ", ".join(sorted(_serializers))
            raise FailedError(
                str(error),
                f"The serializer of this client ({self.config.SERIALIZER}) is not installed, or there is none such.",
                f"Install its package, or choose another one with PYRO_SERIALIZER. Available: {available}.",
            ) from error
        try:
            answer = handshake(sock, uri.object, serializer, self.key)
        except ForeignAnswerError as error:
            return self._foreign(error, uri)
        except ssl.SSLError as error:
            raise FailedError(
                str(error.reason or error),
                "The server has ended the TLS connection: most likely it wants a certificate of the client.",
                "Set PYRO_SSL_CLIENTCERT (and PYRO_SSL_CLIENTKEY) to a certificate that the server's CA has signed.",
            ) from error
        except OSError as error:
            raise no_answer(
                error, uri.sockname or (uri.host, uri.port), self.timeout, encrypted=self.config.SSL
            ) from error
        if answer.refusal is not None:
            raise self._refused(answer, uri)
        if answer.signed != bool(self.key):
            raise key_trouble(
                "the answer is signed" if answer.signed else "the answer is not signed",
                here=bool(self.key),
                there=answer.signed,
            )
        if not answer.verified(self.key):
            raise key_trouble("the signature of the answer is wrong", here=bool(self.key), there=answer.signed)
        try:
            answer.decode(serializer)
        except (PyroError, TypeError, ValueError, LookupError) as error:
            raise FailedError(
                visible(str(error)),
                f"The answer of the server cannot be read with the serializer {self.config.SERIALIZER}.",
                "See that server and client use the same serializer, and compatible versions of it.",
            ) from error
        return f"protocol {constants.PROTOCOL_VERSION}, accepted", answer

    def _foreign(self, error: ForeignAnswerError, uri: URI) -> tuple[str, None]:
        if error.version:
            with contextlib.suppress(PyroError), Proxy(uri, config=self.config) as proxy:
                proxy._pyroHmacKey = self.key
                proxy._pyroBind()
                return f"protocol {error.version}, accepted", None
            name = "a Pyro5 server" if error.version >= 500 else "a server of another version of Pyro"
            raise FailedError(
                f"the answer is in protocol {error.version}: {visible(error.text)}",
                f"This is {name}; it speaks protocol {error.version}, and this client {constants.PROTOCOL_VERSION}.",
                "Use a client of the same kind, or run the server with pyrolite or Pyro4.",
            )
        cause, remedy = "It is no Pyro server.", "Correct the port in the URI."
        if error.kind == "TLS":
            cause, remedy = TLS_HERE
        elif error.kind == "HTTP":
            cause, remedy = HTTP_THERE
        raise FailedError(f"the answer is no Pyro message: {visible(error.text)}", cause, remedy)

    def _refused(self, answer: ServerAnswer, uri: URI) -> FailedError:
        """What the reason of the server for refusing the client means."""
        reason = answer.refusal or "no reason given"
        text = f"refused: {visible(reason)}"
        if "hmac" in reason:
            return key_trouble(text, here=bool(self.key), there=answer.signed)
        if "serializer" in reason and "not accepted" in reason:
            accepted = ", ".join(self._accepted_serializers(uri)) or "none of those that are available here"
            return FailedError(
                text,
                f"The server does not accept the serializer {self.config.SERIALIZER}. Accepted are: {accepted}.",
                f"Set PYRO_SERIALIZER here to one of these, or add {self.config.SERIALIZER} to the server's "
                "PYRO_SERIALIZERS_ACCEPTED.",
            )
        if "free workers" in reason or "too many connections" in reason:
            return FailedError(
                text,
                "The pool of the server is full: all workers are busy with other clients.",
                "Raise THREADPOOL_SIZE (or MAX_CONNECTIONS) of the server, use SERVERTYPE multiplex, and release "
                "proxies that are not needed.",
            )
        if "unknown object" in reason:
            return self._unknown_object(text, uri)
        return FailedError(
            text,
            "The server has looked at the client and does not want it (Daemon.validateHandshake).",
            "Ask who runs it for what _pyroHandshake of the proxy has to be.",
        )

    def _accepted_serializers(self, uri: URI) -> list[str]:
        """Which serializers the server accepts, found by trying."""
        accepted = []
        for name in sorted(_serializers):
            with contextlib.suppress(PyroError), Proxy(uri, config=self.config.copy(SERIALIZER=name)) as proxy:
                proxy._pyroHmacKey = self.key
                proxy._pyroBind()
                accepted.append(name)
        return accepted

    def _unknown_object(self, text: str, uri: URI) -> FailedError:
        known: list[str] = []
        daemon = URI(uri)
        daemon.object = constants.DAEMON_NAME
        with contextlib.suppress(PyroError), Proxy(daemon, config=self.config) as proxy:
            proxy._pyroHmacKey = self.key
            known = [str(name) for name in proxy.registered()]
        similar = difflib.get_close_matches(str(uri.object), known, _SHOWN, 0.4)
        shown = ", ".join(map(visible, similar or known[:_SHOWN]))
        return FailedError(
            text,
            f"The server runs, but has no object with the id {visible(str(uri.object))}. "
            f"Of its {len(known)} objects, some are: {shown}.",
            "Take the URI that the server prints now: ids are new at each start, unless daemon.register gets one. If "
            "the URI comes from the name server, the registration there is an old one.",
        )

    # ---- the object

    @staticmethod
    def _metadata(metadata: Any, uri: URI) -> tuple[str, None]:
        try:
            methods, attrs, oneway = (sorted(map(str, metadata[kind])) for kind in ("methods", "attrs", "oneway"))
        except (LookupError, TypeError) as error:
            raise FailedError(
                "the metadata is malformed", "It is no proper Pyro server.", "See which program answers there."
            ) from error
        if not methods and not attrs:
            raise FailedError(
                "no methods, no attributes",
                f"The class of the object {visible(str(uri.object))} does not expose anything.",
                "Put @expose before the class, or before the methods and properties that clients may use. (Or set "
                "PYRO_REQUIRE_EXPOSE=0 for the server, which exposes everything public.)",
            )
        texts = [f"{len(methods)} methods"]
        texts += [f"{len(attrs)} attributes: {', '.join(attrs[:_SHOWN])}"] if attrs else []
        texts += [f"oneway: {', '.join(oneway[:_SHOWN])}"] if oneway else []
        texts[0] += f": {', '.join(methods[:_SHOWN])}{', ...' if len(methods) > _SHOWN else ''}"
        return "; ".join(texts), None

    def _pings(self, ping: Callable[[], object]) -> tuple[str, None]:
        times = []
        try:
            for _ in range(PINGS):
                begin = time.perf_counter()
                ping()
                times.append((time.perf_counter() - begin) * 1000)
        except (PyroError, OSError) as error:
            raise FailedError(
                visible(str(error)),
                f"The connection was lost after {len(times)} pings.",
                "See whether the server has ended, and whether the network loses packets.",
            ) from error
        return f"{PINGS} round trips: {min(times):.3f} ms at least, {statistics.median(times):.3f} ms median", None


class _UnlocatedError(Exception):
    """The name server was not found; why, is to be found out."""


_TOO_MANY: Final = ("The name stands for a name, and so on.", "Register the PYRO URI of the object.")


def _raise(text: str, cause: str, remedy: str) -> Any:
    raise FailedError(text, cause, remedy)
