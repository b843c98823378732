"""The loop of one daemon serves the sockets of all: of the name server, its broadcast responder, and its own."""

import sys

from objects import Greeter

import pyrolite
from pyrolite.naming import BroadcastServer, startNS


def main() -> None:
    pyrolite.config.SERVERTYPE = "multiplex"
    port = int(sys.argv[1]) if len(sys.argv) > 1 else pyrolite.config.NS_PORT
    uri, nameserver_daemon, _ = startNS(host="localhost", port=port)
    with (
        nameserver_daemon,
        BroadcastServer(uri, bchost="127.0.0.1", bcport=port) as broadcast,
        pyrolite.Daemon() as daemon,
    ):
        assert nameserver_daemon.nameserver is not None
        nameserver_daemon.nameserver.register("example.eventloop.greeter", daemon.register(Greeter))
        daemon.combine(nameserver_daemon)
        daemon.combine(broadcast)
        print("the loop is ready; name server:", uri, "broadcast port:", broadcast.getPort())
        daemon.requestLoop()
    print("the loop ends")


if __name__ == "__main__":
    main()
