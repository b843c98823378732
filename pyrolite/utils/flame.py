"""Flame: modules, builtins, files and the interpreter of a server, used as if they were here ([FLM-2] to [FLM-8]).

**It gives clients full control of the server's process.** That is why a server has to enable it (FLAME_ENABLED), has to
accept pickle and nothing else, and refuses to start it where the network could reach it without a key. The console that
`Flame.console` gives is in `pyrolite.utils.flameconsole`.

A server calls ``flame.start(daemon)``, a client::

    with flame.connect("localhost:9999") as remote:
        print(remote.module("platform").node())
        remote.console().interact()
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import ipaddress
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final, NoReturn, cast

from pyrolite import constants
from pyrolite.configuration import Configuration
from pyrolite.configuration import config as global_config
from pyrolite.core import URI, Daemon, Proxy, expose
from pyrolite.errors import SecurityError, SerializeError
from pyrolite.serializers import register_library_class
from pyrolite.utils.flameconsole import InteractiveConsole, RemoteInteractiveConsole

__all__ = ["Flame", "connect", "createModule", "start"]

_PICKLE_ONLY: Final = frozenset(("pickle",))
#: The source of the modules that `createModule` has made, which are in no file.
_sources: Final[dict[str, str]] = {}


def connect(location: str, hmac_key: bytes | str | None = None) -> Any:
    """A proxy for the Flame object of the server at ``location``, connected.

    Args:
        location: ``host:port`` or ``./u:socketname``.
        hmac_key: the key of the server; it is used for everything that comes from the proxy as well.

    Raises:
        SerializeError: the configured SERIALIZER is not pickle ([FLM-3]).
        CommunicationError: nobody answers there, or Flame is not enabled.
    """
    if global_config.SERIALIZER != "pickle":
        raise SerializeError("Flame requires the pickle serializer")
    proxy = _FlameProxy(URI(f"PYRO:{constants.FLAME_NAME}@{location}"))
    proxy._pyroHmacKey = hmac_key
    proxy._pyroBind()
    return proxy


def start(daemon: Daemon) -> URI:
    """Offer a `Flame` object, with the name ``Pyro.Flame``; returns its URI.

    Raises:
        SecurityError: the configuration of the daemon does not have FLAME_ENABLED, or the daemon can be reached over
            the network and asks clients neither for a key nor for a certificate ([FLM-2], [FLM-8]).
        SerializeError: the daemon accepts other serializers than pickle.
    """
    config = daemon._pyroConfig
    if not config.FLAME_ENABLED:
        raise SecurityError("Flame is disabled in the server configuration")
    if config.SERIALIZERS_ACCEPTED != _PICKLE_ONLY:
        raise SerializeError("Flame requires the pickle serializer exclusively")
    guarded = daemon._pyroHmacKey or (config.SSL and config.SSL_REQUIRECLIENTCERT)
    if not (guarded or _is_local(daemon.sock)):
        raise SecurityError(
            f"Flame refuses to give control of this process to everybody who can reach {daemon.locationStr}: bind the "
            "daemon to localhost or a Unix domain socket, or set an HMAC key or SSL_REQUIRECLIENTCERT"
        )
    return daemon.register(Flame(config=config), constants.FLAME_NAME)


def _is_local(sock: Any) -> bool:
    """Whether only processes of this machine can reach the socket."""
    if sock.family == getattr(socket, "AF_UNIX", None):
        return True
    return ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback


# ---- source code


def fixExecSourceNewlines(source: str) -> str:
    """``source`` with line ends that every compiler takes, and one at its end."""
    return source.replace("\r\n", "\n").replace("\r", "\n").rstrip() + "\n"


def exec_function(source: str, filename: str, global_map: dict[str, Any]) -> None:
    """Run source code, whose lines may end as on any system, with these global variables.

    Raises: SyntaxError, and whatever the code raises.
    """
    exec(compile(fixExecSourceNewlines(source), filename, "exec"), global_map)  # noqa: S102 - that is what Flame does


def createModule(
    name: str, source: str, filename: str = "<dynamic-module>", namespace: dict[str, Any] | None = None
) -> ModuleType:
    """Make a module, and packages above it as needed, from source code ([FLM-6]).

    Args:
        name: may be dotted. The source is run in an existing module of that name.
        source: the code.
        filename: what tracebacks name.
        namespace: gets the module at the top of the name as a variable.

    Raises: SyntaxError, and whatever the code raises.
    """
    parts = name.split(".")
    parent: ModuleType | None = None
    module: ModuleType | None = None
    for length in range(1, len(parts) + 1):
        path = ".".join(parts[:length])
        module = sys.modules.get(path)
        if module is None:
            module = ModuleType(path)
            module.__file__ = filename
            if length < len(parts):
                module.__path__ = []
            sys.modules[path] = module
        if parent is not None:
            setattr(parent, parts[length - 1], module)
        parent = module
    assert module is not None
    _sources[name] = source
    exec_function(source, filename, module.__dict__)
    if namespace is not None:
        namespace[parts[0]] = sys.modules[parts[0]]
    return module


# ---- what clients get


class _Remote:
    """What the client gets of a server's things: holds the proxy that goes there."""

    flameserver: Any

    def __init__(self, flameserver: Any) -> None:
        # on the server it is the Flame object itself, which travels as a proxy
        daemon = None if isinstance(flameserver, Proxy) else getattr(flameserver, "_pyroDaemon", None)
        self.__dict__["flameserver"] = flameserver if daemon is None else daemon.proxyFor(flameserver)

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.flameserver._pyroRelease()

    def _describe(self, what: str) -> str:
        cls = type(self)
        location = self.flameserver._pyroUri.location
        return f"<{cls.__module__}.{cls.__name__} at 0x{id(self):x}; {what} at {location}>"


