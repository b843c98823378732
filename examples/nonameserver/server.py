"""A server without name server: clients need the URI, which can be written down once and for all.

python server.py [PORT]
"""

import sys

import pyrolite


@pyrolite.expose
class Fortune:
    def tell(self, name: str) -> str:
        return f"{name}, you will meet a tall dark server"


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with pyrolite.Daemon(port=port) as daemon:
        # with a fixed port and this fixed object id, the URI is always the same
        uri = daemon.register(Fortune, "example.fortune")
        print("protocol", uri.protocol, "object", uri.object, "host", uri.host)
        print("ready:", uri)
        daemon.requestLoop()


if __name__ == "__main__":
    main()
