"""Gives out resources that are closed when their client is gone, whatever the reason."""

import pyrolite
from pyrolite import current_context


class Lock:
    """A resource: anything with a method ``close``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def close(self) -> None:
        print(f"{self.name} is closed")


@pyrolite.expose
class LockSmith:
    """One instance for each connection. It holds the resources: the daemon has weak references to them only."""

    def __init__(self) -> None:
        self._locks: dict[str, Lock] = {}

    def lock(self, name: str) -> None:
        resource = Lock(name)
        current_context.track_resource(resource)
        self._locks[name] = resource
        print(f"{name} is locked")

    def unlock(self, name: str) -> None:
        resource = self._locks.pop(name)
        current_context.untrack_resource(resource)
        resource.close()


class TellingDaemon(pyrolite.Daemon):
    def clientDisconnect(self, conn: pyrolite.socketutil.SocketConnection) -> None:
        """Called before the resources are closed."""
        names = sorted(resource.name for resource in conn.tracked_resources)
        print("a client is gone, and leaves:", ", ".join(names) or "nothing")


def main() -> None:
    with TellingDaemon() as daemon:
        print("the locksmith is ready:", daemon.register(LockSmith))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
