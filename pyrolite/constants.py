"""Facts that both ends of a connection share ([OV-30]). Imports nothing."""

from typing import Final

__all__ = ["DAEMON_NAME", "FLAME_NAME", "NAMESERVER_NAME", "PROTOCOL_VERSION", "VERSION"]

#: pyrolite's own version; the only place where it is written.
VERSION: Final = "0.1.0"

#: Object id of the daemon's own remote interface.
DAEMON_NAME: Final = "Pyro.Daemon"

#: Object id, and registered name, of a name server.
NAMESERVER_NAME: Final = "Pyro.NameServer"

#: Object id of the Flame server object.
FLAME_NAME: Final = "Pyro.Flame"

#: Version in the header of every message. Not ``Final``: read when a message is built or checked ([WIRE-133]).
PROTOCOL_VERSION = 48
