"""The daemon: offers objects to clients (chapter 31)."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyrolite import constants
from pyrolite.configuration import config as global_config
from pyrolite.core import clientside
from pyrolite.core.context import CallState, correlation_from, current_context
from pyrolite.core.daemonobject import DaemonObject
from pyrolite.core.dispatch import Answer, Dispatcher
from pyrolite.core.exposure import get_exposed_members, reset_exposed_members
from pyrolite.core.instances import InstanceTable
from pyrolite.core.namekeeper import NameKeeper
from pyrolite.core.onewaypool import OnewayPool
from pyrolite.core.registry import ObjectRegistry
from pyrolite.core.serverhandshake import shake_hands
from pyrolite.core.streams import StreamTable
from pyrolite.core.uri import URI, bracketed
from pyrolite.core.wirelog import log_frame, log_sent
from pyrolite.errors import DaemonError, MessageTooLargeError, PyroError
from pyrolite.net import sockets
from pyrolite.net.connection import SocketConnection
from pyrolite.serializers import SerializerBase, _serializers, get_serializer, register_library_class
from pyrolite.socketserver import make_server
from pyrolite.socketserver.existingconnectionserver import SocketServer_ExistingConnection
from pyrolite.socketserver.interface import DEFAULT_DRAIN
from pyrolite.wire import v48
from pyrolite.wire.framing import read_frame
from pyrolite.wire.message import FLAGS_EXCEPTION, FLAGS_ONEWAY, MSG_INVOKE, MSG_PING, Frame, Payload

if TYPE_CHECKING:
    import socket

    from pyrolite.configuration import Configuration

__all__ = ["Daemon", "pyroObjectToAutoProxy"]

D = TypeVar("D", bound="Daemon")

log: logging.Logger = logging.getLogger("pyrolite.core")

_REQUESTS: Final = frozenset((MSG_INVOKE, MSG_PING))


class Daemon:
    """Offers objects on a socket and serves the calls of clients.

    Args:
        host: where to listen, default HOST.
        port: TCP port, 0 for a random one.
        unixsocket: name of a Unix domain socket to listen on instead.
        nathost: host that clients use to reach this one from outside, default NATHOST.
        natport: port for ``nathost``, 0 for the same as the internal one, default NATPORT.
        interface: class of the object ``Pyro.Daemon``.
        connected_socket: serve only this connected socket, which stays the user's.
        unixsocket_mode: permissions of the file of ``unixsocket``, default those of the process ([SEC-2]).
        config: the configuration to use instead of the global one ([BYD-33]).

    Raises:
        ValueError: the arguments do not fit together, or TLS or the thread pool are not configured properly.
        OSError: the address cannot be bound.
        PyroError: unknown server type.
        SerializeError: an accepted serializer is not available.

    Thread safety: `register`, `unregister`, `uriFor`, `proxyFor`, `shutdown` and `stats` may be called from any thread.
    """

    #: keeps names in name servers, made when there is the first one ([BYD-14])
    _pyroNames: NameKeeper | None = None

    def __init__(
        self,
        host: str | None = None,
        port: int = 0,
        unixsocket: str | None = None,
        nathost: str | None = None,
        natport: int | None = None,
        interface: Callable[[Daemon], Any] = DaemonObject,
        connected_socket: socket.socket | None = None,
        *,
        unixsocket_mode: int | None = None,
        config: Configuration | None = None,
    ) -> None:
        configuration = global_config if config is None else config
        self._pyroConfig = configuration
        self._shutting_down = False
        self._closed = False
        self._loop_thread: threading.Thread | None = None
        self._loop_ended = threading.Event()
        self._loop_ended.set()
        self._housekeeping_lock = threading.Lock()  # housekeeping runs once at a time
        if connected_socket is None:
            nathost, natport = _nat_address(configuration, unixsocket, nathost, natport)
        else:
            nathost = natport = None
        # the server calls back from its threads as soon as it is initialised, so everything else comes first
        self._pyroPrepare(_accepted_serializers(configuration))
        self.transportServer: Any = None
        try:
            if connected_socket is not None:
                self.transportServer = SocketServer_ExistingConnection()
                self.transportServer.init(self, connected_socket)
            else:
                self.transportServer = make_server(configuration.SERVERTYPE)
                if unixsocket_mode is not None:
                    self.transportServer.unixsocket_mode = unixsocket_mode
                self.transportServer.init(self, configuration.HOST if host is None else host, port, unixsocket)
            self.locationStr: str = self.transportServer.locationStr
            if getattr(self.transportServer, "respects_hold", False):
                self._pyroOnewayPool.on_room = self.transportServer.wakeup
            self.natLocationStr: str | None = self._pyroNatLocation(nathost, natport)
            self._registry.add(interface(self), constants.DAEMON_NAME, force=True)
        except BaseException:
            if self.transportServer is not None:
                self.transportServer.close()
            raise
        log.debug("daemon created on %s - %s (pid %d)", self.locationStr, self._pyroFamily(), os.getpid())
        log.debug("accepted serializers: %s", configuration.SERIALIZERS_ACCEPTED)
        log.debug(
            "pyro protocol version: %d  pickle version: %d",
            constants.PROTOCOL_VERSION,
            configuration.PICKLE_PROTOCOL_VERSION,
        )

    def _pyroPrepare(self, accepted: Mapping[int, SerializerBase]) -> None:
        """Set up everything that serves requests."""
        self._registry = ObjectRegistry(self)
        self.objectsById: dict[str, Any] = self._registry.objects
        self._pyroStreams = StreamTable(self._pyroConfig)
        self._pyroInstanceTable = InstanceTable()
        self._pyroOnewayPool = OnewayPool(self._pyroConfig)
        self._pyroDispatcher = Dispatcher(
            objects=self.objectsById,
            instances=self._pyroInstanceTable,
            streams=self._pyroStreams,
            oneway=self._pyroOnewayPool,
            serializers=accepted,
            owner=self,
            config=self._pyroConfig,
        )

    def _pyroNatLocation(self, nathost: str | None, natport: int | None) -> str | None:
        if not nathost:
            return None
        if not natport:
            natport = self.transportServer.sock.getsockname()[1]
        return f"{bracketed(nathost)}:{natport}"

    # ---- what is public about it

    @property
    def sock(self) -> Any:
        """The listening socket, None when closed."""
        return self.transportServer.sock

    @property
    def sockets(self) -> list[Any]:
        """What an outside event loop has to watch for reading; give the ready ones to `events`."""
        sockets: list[Any] = self.transportServer.sockets
        return sockets

    @property
    def selector(self) -> Any:
        """The selector of the multiplex server."""
        return self.transportServer.selector

    @property
    def streaming_responses(self) -> dict[str, Any]:
        """The open item streams by id."""
        return self._pyroStreams.streams

    @property
    def _pyroInstances(self) -> dict[type, Any]:
        """The instances of registered classes in mode ``single``."""
        return self._pyroInstanceTable.singletons

    @property
    def _pyroHmacKey(self) -> bytes | None:
        """The key that signs all messages; text is encoded as UTF-8. To be set before serving."""
        return self._pyroDispatcher.hmac_key

    @_pyroHmacKey.setter
    def _pyroHmacKey(self, key: bytes | bytearray | memoryview | str | None) -> None:
        if isinstance(key, str):
            key = key.encode("utf-8")
        self._pyroDispatcher.hmac_key = bytes(key) if key else None

    def stats(self) -> dict[str, int]:
        """Counters of connections and workers, open streams, and waiting oneway calls ([BYD-7])."""
        stats: dict[str, int] = dict(self.transportServer.stats())
        stats["streams"] = len(self._pyroStreams.streams)
        stats["oneway_queue"] = self._pyroOnewayPool.queued
        return stats

    def __repr__(self) -> str:
        cls = type(self)
        start = f"<{cls.__module__}.{cls.__name__} at 0x{id(self):x}; "
        if "transportServer" not in self.__dict__:
            return start + "unusable>"
        return f"{start}{self.locationStr} - {self._pyroFamily()}; {len(self.objectsById)} objects>"

    def _pyroFamily(self) -> str:
        sock = self.transportServer.sock
        return "closed" if sock is None or sock.fileno() < 0 else sockets.family_str(sock)

    # ---- registration

    def register(self, obj_or_class: Any, objectId: str | None = None, force: bool = False) -> URI:
        """Offer an object or class to clients; returns its URI.

        Args:
            obj_or_class: of a class, clients use instances that are made as its ``@behavior`` says.
            objectId: default a random one.
            force: register in spite of an earlier registration of the object, or of the id.

        Raises:
            DaemonError: the object or the id is registered already.
            TypeError, AttributeError: the id is no text, or the object takes no attributes.
            PyroError: the id cannot be part of a URI.
        """
        object_id = self._registry.add(obj_or_class, objectId, force)
        if self._pyroConfig.AUTOPROXY:
            cls = obj_or_class if isinstance(obj_or_class, type) else type(obj_or_class)
            for serializer in list(_serializers.values()):
                serializer.register_type_replacement(cls, pyroObjectToAutoProxy)
        return self.uriFor(object_id)

    def register_ns(
        self, obj: Any, name: str, ns: Any = None, metadata: Iterable[str] | None = None, ttl: float = 30
    ) -> URI:
        """Offer an object or class, and keep it registered in a name server while this daemon serves ([BYD-14]).

        The registration is a lease, which is renewed three times before it would end, as long as the daemon does its
        housekeeping: so the name vanishes when this process does. It comes back by itself after a restart of the name
        server, and is removed when the object is unregistered or the daemon ends. A name that somebody else has
        registered meanwhile is left alone. Name servers without leases, such as Pyro4's, are used without.

        Args:
            obj: an object or class, registered in this daemon already or not.
            name: the name for it.
            ns: a proxy for the name server, its URI, or a `NameServer` in this process; default: the one that
                `locateNS` finds, again after each loss of the connection. The key is the proxy's, or the daemon's.
            metadata: texts to find the registration by.
            ttl: seconds after which the name vanishes unless it is renewed.

        Returns:
            the URI of the object.

        Raises:
            NamingError, CommunicationError: there is no name server, or it refuses.
            DaemonError: the object cannot be registered in the daemon.
            TypeError, ValueError: an argument is wrong.
        """
        object_id = getattr(obj, "_pyroId", None)
        added = not isinstance(object_id, str) or self.objectsById.get(object_id) is not obj
        uri = self.register(obj) if added else self.uriFor(obj)
        try:
            if self._pyroNames is None:
                self._pyroNames = NameKeeper(self)
            self._pyroNames.add(uri.object, name, uri, ns, metadata, ttl)
        except BaseException:
            if added:
                self._registry.remove(obj)
            raise
        return uri

    def unregister(self, objectOrId: Any) -> None:
        """Stop offering an object; unknown ids are ignored.

        Raises:
            ValueError: nothing given.
            DaemonError: the object is not registered.
        """
        self._registry.remove(objectOrId)
        if self._pyroNames is not None:
            self._pyroNames.drop_missing(self.objectsById)

    def uriFor(self, objectOrId: Any, nat: bool = True) -> URI:
        """The URI of an object, at the NAT location if there is one and ``nat``.

        Raises:
            DaemonError: the object is not registered here. Ids are not checked.
        """
        object_id = self._registry.id_of(objectOrId)
        location = self.natLocationStr if nat and self.natLocationStr else self.locationStr
        return URI(f"PYRO:{object_id}@{location}")

    def proxyFor(self, objectOrId: Any, nat: bool = True) -> Any:
        """A proxy for an object, with its metadata, not connected.

        Raises:
            DaemonError: there is no such object.
        """
        uri = self.uriFor(objectOrId, nat)
        thing = self.objectsById.get(uri.object)
        if thing is None:
            raise DaemonError("object isn't registered in this daemon")
        proxy = clientside.make_proxy(uri)
        metadata = get_exposed_members(thing, only_exposed=self._pyroConfig.REQUIRE_EXPOSE)
        proxy._pyroMethods, proxy._pyroAttrs, proxy._pyroOneway = (
            set(metadata[kind]) for kind in ("methods", "attrs", "oneway")
        )
        return proxy

    def resetMetadataCache(self, objectOrId: Any, nat: bool = True) -> None:
        """Find out anew what an object exposes; unknown ids are ignored ([EXP-10]).

        Raises:
            DaemonError: the object is not registered here.
        """
        thing = self.objectsById.get(self.uriFor(objectOrId, nat).object)
        if thing is not None:
            for as_lists in (False, True):
                reset_exposed_members(thing, self._pyroConfig.REQUIRE_EXPOSE, as_lists)

    @staticmethod
    def serveSimple(
        objects: Mapping[Any, str | None],
        host: str | None = None,
        port: int = 0,
        daemon: Daemon | None = None,
        ns: bool = True,
        verbose: bool = True,
    ) -> None:
        """Offer objects, given with their names, and serve until shutdown ([DMN-22]).

        Args:
            objects: objects or classes to their names, None for none.
            host: where to listen.
            port: TCP port, 0 for a random one.
            daemon: an existing daemon to use; it is closed at the end.
            ns: register the names in the name server; otherwise they are the object ids.
            verbose: print what is offered.

        Raises:
            NamingError: there is no name server.
        """
        daemon = daemon or Daemon(host, port)
        with daemon:
            nameserver = clientside.locate_nameserver() if ns else None
            try:
                for thing, name in objects.items():
                    uri = daemon.register(thing, None if ns else name)
                    if verbose:
                        print(f"Object {thing!r}:\n    uri = {uri}")
                    if name and nameserver is not None:
                        nameserver.register(name, uri)
                        if verbose:
                            print(f"    name = {name}")
            finally:
                if nameserver is not None:
                    nameserver._pyroRelease()
            if verbose:
                print("Pyro daemon running.", flush=True)
            daemon.requestLoop()

    # ---- the loop

    def requestLoop(self, loopCondition: Callable[[], bool] = lambda: True) -> None:
        """Serve until `shutdown`, until the condition is false, or until Ctrl-C; may be called again then.

        The condition is evaluated at least every POLLTIMEOUT seconds.
        """
        log.info("daemon %s entering requestloop", self.locationStr)
        self._loop_thread = threading.current_thread()
        self._loop_ended.clear()
        try:
            # a shutdown that has begun is the business of the transport: its loop does not return before the end of it
            self.transportServer.loop(loopCondition=lambda: not self._closed and loopCondition())
        finally:
            self._loop_thread = None
            self._loop_ended.set()
        log.debug("daemon exits requestloop")

    def events(self, eventsockets: Iterable[Any]) -> None:
        """Handle the ready ones of `sockets`, for loops outside."""
        self.transportServer.events(eventsockets)

    def combine(self, daemon: Any) -> None:
        """Serve another daemon, or a broadcast responder, in the loop of this one (multiplex server only).

        Raises:
            TypeError: this is no multiplex server.
        """
        log.debug("combining event loop with other daemon")
        self.transportServer.combine_loop(daemon.transportServer)

    def shutdown(self, drain: float = DEFAULT_DRAIN) -> None:
        """End the loop and close everything; requests in progress may finish for ``drain`` seconds.

        May be called from any thread, also from a remote method, whose reply is still delivered. May be repeated.
        """
        log.debug("daemon shutting down")
        if self._pyroNames is not None:
            self._pyroNames.close()  # first, so that nobody finds what is about to end
        self._shutting_down = True
        self._pyroStreams.clear()
        self._pyroOnewayPool.close()
        self.transportServer.shutdown(drain)
        # a remote method does not wait for the loop, which waits for its reply
        in_request = current_context._state.in_request
        if self._loop_thread not in (None, threading.current_thread()) and not in_request:
            self._loop_ended.wait(_loop_patience(drain))
        self._closed = True

    def close(self) -> None:
        """Release everything at once; the daemon cannot be used again. May be repeated."""
        if self._pyroNames is not None:
            self._pyroNames.close()
        self._closed = self._shutting_down = True
        self._pyroStreams.clear()
        self._pyroOnewayPool.close()
        self.transportServer.close()

    def __enter__(self: D) -> D:  # noqa: PYI019
        if self._closed:
            raise PyroError("cannot reuse this object")
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ---- what users may override

    def annotations(self) -> dict[str, Any]:
        """Annotations to send with every answer: ids of 4 ASCII characters to bytes."""
        return {}

    def validateHandshake(self, conn: SocketConnection, data: Any) -> Any:
        """Called with the client's handshake data; returns the answer, an exception refuses the client."""
        return "hello"

    def clientDisconnect(self, conn: SocketConnection) -> None:
        """Called when a client's connection ends, while its resources and instances are still there."""

    def housekeeping(self) -> None:
        """Called now and then."""

    # ---- what the transport calls

    def _handshake(self, conn: Any, denied_reason: str | None = None) -> bool:
        """Serve the handshake; False: the connection is to be closed."""
        return shake_hands(self, conn, denied_reason)

    def _pyroRefused(self, error: BaseException) -> None:
        """Called when a handshake is refused because of ``error``, before the client is told."""

    def handleRequest(self, conn: Any) -> None:
        """Read one request and answer it; an exception ends the connection.

        Raises:
            ConnectionClosedError, TimeoutError: the client is gone or takes too long.
            ProtocolError, SecurityError: what came is not acceptable.
        """
        config, dispatcher = self._pyroConfig, self._pyroDispatcher
        plain = type(conn) is SocketConnection  # the usual case takes the direct way
        try:
            if plain:
                frame: Frame = conn.receive_frame(_REQUESTS, dispatcher.hmac_key, config.MAX_MESSAGE_SIZE)
            else:
                frame = self._pyroReceive(conn, _REQUESTS)
        except MessageTooLargeError as error:
            self._pyroReportTooLarge(conn, error)
            raise
        if config.LOGWIRE:
            log_frame("daemon wiredata received", frame)
        if frame[0] == MSG_PING:
            parts, fatal = self._pyroPong(frame, conn)
        else:
            parts, fatal = dispatcher.answer(frame, conn)
        if parts is not None:
            if config.LOGWIRE:
                failed = v48.parse_header(parts[0])[1] & FLAGS_EXCEPTION
                log_sent("daemon wiredata sending" + (" (error response)" if failed else ""), parts)
            if plain:
                conn.send_parts(parts[0], parts[1])
            else:
                self._pyroSend(conn, parts)
        if fatal is not None:
            conn.lingering = parts is not None
            raise fatal

    def _pyroReceive(self, conn: Any, types: frozenset[int]) -> Frame:
        config, key = self._pyroConfig, self._pyroDispatcher.hmac_key
        if type(conn) is SocketConnection or hasattr(conn, "receive_frame"):
            frame: Frame = conn.receive_frame(types, key, config.MAX_MESSAGE_SIZE)
            return frame
        # a stand-in for a connection, as tests use them ([OV-37])
        return read_frame(conn.recv, types, key, config.MAX_MESSAGE_SIZE)

    def _pyroSend(self, conn: Any, parts: tuple[bytes, Payload]) -> None:
        if type(conn) is SocketConnection or hasattr(conn, "send_parts"):
            conn.send_parts(*parts)
        else:
            conn.send(parts[0] + bytes(parts[1]))

    def _pyroPong(self, frame: Frame, conn: Any) -> Answer:
        """The answer to a ping; nothing of the ping is decoded ([WIRE-120])."""
        before = current_context._state
        state = current_context._state = CallState.of_request(conn, frame, correlation_from(frame.annotations))
        try:
            annotations = self._pyroDispatcher.safe_annotations(state)
        finally:
            current_context._state = before
        limit = self._pyroConfig.MAX_MESSAGE_SIZE
        parts = v48.encode(MSG_PING, 0, frame.seq, frame.serializer_id, b"pong", annotations, self._pyroHmacKey, limit)
        return parts, None

    def _pyroReportTooLarge(self, conn: Any, error: MessageTooLargeError) -> None:
        """Tell the client why the connection is going to end: its header is known ([HRD-6])."""
        frame: Frame | None = error.pyroMsg
        if frame is None or frame.type != MSG_INVOKE or frame.flags & FLAGS_ONEWAY:
            return
        serializer = self._pyroDispatcher.serializers.get(frame.serializer_id)
        if serializer is None:
            return
        before = current_context._state
        current_context._state = CallState()
        try:
            parts = self._pyroDispatcher.encode_failure(frame, error, serializer)
        finally:
            current_context._state = before
        if parts is not None:
            self._pyroSend(conn, parts)
            conn.lingering = True  # the client is in the middle of sending, and would lose the answer in a reset

    def _clientDisconnect(self, conn: SocketConnection) -> None:
        self._pyroStreams.disconnected(conn)
        self.clientDisconnect(conn)

    def _housekeeping(self) -> None:
        # after every request of a multiplex server, and mostly there is nothing to do
        if (
            not self._pyroStreams.streams
            and self._pyroNames is None
            and type(self).housekeeping is Daemon.housekeeping
            and "housekeeping" not in self.__dict__
        ):
            return
        if self._shutting_down or not self._housekeeping_lock.acquire(blocking=False):
            return
        try:
            if self._pyroStreams.streams:
                self._pyroStreams.expire()
            if self._pyroNames is not None:
                self._pyroNames.last_housekeeping = time.monotonic()
            self.housekeeping()
        finally:
            self._housekeeping_lock.release()

    def _pyroInterface(self) -> Any:
        """The object ``Pyro.Daemon``."""
        return self.objectsById[constants.DAEMON_NAME]

    # ---- serialization: a daemon travels as an unusable shell ([DMN-11])

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: Any) -> None:
        """A daemon from elsewhere has no state."""


