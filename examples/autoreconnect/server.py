"""A clerk that can be restarted, because it always has the same address and object id.

python server.py [PORT]    at a fixed port
python server.py --ns      at any port, registered in the name server
"""

import itertools
import sys

import pyrolite

DEFAULT_PORT = 7775


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Clerk:
    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def ticket(self) -> int:
        return next(self._numbers)


def main() -> None:
    if "--ns" in sys.argv:
        with pyrolite.Daemon() as daemon:
            uri = daemon.register(Clerk, "example.clerk")
            with pyrolite.locateNS() as nameserver:
                nameserver.register("example.autoreconnect.clerk", uri)
            print("the clerk is ready: PYRONAME:example.autoreconnect.clerk")
            daemon.requestLoop()
    else:
        port = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PORT
        with pyrolite.Daemon(port=port) as daemon:
            # without a fixed id the object would get a new one at each start
            print("the clerk is ready:", daemon.register(Clerk, "example.clerk"))
            daemon.requestLoop()


if __name__ == "__main__":
    main()
