"""A peer program that serves: ``peer_server.py LIBRARY``; commands are the methods of `Server`.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading

import value_table
from peer_common import forget_tls_contexts, serve_commands
from peer_objects import build

SERIALIZERS = {"serpent", "json", "marshal", "pickle", "cloudpickle", "dill", "msgpack"}


class Server:
    """Daemons and name servers by name, each with a thread of its own."""

    def __init__(self, lib):
        self.lib = lib
        self.running = {}
        value_table.register_converters(lib)

    def configure(self, **items):
        """Back to the defaults, then these items."""
        self.lib.config.reset(False)
        self.lib.config.SERIALIZERS_ACCEPTED = set(SERIALIZERS)
        self.lib.config.POLLTIMEOUT = 0.5
        forget_tls_contexts(self.lib)
        for item, value in items.items():
            setattr(self.lib.config, item, value)

    def start(self, name, servertype="thread", hmac=None, accept=None, **location):
        """Start a daemon with all the objects; the answer maps object ids to URIs."""
        daemon_class, objects = build(self.lib)
        self.lib.config.SERVERTYPE = servertype
        if accept:
            self.lib.config.SERIALIZERS_ACCEPTED = set(accept)
        daemon = daemon_class(**(location or {"host": "127.0.0.1"}))
        self.lib.config.SERIALIZERS_ACCEPTED = set(SERIALIZERS)
        if hmac is not None:
            daemon._pyroHmacKey = hmac
        uris = {key: str(daemon.register(thing, key)) for key, thing in objects.items()}
        self._run(name, daemon)
        return uris

    def start_connected(self, name):
        """Wait for one connection on a plain socket and serve it with a daemon; answers the port."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)

        def serve():
            listener.settimeout(20)
            with listener, listener.accept()[0] as connection:
                self._serve_connected(connection)

        _background(serve, name)
        return listener.getsockname()[1]

    def start_pair(self, name, path):
        """Serve one end of a socket pair; whoever connects to the Unix socket gets the other end."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)

        def serve():
            listener.settimeout(20)
            ours, theirs = socket.socketpair()
            with ours:
                with theirs, listener, listener.accept()[0] as carrier:
                    os.unlink(path)
                    socket.send_fds(carrier, [b"."], [theirs.fileno()])
                self._serve_connected(ours)

        _background(serve, name)

    def _serve_connected(self, connection):
        connection.settimeout(None)
        daemon_class, objects = build(self.lib)
        with daemon_class(connected_socket=connection) as daemon:
            daemon.register(objects["target"], "target")
            daemon.requestLoop()

    def start_nameserver(self, name, servertype="thread", broadcast=False, **arguments):
        """Start a name server; answers its URI, port, and the port of the broadcast responder."""
        self.lib.config.SERVERTYPE = servertype
        naming = importlib.import_module(self.lib.__name__ + ".naming")
        location = {} if "unixsocket" in arguments else {"host": "127.0.0.1", "port": 0}
        uri, daemon, _ = naming.startNS(enableBroadcast=False, **{**location, **arguments})
        self._run(name, daemon)
        broadcast_port = 0
        if broadcast:
            responder = naming.BroadcastServer(uri, bchost="127.0.0.1", bcport=0)
            broadcast_port = responder.getPort()
            responder.runInThread()
            self.running[name + ".broadcast"] = (responder, None)
        return {"uri": str(uri), "port": uri.port, "broadcast_port": broadcast_port}

    def _run(self, name, daemon):
        self.running[name] = (daemon, _background(daemon.requestLoop, name))

    def stop(self, name):
        """Shut a daemon or name server down; answers whether its loop ended."""
        for key in (name + ".broadcast", name):
            service, thread = self.running.pop(key, (None, None))
            if service is None:
                continue
            if thread is None:
                service.close()
            else:
                service.shutdown()
                thread.join(6)
                if thread.is_alive():
                    return False
                service.close()
        return True

    def departures(self, name):
        """How many clients have left a daemon."""
        return self.running[name][0].departures

    def handle(self, op, **arguments):
        """Execute one command."""
        return getattr(self, op)(**arguments)


def _background(function, name):
    thread = threading.Thread(target=function, name=name)
    thread.daemon = True
    thread.start()
    return thread


def main():
    """Serve the commands on standard input."""
    server = Server(importlib.import_module(sys.argv[1]))
    server.configure()
    serve_commands(server.handle, {"pid": os.getpid(), "python": sys.version_info[:2]})
    for name in list(server.running):
        server.stop(name)


if __name__ == "__main__":
    main()
