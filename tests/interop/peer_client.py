"""A peer program that calls: ``peer_client.py LIBRARY``; commands are the methods of `Client`.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading

import scenarios
import value_table
from peer_common import describe, forget_tls_contexts, serve_commands, stable
from peer_server import SERIALIZERS

#: No call may take longer, whatever the server does.
TIMEOUT = 8.0


class Environment:
    """What a scenario works with."""

    def __init__(self, lib, uris, serializer, extra):
        self.lib = lib
        self.uris = uris
        self.serializer = serializer
        self.extra = extra
        self._closables = []

    def proxy(self, name="target", **attributes):
        """A proxy for an object of the server, released after the scenario; ``hmac="k"`` sets ``_pyroHmac``..."""
        proxy = self.lib.Proxy(self.uris[name])
        for key, value in attributes.items():
            setattr(proxy, "_pyro" + key, value)
        self._closables.append(proxy._pyroRelease)
        return proxy

    @property
    def others(self):
        """URIs of objects like ``target`` in other servers, of Pyro4 and of pyrolite."""
        return [self.uris["other_Pyro4"], self.uris["other_pyrolite"]]

    def serve(self, thing):
        """Register an object in a daemon of the client; returns the object's proxy."""
        daemon = self.daemon()
        daemon.register(thing)
        return daemon.proxyFor(thing)

    def daemon(self):
        """A daemon of the client, which serves until the end of the scenario."""
        daemon = self.lib.Daemon(host="127.0.0.1")
        thread = threading.Thread(target=daemon.requestLoop)
        thread.daemon = True
        thread.start()

        def end():
            daemon.shutdown()
            thread.join(6)
            daemon.close()

        self._closables.append(end)
        return daemon

    def forget_tls_contexts(self):
        """Use other certificates from now on."""
        forget_tls_contexts(self.lib)

    def close(self):
        """Undo everything."""
        for close in reversed(self._closables):
            close()


class Client:
    """The commands."""

    def __init__(self, lib):
        self.lib = lib
        value_table.register_converters(lib)

    def configure(self, **items):
        """Back to the defaults, then these items."""
        config = self.lib.config
        config.reset(False)
        config.SERIALIZERS_ACCEPTED = set(SERIALIZERS)
        config.COMMTIMEOUT = TIMEOUT
        config.POLLTIMEOUT = 0.5
        for item, value in items.items():
            setattr(config, item, value)
        forget_tls_contexts(self.lib)
        context = self.lib.current_context
        context.annotations, context.response_annotations, context.correlation_id = {}, {}, None

    def run(self, scenario, uris, serializer="serpent", **extra):
        """Run a scenario; answers what it found."""
        self.configure(SERIALIZER=serializer)
        environment = Environment(self.lib, uris, serializer, extra)
        try:
            return scenarios.SCENARIOS[scenario].function(environment)
        finally:
            environment.close()
            self.configure()

    def matrix(self, uri, serializer):
        """Send every item as an argument, and receive it as a result; what arrives is described by the receiver."""
        self.configure(SERIALIZER=serializer)
        found = {}
        for item in value_table.ITEMS:
            with self.lib.Proxy(uri) as proxy:
                found[item] = {"argument": self._argument(proxy, item), "result": self._result(proxy, item)}
        self.configure()
        return found

    def _argument(self, proxy, item):
        try:
            return stable(proxy.describe(value_table.make(item, self.lib)))
        except Exception as error:
            return stable("!%s: %s" % (type(error).__name__, error))

    def _result(self, proxy, item):
        try:
            return stable(describe(proxy.give(item)))
        except Exception as error:
            return stable("!%s: %s" % (type(error).__name__, error))

    def handle(self, op, **arguments):
        """Execute one command."""
        return getattr(self, op)(**arguments)


def main():
    """Serve the commands on standard input."""
    client = Client(importlib.import_module(sys.argv[1]))
    client.configure()
    serve_commands(client.handle, {"pid": os.getpid(), "python": sys.version_info[:2]})


if __name__ == "__main__":
    main()
