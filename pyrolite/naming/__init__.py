"""The name server: finds remote objects by name or by metadata (chapter 50).

The name server proper is in `server`; it is started by `service`, which the command line tool ``pyrolite-ns`` uses,
too. `storage` is where the names are kept, `broadcast` tells clients where the name server is, and `autoclean` removes
what is gone. Clients use `locateNS` and `resolve`.
"""

from __future__ import annotations

from pyrolite.core import _locateNS as locateNS
from pyrolite.core import _resolve as resolve
from pyrolite.naming.autoclean import AutoCleaner as AutoCleaner
from pyrolite.naming.broadcast import BroadcastServer as BroadcastServer
from pyrolite.naming.server import NameServer as NameServer
from pyrolite.naming.server import NameServerDaemon as NameServerDaemon
from pyrolite.naming.server import type_meta
from pyrolite.naming.service import main as main
from pyrolite.naming.service import startNS, startNSloop
from pyrolite.naming.storage import MemoryStorage as MemoryStorage

__all__ = ["locateNS", "resolve", "startNS", "startNSloop", "type_meta"]  # what Pyro4 has there ([OV-17])
# The names that are imported "as" themselves are also to be imported from here ([OV-18], [OV-19]).