class FlameModule(_Remote):
    """A module of the server: its functions can be called, at any depth: ``os.path.exists("x")`` ([FLM-5]).

    Thread safety: may be shared; the calls are made one after the other.
    """

    def __init__(self, flameserver: Any, module: str) -> None:
        super().__init__(flameserver)
        self.__dict__["module"] = module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):  # copy and pickle ask for all kinds of these
            raise AttributeError(name)
        return _ModuleMember(self, f"{self.__dict__['module']}.{name}")

    def __repr__(self) -> str:
        return self._describe(f"module '{self.module}'")


class _ModuleMember:
    """Something in a `FlameModule`, to be called or looked into."""

    def __init__(self, owner: FlameModule, path: str) -> None:
        self._owner = owner
        self._path = path

    def __getattr__(self, name: str) -> _ModuleMember:
        return _ModuleMember(self._owner, f"{self._path}.{name}")

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._owner.flameserver.invokeModule(self._path, args, kwargs)

    def __repr__(self) -> str:
        return f"<{self._path} of {self._owner!r}>"


class FlameBuiltin(_Remote):
    """A builtin function of the server, to be called ([FLM-5]).

    Thread safety: may be shared; the calls are made one after the other.
    """

    builtin: str

    def __init__(self, flameserver: Any, builtin: str) -> None:
        super().__init__(flameserver)
        self.__dict__["builtin"] = builtin

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.flameserver.invokeBuiltin(self.builtin, args, kwargs)

    def __repr__(self) -> str:
        return self._describe(f"builtin '{self.builtin}'")


class _FlameProxy(Proxy):
    """Gives the key that it uses itself to the proxies in what it receives: the server does not send keys around."""

    def _pyroInvoke(self, methodname: str, vargs: Any, kwargs: Any, flags: int = 0, objectId: str | None = None) -> Any:
        result = super()._pyroInvoke(methodname, vargs, kwargs, flags, objectId)
        if isinstance(result, _Remote):
            result.flameserver._pyroHmacKey = self._pyroHmacKey
        elif isinstance(result, RemoteInteractiveConsole):
            result.remoteconsole._pyroHmacKey = self._pyroHmacKey
        return result

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Proxy, (URI(self._pyroUri),), self.__getstate__()


