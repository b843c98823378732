"""The client's stand-in for a remote object (chapter 30)."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyrolite import constants
from pyrolite.configuration import config as global_config
from pyrolite.core import clientcall
from pyrolite.core.batch import _BatchProxyAdapter
from pyrolite.core.blob import SerializedBlob
from pyrolite.core.clientconnection import Offer, Welcome, open_connection
from pyrolite.core.context import current_context, set_aside
from pyrolite.core.names import is_private_attribute
from pyrolite.core.remotemethod import _AsyncRemoteMethod, _RemoteMethod
from pyrolite.core.resolver import SHORTEST_WAIT, Attempts, candidates, keep_trying, resolve_for_connection
from pyrolite.core.streamiterator import close_stream
from pyrolite.core.uri import URI
from pyrolite.errors import (
    CommunicationError,
    ConnectionClosedError,
    NamingError,
    ProtocolError,
    PyroError,
    SerializeError,
)
from pyrolite.net import forks
from pyrolite.net.connection import SocketConnection
from pyrolite.net.tlssockets import is_tls
from pyrolite.serializers import _serializers, get_serializer, register_library_class
from pyrolite.wire.message import (
    FLAGS_BATCH,
    FLAGS_ONEWAY,
    MSG_CONNECTOK,
    MSG_RESULT,
)

if TYPE_CHECKING:
    import socket

    from pyrolite.configuration import Configuration
    from pyrolite.core.interfaces import _Interface

__all__ = ["Proxy"]

P = TypeVar("P", bound="Proxy")

log: logging.Logger = logging.getLogger("pyrolite.core")

_RESULT_ONLY: Final = frozenset((MSG_RESULT,))
#: Seconds between two attempts of `Proxy._pyroReconnect`.
_RECONNECT_PAUSE: Final = 2.0

#: Attributes that live on the proxy itself; everything else is remote ([PRX-6]).
_LOCAL_NAMES: Final = frozenset(
    "_pyroUri _pyroConnection _pyroSerializer _pyroMethods _pyroAttrs _pyroOneway _pyroTimeout _pyroMaxRetries "
    "_pyroHandshake _pyroHmacKey _pyroSeq _pyroRawWireResponse _pyroProtocol _pyroConfig _pyroLock _pyroTimeoutValue "
    "_pyroHmacKeyValue _pyroAsynchronous _pyroAbandoned _pyroForkGeneration _pyroHooked _pyroStreamPrefetch _pyroNamed "
    "__getnewargs__ __getnewargs_ex__ __getinitargs__ __class__".split()
)

_NOTHING_EXPOSED: Final = (
    "remote object doesn't expose any methods or attributes. Did you forget setting @expose on them?"
)


class Proxy:
    """Stands for a remote object: what is called on it, is called there.

    Args:
        uri: the object's `URI` or its text; with ``connected_socket`` just the object id.
        connected_socket: a socket that is connected to the daemon already; it stays the user's ([PRX-40]).
        config: the configuration to use instead of the global one ([BYD-33]).

    It connects when it is used for the first time. ``_pyroTimeout`` (seconds), ``_pyroMaxRetries``,
    ``_pyroSerializer``, ``_pyroHandshake`` and ``_pyroHmacKey`` may be set before.

    Raises:
        TypeError, PyroError: ``uri`` is no URI.
        SerializeError: the configured serializer is not available.

    Thread safety: may be shared; the calls of all threads are made one after the other.
    """

    # defaults of a partly constructed proxy, so that __getattr__ and __del__ have something to look at
    _pyroUri: URI
    _pyroConnection: SocketConnection | None = None
    _pyroMethods: set[str] = set()  # noqa: RUF012 - instances have their own
    _pyroAttrs: set[str] = set()  # noqa: RUF012
    _pyroOneway: set[str] = set()  # noqa: RUF012
    _pyroSerializer: str | None
    _pyroMaxRetries: int
    _pyroHandshake: Any
    _pyroRawWireResponse: bool
    #: items of a stream to fetch with one request ([BYD-57])
    _pyroStreamPrefetch: int
    _pyroSeq: int
    _pyroConfig: Configuration = global_config
    _pyroAsynchronous: bool = False
    _pyroForkGeneration: int
    #: what the remote object has to have, checked when its metadata come ([BYD-31])
    _pyroInterface: _Interface | None = None
    #: the URI with the name, and the one that `_pyroBind` has put in its place ([BYD-11])
    _pyroNamed: tuple[URI, URI] | None = None

    def __init__(
        self,
        uri: URI | str,
        connected_socket: socket.socket | None = None,
        *,
        config: Configuration | None = None,
    ) -> None:
        if connected_socket is not None:
            uri = _connected_uri(uri)
        if isinstance(uri, str):
            uri = URI(uri)
        elif not isinstance(uri, URI):
            raise TypeError("expected Pyro URI")
        configuration = global_config if config is None else config
        get_serializer(configuration.SERIALIZER)  # raises if it is not there
        self._pyroInitialise(uri, configuration)
        if connected_socket is not None:
            self._pyroUseSocket(connected_socket)

    def _pyroInitialise(self, uri: URI, config: Configuration) -> None:
        self.__dict__.update(
            _pyroUri=uri,
            _pyroConfig=config,
            _pyroConnection=None,
            _pyroSerializer=None,
            _pyroMethods=set(),
            _pyroAttrs=set(),
            _pyroOneway=set(),
            _pyroMaxRetries=config.MAX_RETRIES,
            _pyroHandshake="hello",
            _pyroHmacKeyValue=None,
            _pyroSeq=0,
            _pyroRawWireResponse=False,
            _pyroStreamPrefetch=config.ITER_STREAM_PREFETCH,
            _pyroProtocol=config.PROTOCOL,
            _pyroTimeoutValue=config.COMMTIMEOUT or None,
            _pyroLock=threading.RLock(),  # held for a whole exchange; nothing else is taken inside
            _pyroAbandoned=deque(),  # ids of streams that nobody reads any more
            _pyroForkGeneration=forks.generation,
            _pyroHooked=_has_hooks(type(self)),
        )

    # ---- attributes

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__  # see `_pyroInvoke`; something is missing in a proxy that is not complete yet
        if name in own.get("_pyroMethods", ()):
            if self._pyroAsynchronous:
                return _AsyncRemoteMethod(self, name, own["_pyroMaxRetries"])
            return _RemoteMethod(self._pyroInvoke, name, own["_pyroMaxRetries"], own["_pyroConfig"].RETRY_BACKOFF)
        if name in own.get("_pyroAttrs", ()) and name[:1] != "_" and own["_pyroConfig"].METADATA:
            return self._pyroInvoke("__getattr__", (name,), None)
        return self._pyroFindMember(name)

    def _pyroFindMember(self, name: str) -> Any:
        """What attribute access gives for a name that is not known as that of a remote method ([PRX-17])."""
        if name in _LOCAL_NAMES or "_pyroUri" not in self.__dict__:
            raise AttributeError(name)
        if self._pyroConfig.METADATA:
            if is_private_attribute(name):
                raise self._pyroUnknown(name, "attribute or method")
            if not (self._pyroMethods or self._pyroAttrs):
                self._pyroGetMetadata()
            if name in self._pyroAttrs:
                return self._pyroInvoke("__getattr__", (name,), None)
            if name not in self._pyroMethods:
                raise self._pyroUnknown(name, "attribute or method")
        if self._pyroAsynchronous:
            return _AsyncRemoteMethod(self, name, self._pyroMaxRetries)
        return _RemoteMethod(self._pyroInvoke, name, self._pyroMaxRetries, self._pyroConfig.RETRY_BACKOFF)

    def _pyroUnknown(self, name: str, kind: str) -> AttributeError:
        return AttributeError(f"remote object '{self._pyroUri}' has no exposed {kind} '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _LOCAL_NAMES:
            object.__setattr__(self, name, value)
            return
        if not self._pyroConfig.METADATA:
            object.__setattr__(self, name, value)
            return
        if not (self._pyroMethods or self._pyroAttrs):
            self._pyroGetMetadata()
        if name not in self._pyroAttrs:
            raise self._pyroUnknown(name, "attribute")
        self._pyroInvoke("__setattr__", (name, value), None)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._pyroMethods, *self._pyroAttrs})

    @property
    def _pyroTimeout(self) -> float | None:
        """Seconds that one exchange step may take; None: for ever ([PRX-30])."""
        timeout: float | None = self.__dict__["_pyroTimeoutValue"]
        return timeout

    @_pyroTimeout.setter
    def _pyroTimeout(self, seconds: float | None) -> None:
        self.__dict__["_pyroTimeoutValue"] = seconds
        connection = self._pyroConnection
        if connection is not None:
            connection.setTimeout(seconds or None)

    @property
    def _pyroHmacKey(self) -> bytes | None:
        """The key that signs all messages; text is encoded as UTF-8 ([WIRE-30])."""
        key: bytes | None = self.__dict__["_pyroHmacKeyValue"]
        return key

    @_pyroHmacKey.setter
    def _pyroHmacKey(self, key: bytes | bytearray | memoryview | str | None) -> None:
        if isinstance(key, str):
            key = key.encode("utf-8")
        self.__dict__["_pyroHmacKeyValue"] = bytes(key) if key else None

    # ---- the life of the connection

    def _pyroBind(self) -> bool:
        """Connect if not connected, and keep the resolved URI; True when a connection was made ([PRX-34]).

        Raises:
            CommunicationError, NamingError: the server or its name cannot be reached.
        """
        self._pyroCheckFork()
        with self._pyroLock:
            return self._pyroConnect(keep_uri=True)

    def _pyroBindBefore(self, deadline: float | None) -> bool:
        """As `_pyroBind`, but give up at a monotonic time."""
        self._pyroCheckFork()
        with self._pyroLock:
            return self._pyroConnect(keep_uri=True, deadline=deadline)

    def _pyroWait(self, timeout: float | None = None) -> None:
        """Wait until the object can be reached, and what it exposes is known ([BYD-13]).

        Tries again and again, with growing pauses of at most a second; a connection that there is already is tested.

        Args:
            timeout: seconds, default for ever.

        Raises:
            CommunicationError, NamingError: the time is over; this is the error of the last attempt.
        """

        def attempt(deadline: float | None) -> None:
            self._pyroCheckFork()
            with self._pyroLock:
                connected = self._pyroConnect(deadline=deadline)
                if connected and (self._pyroMethods or self._pyroAttrs):
                    return
                connection = self._pyroConnected()
                connection.setTimeout(_limited(self._pyroTimeout, deadline))
                try:
                    self._pyroGetMetadata()
                finally:
                    if self._pyroConnection is connection:
                        connection.setTimeout(self._pyroTimeout or None)

        connection = self._pyroConnection
        if connection is not None and connection.keep_open:  # lost, it cannot be made again ([PRX-41])
            timeout = 0
        keep_trying(attempt, threading.TIMEOUT_MAX if timeout is None else timeout)

    def _pyroOpen(self, offer: Offer, deadline: float | None) -> tuple[URI, Welcome]:
        """A new connection, and the URI where it leads; of several candidates one that can be connected ([BYD-12])."""
        try:
            return self._pyroOpenAny(self._pyroUri, (), offer, deadline)
        except CommunicationError as error:
            # a server that was known by name may have moved since ([BYD-11])
            name, known = self._pyroNamed or (None, None)
            if name is None or known != self._pyroUri:
                raise
            log.debug("resolving %s again: %s", name, error)
            try:
                return self._pyroOpenAny(name, (known,), offer, deadline)
            except NamingError as naming_error:
                log.debug("could not resolve %s again: %s", name, naming_error)
                raise error from error.__cause__

    def _pyroOpenAny(
        self, name: URI, known_to_fail: tuple[URI, ...], offer: Offer, deadline: float | None
    ) -> tuple[URI, Welcome]:
        """Connect at one of the places that ``name`` leads to, except those that are known to fail."""
        config, key = self._pyroConfig, self._pyroHmacKey

        def make(at: URI) -> Proxy:
            return Proxy(at, config=config)

        attempts = Attempts()
        for candidate in candidates(name, key, make, config, deadline):
            if candidate in known_to_fail:
                continue
            try:
                uri = resolve_for_connection(candidate, key, make, config, deadline)
                return uri, open_connection(uri, offer, self._pyroTimeout or None, config, _limited(None, deadline))
            except (CommunicationError, NamingError) as error:
                attempts.add(str(candidate), error)
        if attempts.last is None:
            raise NamingError(f"nothing else is registered for {name}")
        if len(attempts) == 1:
            raise attempts.last
        raise CommunicationError(attempts.told(f"cannot connect to any object of {name}")) from attempts.last

    def _pyroConnect(self, keep_uri: bool = False, deadline: float | None = None) -> bool:
        """Connect while holding the lock; False when there is a connection already."""
        if self._pyroConnection is not None:
            return False
        config = self._pyroConfig
        offer = Offer(
            self._pyroHandshake,
            bool(config.METADATA),
            get_serializer(self._pyroSerializer or config.SERIALIZER),
            self._pyroSeq,
            clientcall.outgoing_annotations(current_context._state, self._pyroAnnotations()),
            self._pyroHmacKey,
        )
        uri, welcome = self._pyroOpen(offer, deadline)
        try:
            if welcome.metadata is not None:
                self._pyroInstallMetadata(welcome.metadata)
            if uri != self._pyroUri and (keep_uri or self._pyroUri.protocol == "PYRO"):
                self._pyroMoveTo(uri)
            # looked up once for a connection, not for each call; so the class may have changed meanwhile
            self.__dict__.update(_pyroConnection=welcome.connection, _pyroHooked=_has_hooks(type(self)))
            self._pyroValidateHandshake(welcome.response)
            if welcome.annotations:
                self._pyroResponseAnnotations(welcome.annotations, MSG_CONNECTOK)
        except BaseException:
            self.__dict__["_pyroConnection"] = None
            welcome.connection.close()
            raise
        return True

    def _pyroMoveTo(self, uri: URI) -> None:
        """Keep the URI that was found for the name."""
        name = self._pyroUri
        if name.protocol == "PYRO" and self._pyroNamed is not None:
            name = self._pyroNamed[0]
        self.__dict__["_pyroNamed"] = name, uri
        self._pyroUri = uri

    def _pyroUseSocket(self, sock: socket.socket) -> None:
        """Use a socket of the user's, on which no handshake takes place ([PRX-40])."""
        if self._pyroConfig.SSL and not is_tls(sock):
            raise OSError("SSL configured for Pyro but existing socket is not a SSL socket")
        connection = SocketConnection(sock, self._pyroUri.object, keep_open=True)
        if self._pyroTimeout:
            connection.setTimeout(self._pyroTimeout)
        self._pyroConnection = connection
        if self._pyroConfig.METADATA:
            self._pyroGetMetadata()

    def _pyroRelease(self) -> None:
        """Close the connection, if it is not the user's; may be repeated."""
        self._pyroCheckFork()
        with self._pyroLock:
            connection = self._pyroConnection
            if connection is not None and not connection.keep_open:
                self.__dict__["_pyroConnection"] = None
                connection.close()
                self._pyroAbandoned.clear()

    def _pyroReconnect(self, tries: int = 100000000) -> None:
        """Connect anew, trying every 2 seconds.

        Raises:
            ConnectionClosedError: not even the last try succeeded.
            NamingError: the name server does not know the name.
        """
        self._pyroRelease()
        while tries > 0:
            try:
                self._pyroBind()
            except CommunicationError:
                tries -= 1
                if tries > 0:
                    time.sleep(_RECONNECT_PAUSE)
            else:
                return
        raise ConnectionClosedError("failed to reconnect")

    def _pyroCheckFork(self) -> None:
        """In a forked child, leave the connection to the parent ([HRD-33])."""
        if self._pyroForkGeneration == forks.generation:
            return
        connection = self._pyroConnection
        state = self.__dict__
        state["_pyroLock"] = threading.RLock()  # a thread of the parent may have held the old one
        state["_pyroForkGeneration"] = forks.generation
        state["_pyroAbandoned"] = deque()
        if connection is not None and not connection.keep_open:
            state["_pyroConnection"] = None
            connection.abandon()

    def _pyroFailed(self, connection: SocketConnection) -> None:
        """The state of the byte stream is unknown: no later answer may be taken for that of another call."""
        if connection.keep_open:
            connection.eof = True  # the user's socket stays open, but cannot be used by this proxy ([PRX-41])
        else:
            self.__dict__["_pyroConnection"] = None
            connection.close()

    def __enter__(self: P) -> P:  # noqa: PYI019
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pyroRelease()

    def __del__(self) -> None:
        connection = self._pyroConnection
        if connection is None or connection.keep_open:
            return
        # nobody else can hold the lock of an object that is being collected
        if self._pyroForkGeneration == forks.generation:
            connection.close()
        else:
            connection.abandon()

    # ---- metadata

    def _pyroGetMetadata(self, objectId: str | None = None, known_metadata: Mapping[str, Any] | None = None) -> None:
        """Find out what the remote object exposes; with ``known_metadata`` just take that ([PRX-24])."""
        if known_metadata is None:
            self._pyroCheckFork()
            with self._pyroLock:
                if self._pyroConnect() and (self._pyroMethods or self._pyroAttrs):
                    return
                connection = self._pyroConnection
                assert connection is not None
                known_metadata = self._pyroInvoke(
                    "get_metadata", [objectId or connection.objectId], {}, objectId=constants.DAEMON_NAME
                )
        if not isinstance(known_metadata, Mapping):
            raise ProtocolError("malformed metadata")
        self._pyroInstallMetadata(known_metadata)

    def _pyroInstallMetadata(self, metadata: Mapping[str, Any]) -> None:
        try:
            methods, attrs, oneway = (set(metadata[key]) for key in ("methods", "attrs", "oneway"))
        except (KeyError, TypeError) as error:
            raise ProtocolError("malformed metadata") from error
        if not methods and not attrs:
            raise PyroError(_NOTHING_EXPOSED)
        if self._pyroInterface is not None:
            self._pyroInterface.check(self._pyroUri, methods, attrs)
        self._pyroMethods, self._pyroAttrs, self._pyroOneway = methods, attrs, oneway

    # ---- calls

    def _pyroInvoke(self, methodname: str, vargs: Any, kwargs: Any, flags: int = 0, objectId: str | None = None) -> Any:
        """Make a remote call and return its result; every remote operation of the proxy goes this way.

        ``flags`` are ``FLAGS_`` bits, ``objectId`` addresses another object of the same daemon.

        Raises: CommunicationError, what the remote method raises, and what serializing the arguments raises.
        """
        # the instance's dict, since attributes of a class with __getattr__ and __setattr__ take several times as long
        own = self.__dict__
        if own["_pyroForkGeneration"] != forks.generation:
            self._pyroCheckFork()
        with own["_pyroLock"]:
            connection: SocketConnection = own["_pyroConnection"] or self._pyroConnected()
            if own["_pyroAbandoned"]:
                self._pyroCloseAbandoned()
            own["_pyroSeq"] = (own["_pyroSeq"] + 1) & 0xFFFF
            name = own["_pyroSerializer"] or own["_pyroConfig"].SERIALIZER
            serializer = _serializers.get(name) or get_serializer(name)
            if methodname in own["_pyroOneway"]:
                flags |= FLAGS_ONEWAY
            object_id: Any = objectId or connection.objectId
            if vargs and type(vargs[0]) is SerializedBlob:
                result = clientcall.call_with_blob(
                    self, connection, serializer, flags, object_id, methodname, vargs, kwargs
                )
            else:
                payload = serializer.callPayload(object_id, methodname, vargs, kwargs)
                result = clientcall.exchange(self, connection, serializer, flags, payload)
            if type(result) is clientcall.RemoteFailure:
                try:
                    # raised by the remote object: the traceback of the server is in the error's _pyroTraceback
                    raise result.error
                finally:
                    del result  # break the cycle of exception, traceback and this frame ([HRD-44])
            return result

    def _pyroConnected(self) -> SocketConnection:
        """The connection, made if there is none."""
        self._pyroConnect()
        connection = self._pyroConnection
        assert connection is not None
        return connection

    # ---- batches, asynchronous mode, streams

    def _pyroBatch(self) -> _BatchProxyAdapter:
        """Collects calls, to be made in one request ([BAT-1])."""
        return _BatchProxyAdapter(self)

    def _pyroInvokeBatch(self, calls: list[Any], oneway: bool = False) -> Any:
        flags = FLAGS_BATCH | FLAGS_ONEWAY if oneway else FLAGS_BATCH
        return self._pyroInvoke("<batch>", calls, None, flags)

    def _pyroAsync(self, asynchronous: bool = True) -> None:
        """Make calls of methods return a `FutureResult` at once, or no longer ([ASY-1])."""
        self._pyroAsynchronous = asynchronous

    def _pyroCloseStreams(self) -> None:
        """Close the streams that nobody reads any more, unless a call is going on: then the next one does it."""
        if self._pyroLock.acquire(blocking=False):
            try:
                self._pyroCloseAbandoned()
            finally:
                self._pyroLock.release()

    def _pyroCloseAbandoned(self) -> None:
        while self._pyroAbandoned:
            stream_id = self._pyroAbandoned.popleft()
            if self._pyroConnection is not None:
                try:
                    with set_aside():
                        close_stream(self, stream_id)
                except PyroError as error:
                    log.debug("could not close stream %s: %s", stream_id, error)

    # ---- what subclasses may override

    def _pyroAnnotations(self) -> dict[str, Any]:
        """Annotations to send with every request: ids of 4 ASCII characters to bytes."""
        return {}

    def _pyroResponseAnnotations(self, annotations: Mapping[str, bytes], msgtype: int) -> None:
        """Called with the annotations of every answer that has some; ``msgtype`` is its ``MSG_`` number."""

    def _pyroValidateHandshake(self, response: Any) -> None:
        """Called with the server's answer to the handshake; an exception raised here ends the connection."""

    # ---- identity, copies, serialization

    def __repr__(self) -> str:
        connection = self._pyroConnection
        state = "not connected" if connection is None else f"connected {connection.family()}"
        return f"<{type(self).__module__}.{type(self).__name__} at 0x{id(self):x}; {state}; for {self._pyroUri}>"

    def __eq__(self, other: object) -> bool:
        return other is self or (isinstance(other, Proxy) and other._pyroUri == self._pyroUri)

    def __hash__(self) -> int:
        return hash(self._pyroUri)

    def __bool__(self) -> bool:
        return True

    def __copy__(self) -> Proxy:
        other = type(self)(URI(self._pyroUri))
        other.__dict__.update(
            _pyroConfig=self._pyroConfig,
            _pyroMethods=set(self._pyroMethods),
            _pyroAttrs=set(self._pyroAttrs),
            _pyroOneway=set(self._pyroOneway),
            _pyroSerializer=self._pyroSerializer,
            _pyroTimeoutValue=self._pyroTimeout,
            _pyroHandshake=self._pyroHandshake,
            _pyroHmacKeyValue=self._pyroHmacKey,
            _pyroRawWireResponse=self._pyroRawWireResponse,
            _pyroStreamPrefetch=self._pyroStreamPrefetch,
            _pyroMaxRetries=self._pyroMaxRetries,
            _pyroProtocol=self.__dict__["_pyroProtocol"],
            _pyroAsynchronous=self._pyroAsynchronous,
            _pyroInterface=self._pyroInterface,
            _pyroNamed=self._pyroNamed,
        )
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Proxy:
        return self.__copy__()

    def __getstate__(self) -> tuple[Any, ...]:
        return (
            self._pyroUri,
            self._pyroOneway,
            self._pyroMethods,
            self._pyroAttrs,
            self._pyroTimeout or 0.0,
            self._pyroHmacKey if self._pyroConfig.PROXY_SEND_HMAC_KEY else None,
            self._pyroHandshake,
            self._pyroMaxRetries,
            self._pyroSerializer,
        )

    def __setstate__(self, state: Iterable[Any]) -> None:
        uri, oneway, methods, attrs, _, hmac_key, handshake, _, *more = state
        self._pyroInitialise(uri if isinstance(uri, URI) else URI(uri), global_config)
        self.__dict__.update(
            _pyroOneway=set(oneway),
            _pyroMethods=set(methods),
            _pyroAttrs=set(attrs),
            _pyroHandshake=handshake,
            _pyroSerializer=more[0] if more else None,
        )
        self._pyroHmacKey = hmac_key


