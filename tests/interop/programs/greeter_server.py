"""A server as users write it: ``greeter_server.py LIBRARY NAME`` publishes an object under a name until it is ended."""

import importlib
import sys

Pyro = importlib.import_module(sys.argv[1])


@Pyro.expose
@Pyro.behavior(instance_mode="single")
class Greeter:
    def __init__(self):
        self._greeted = []

    def greet(self, name, punctuation="!"):
        self._greeted.append(name)
        return f"Hello, {name}{punctuation}"

    def fail(self):
        raise ValueError("on purpose")

    @property
    def greeted(self):
        return self._greeted

    def count_down(self, start):
        while start:
            yield start
            start -= 1


def main():
    with Pyro.Daemon(host="127.0.0.1") as daemon:
        uri = daemon.register(Greeter)
        with Pyro.locateNS() as nameserver:
            nameserver.register(sys.argv[2], uri, metadata=["interop.kind:greeter", "interop.of:" + sys.argv[1]])
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        daemon.requestLoop()


main()
