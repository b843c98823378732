"""A program with an event loop of its own, which serves a name server, its broadcast responder and a daemon.

New connections are noticed by this loop; the calls are done by the threads of the daemons' pools.
"""

import select
import sys

from objects import Greeter

import pyrolite
from pyrolite.naming import BroadcastServer, startNS


def main() -> None:
    pyrolite.config.SERVERTYPE = "thread"
    pyrolite.config.POLLTIMEOUT = 0.5
    port = int(sys.argv[1]) if len(sys.argv) > 1 else pyrolite.config.NS_PORT
    # on the loopback interface, startNS makes no broadcast responder; so this is one of our own
    uri, nameserver_daemon, _ = startNS(host="localhost", port=port)
    broadcast = BroadcastServer(uri, bchost="127.0.0.1", bcport=port)
    daemon = pyrolite.Daemon()
    assert nameserver_daemon.nameserver is not None
    nameserver_daemon.nameserver.register("example.eventloop.greeter", daemon.register(Greeter))
    print("the loop is ready; name server:", uri, "broadcast port:", broadcast.getPort())

    try:
        while True:
            # this is the place for what else the program has to do
            nameserver_sockets = set(nameserver_daemon.sockets)
            daemon_sockets = set(daemon.sockets)
            ready, _, _ = select.select([*nameserver_sockets, *daemon_sockets, broadcast], [], [], 1.0)
            events = set(ready)
            if events & nameserver_sockets:
                nameserver_daemon.events(events & nameserver_sockets)
            if events & daemon_sockets:
                daemon.events(events & daemon_sockets)
            if broadcast in events:
                print("somebody asks where the name server is")
                broadcast.processRequest()
    except KeyboardInterrupt:
        print("the loop ends")
    finally:
        daemon.close()
        broadcast.close()
        nameserver_daemon.close()


if __name__ == "__main__":
    main()
