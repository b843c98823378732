"""The remote object model: `Proxy` for clients, `Daemon` for servers, `URI` for both ([OV-13]).

The walk of a call: `proxy` -> `clientcall` -> `pyrolite.net.connection` -> (socket) -> `pyrolite.socketserver` ->
`daemon` -> `dispatch` -> the method, and the same way back. The server half (`daemon`, `dispatch`, `registry`,
`instances`, `exposure`, ...) and the client half (`proxy`, `batch`, `resolver`, ...) do not import each other; they are
joined here. The server half, and all of `pyrolite.socketserver`, is loaded when somebody asks for `Daemon` ([BYD-60]).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyrolite import lazily
from pyrolite.core import clientside, libraryclasses  # noqa: F401 - the latter registers classes
from pyrolite.core.batch import _BatchedRemoteMethod, _BatchProxyAdapter, batch
from pyrolite.core.blob import SerializedBlob
from pyrolite.core.context import _CallContext, current_context
from pyrolite.core.exposure import behavior, callback, expose, oneway
from pyrolite.core.locating import _locateNS, _resolve, asyncproxy
from pyrolite.core.proxy import Proxy
from pyrolite.core.remotemethod import _AsyncRemoteMethod, _RemoteMethod
from pyrolite.core.streamiterator import _StreamResultIterator
from pyrolite.core.uri import URI
from pyrolite.serializers import register_library_name

if TYPE_CHECKING:
    from pyrolite.core.daemon import Daemon
    from pyrolite.core.daemon import pyroObjectToAutoProxy as pyroObjectToAutoProxy
    from pyrolite.core.daemonobject import DaemonObject as DaemonObject
else:
    __getattr__, __dir__ = lazily.names(
        globals(),
        {
            "Daemon": "pyrolite.core.daemon",
            "DaemonObject": "pyrolite.core.daemonobject",
            "pyroObjectToAutoProxy": "pyrolite.core.daemon",
        },
    )

__all__ = [  # what Pyro4 has there ([OV-13])
    "URI",
    "Daemon",
    "Proxy",
    "SerializedBlob",
    "_locateNS",
    "_resolve",
    "asyncproxy",
    "batch",
    "behavior",
    "callback",
    "current_context",
    "expose",
    "oneway",
]

# also to be imported from here ([OV-14] to [OV-16])
_ALSO_HERE = (
    _AsyncRemoteMethod,
    _BatchProxyAdapter,
    _BatchedRemoteMethod,
    _CallContext,
    _RemoteMethod,
    _StreamResultIterator,
)


def _daemon_from_dict(data: Any) -> Any:
    """What stands for a daemon of another process ([SER-40])."""
    return lazily.load("pyrolite.core.daemon")._daemon_from_dict(data)


register_library_name("Pyro4.core.Daemon", _daemon_from_dict)
clientside.make_proxy = Proxy
clientside.locate_nameserver = _locateNS

# users see them as members of this module: in texts, tracebacks and pickles ([OV-6])
for _public in (
    SerializedBlob,
    _AsyncRemoteMethod,
    _BatchProxyAdapter,
    _BatchedRemoteMethod,
    _CallContext,
    _RemoteMethod,
    _StreamResultIterator,
):
    _public.__module__ = __name__
del _public
