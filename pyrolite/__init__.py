"""pyrolite: remote objects for Python, with Pyro4's API and wire protocol.

A server makes objects callable from elsewhere::

    import pyrolite

    @pyrolite.expose
    class Greeter:
        def greet(self, name):
            return f"Hello, {name}"

    daemon = pyrolite.Daemon()
    print(daemon.register(Greeter))     # the URI for clients
    daemon.requestLoop()

and a client calls them::

    greeter = pyrolite.Proxy("PYRO:obj_...@localhost:51234")
    greeter.greet("world")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrolite.constants import VERSION as __version__
from pyrolite.logconfig import configure_logging

configure_logging()  # before anything else of the library logs ([OV-12])

from pyrolite import (  # noqa: E402 - see above; all of these are attributes of the package ([OV-11])
    configuration,
    constants,
    core,
    errors,
    futures,
    lazily,
    message,
    serializers,
    socketutil,
    util,
)
from pyrolite.configuration import config  # noqa: E402
from pyrolite.core import (  # noqa: E402
    URI,
    Proxy,
    SerializedBlob,
    asyncproxy,
    batch,
    behavior,
    callback,
    current_context,
    expose,
    oneway,
)
from pyrolite.core import _locateNS as locateNS  # noqa: E402
from pyrolite.core import _resolve as resolve  # noqa: E402
from pyrolite.futures import Future  # noqa: E402

if TYPE_CHECKING:
    from pyrolite.core import Daemon
    from pyrolite.core.interfaces import typed
    from pyrolite.pyro4alias import install_as_Pyro4
else:
    # what clients do not need, or not every time ([BYD-60])
    __getattr__, __dir__ = lazily.names(
        globals(),
        {
            "Daemon": "pyrolite.core",
            "typed": "pyrolite.core.interfaces",
            "install_as_Pyro4": "pyrolite.pyro4alias",
        },
    )

__all__ = [
    "URI",
    "Daemon",
    "Future",
    "Proxy",
    "SerializedBlob",
    "__version__",
    "asyncproxy",
    "batch",
    "behavior",
    "callback",
    "config",
    "configuration",
    "constants",
    "core",
    "current_context",
    "errors",
    "expose",
    "futures",
    "install_as_Pyro4",
    "locateNS",
    "message",
    "oneway",
    "resolve",
    "serializers",
    "socketutil",
    "typed",
    "util",
]
