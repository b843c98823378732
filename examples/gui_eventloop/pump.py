"""Does what is waiting in a daemon without ever blocking: for event loops that can only be asked to call a function."""

import select

import pyrolite


def pump(daemon: pyrolite.Daemon, seconds: float = 0.0) -> bool:
    """Serve the requests that have arrived; True when there was something to do.

    The daemon has to be of the multiplex type, so that its calls are done here, in this thread.
    """
    ready, _, _ = select.select(daemon.sockets, [], [], seconds)
    if ready:
        daemon.events(ready)
    return bool(ready)