def _has_hooks(cls: type[Proxy]) -> bool:
    """Whether a class overrides the methods that see the annotations of calls."""
    return cls._pyroAnnotations is not _NO_ANNOTATIONS or cls._pyroResponseAnnotations is not _NO_RESPONSE_ANNOTATIONS


_NO_ANNOTATIONS: Final = Proxy._pyroAnnotations
_NO_RESPONSE_ANNOTATIONS: Final = Proxy._pyroResponseAnnotations


def _limited(timeout: float | None, deadline: float | None) -> float | None:
    """A timeout in seconds, None for none, that ends at a monotonic time."""
    if deadline is None:
        return timeout or None
    left = max(SHORTEST_WAIT, deadline - time.monotonic())
    return min(timeout or left, left)


def _connected_uri(object_id: Any) -> URI:
    """The URI of an object at the other end of a connected socket."""
    if not isinstance(object_id, str):
        raise TypeError("expected Pyro URI")
    return URI(f"PYRO:{object_id}@<<connected-socket>>:0")


# ---- the form for serializers that know no classes ([PRX-15], [SER-40])


def _proxy_to_dict(proxy: Proxy) -> dict[str, Any]:
    uri, oneway, methods, attrs, timeout, hmac_key, handshake, max_retries, serializer = proxy.__getstate__()
    return {
        "__class__": "Pyro4.core.Proxy",
        "state": (
            str(uri),
            tuple(oneway),
            tuple(methods),
            tuple(attrs),
            timeout,
            None if hmac_key is None else "b64:" + base64.b64encode(hmac_key).decode("ascii"),
            handshake,
            max_retries,
            serializer,
        ),
    }


def _proxy_from_dict(data: Mapping[str, Any]) -> Proxy:
    state = list(data["state"])
    if not 8 <= len(state) <= 9:
        raise SerializeError("malformed proxy state")
    state[5] = _hmac_key_from_text(state[5])
    proxy = Proxy.__new__(Proxy)
    proxy.__setstate__(state)
    return proxy


def _hmac_key_from_text(text: Any) -> bytes | None:
    if not text:
        return None
    if not isinstance(text, str) or not text.startswith("b64:"):
        raise ProtocolError("hmac encoding error")
    return base64.b64decode(text[4:])


Proxy.__module__ = "pyrolite.core"
register_library_class(Proxy, "Pyro4.core.Proxy", _proxy_to_dict, _proxy_from_dict)
