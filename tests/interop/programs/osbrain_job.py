"""A job for osBrain: agents in processes of their own, driven through proxies. Knows nothing of pyrolite."""

import time

import Pyro4
from osbrain import Agent, run_agent, run_nameserver


class Greeter(Agent):
    """Sends greetings to whoever is connected."""

    def on_init(self):
        self.bind("PUSH", alias="main")

    def hello(self, name):
        self.send("main", "Hello, %s!" % name)


def note(agent, message):
    """What Bob does with a message."""
    agent.received = [*agent.received, message]


if __name__ == "__main__":
    print("library", Pyro4.__name__)
    nameserver = run_nameserver()
    try:
        alice = run_agent("Alice", base=Greeter)
        bob = run_agent("Bob")
        bob.set_attr(received=[])
        bob.connect(alice.addr("main"), handler=note)
        for number in range(3):
            alice.hello("Bob %d" % number)
        deadline = time.monotonic() + 20
        while len(bob.get_attr("received")) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        print("received", bob.get_attr("received"))
        print("agents", sorted(nameserver.agents()))
        try:
            alice.unknown()
        except AttributeError as error:
            print("refused", type(error).__name__)
    finally:
        nameserver.shutdown()
    print("done")