def _loop_patience(drain: float) -> float:
    """Seconds that a shutdown waits for the loop to end."""
    return max(5.0, drain)


def _nat_address(
    config: Configuration, unixsocket: str | None, nathost: str | None, natport: int | None
) -> tuple[str | None, int | None]:
    """The external address, with what is configured filled in ([DMN-1], [DMN-2])."""
    if nathost is None:
        nathost = config.NATHOST
    if natport is None and nathost is not None:
        natport = config.NATPORT
    if nathost and unixsocket:
        raise ValueError("cannot use nathost together with unixsocket")
    if (nathost is None) != (natport is None):
        raise ValueError("must provide natport with nathost")
    return nathost, natport


def _accepted_serializers(config: Configuration) -> dict[int, SerializerBase]:
    serializers = (get_serializer(name) for name in config.SERIALIZERS_ACCEPTED)
    return {serializer.serializer_id: serializer for serializer in serializers}


def pyroObjectToAutoProxy(obj: Any) -> Any:
    """A proxy for an object that is registered in a daemon, any other object itself ([DMN-25])."""
    daemon = getattr(obj, "_pyroDaemon", None)
    if daemon is not None and daemon._pyroConfig.AUTOPROXY:
        try:
            return daemon.proxyFor(obj)
        except DaemonError:  # unregistered by its id, which leaves the marks on the object ([DMN-19])
            return obj
    return obj


def _daemon_to_dict(daemon: Daemon) -> dict[str, Any]:
    return {"__class__": "Pyro4.core.Daemon", "state": ()}


def _daemon_from_dict(data: Mapping[str, Any]) -> Daemon:
    return Daemon.__new__(Daemon)


Daemon.__module__ = "pyrolite.core"
register_library_class(Daemon, "Pyro4.core.Daemon", _daemon_to_dict, _daemon_from_dict)