# ---- the server


@expose
class Flame:
    """What a server offers with Flame ([FLM-4]).

    Args:
        config: the configuration to look at instead of the global one.

    Raises:
        RuntimeError: it accepts other serializers than pickle.

    Thread safety: the methods may be called from any thread.
    """

    def __init__(self, *, config: Configuration | None = None) -> None:
        if (config or global_config).SERIALIZERS_ACCEPTED != _PICKLE_ONLY:
            raise RuntimeError("flame requires the pickle serializer exclusively")

    def module(self, name: str) -> FlameModule:
        """Import a module here, and return what stands for it."""
        importlib.import_module(name)
        return FlameModule(self, name)

    def builtin(self, name: str) -> FlameBuiltin:
        """What stands for a builtin function."""
        return FlameBuiltin(self, name)

    def execute(self, code: str) -> None:
        """Run statements; the global variables are those of this module."""
        exec_function(code, "<remote-code>", globals())

    def evaluate(self, expression: str) -> Any:
        """The value of an expression; the global variables are those of this module."""
        return eval(expression, globals())  # noqa: S307 - that is what Flame does

    def sendmodule(self, modulename: str, source: str) -> None:
        """Make a module here, see `createModule`."""
        createModule(modulename, source)

    def getmodule(self, modulename: str) -> str:
        """The source code of a module.

        Raises:
            ImportError: there is no such module.
            OSError, TypeError: it has no source code.
        """
        source = _sources.get(modulename)
        return inspect.getsource(importlib.import_module(modulename)) if source is None else source

    def sendfile(self, filename: str, filedata: bytes) -> None:
        """Write a file here that its owner alone may read.

        Raises:
            OSError: it cannot be written.
        """
        descriptor = os.open(filename, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with contextlib.suppress(OSError, AttributeError):  # not on every system, or the file is somebody else's
                os.fchmod(descriptor, 0o600)  # it may have existed before
            file.write(filedata)

    def getfile(self, filename: str) -> bytes:
        """The contents of a file.

        Raises:
            OSError: it cannot be read.
        """
        return Path(filename).read_bytes()

    def console(self) -> RemoteInteractiveConsole:
        """Start an interactive interpreter here, and return what gives access to it."""
        console = InteractiveConsole(filename="<remoteconsole>")
        daemon = cast("Any", self)._pyroDaemon
        daemon.register(console)
        return RemoteInteractiveConsole(daemon.proxyFor(console))

    def invokeModule(self, dottedname: str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Call ``module.name...``; used by `FlameModule`."""
        modulename, _, path = dottedname.partition(".")
        function: Any = importlib.import_module(modulename)
        for name in path.split("."):
            function = getattr(function, name)
        return function(*args, **kwargs)

    def invokeBuiltin(self, builtin: str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Call a builtin; used by `FlameBuiltin`."""
        return getattr(importlib.import_module("builtins"), builtin)(*args, **kwargs)


def _no_dict(thing: Any) -> NoReturn:
    raise SerializeError("Flame requires the pickle serializer")


def _no_object(data: Mapping[str, Any]) -> NoReturn:
    raise SecurityError("refused to make a Flame object of something that was not pickled")


# a Pyro4 at the other end has these classes under these names ([SER-45])
for _class in (FlameModule, FlameBuiltin, RemoteInteractiveConsole):
    register_library_class(_class, f"Pyro4.utils.flame.{_class.__name__}", _no_dict, _no_object)
del _class
# where programs know them from ([OV-33])
InteractiveConsole.__module__ = RemoteInteractiveConsole.__module__ = __name__
