"""A callback that uses the very proxy whose call is in progress: a deadlock, and two ways out of it."""

import copy
import sys
import threading

import pyrolite


class Alice:
    def __init__(self, bob: pyrolite.Proxy, *, use_copy: bool) -> None:
        self._bob = bob
        self._use_copy = use_copy
        self.done = threading.Event()

    @pyrolite.expose
    def ask(self, question: str) -> str:
        print("  Bob asks:", question)
        if self._use_copy:
            with copy.copy(self._bob) as bob:  # another connection: nothing is in its way
                return f"{bob.opinion()} today"
        # this proxy is busy with the call that made Bob ask: its lock is taken until Bob answers, who waits for us
        return f"{self._bob.opinion()} today"

    @pyrolite.expose
    def answered(self, text: str) -> None:
        print("  Bob says:", text)
        self.done.set()


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of Bob: ")
    with pyrolite.Daemon() as daemon, pyrolite.Proxy(uri) as bob:
        threading.Thread(target=daemon.requestLoop, name="callbacks").start()

        print("the deadlock:")
        bob._pyroTimeout = 0.5  # without a timeout this would be the end of the program
        alice = Alice(bob, use_copy=False)
        daemon.register(alice)
        try:
            print("  Bob says:", bob.greet("hello", alice))
        except pyrolite.errors.TimeoutError:
            print("  no answer: the call waits for the callback, the callback waits for the call")
        bob._pyroTimeout = 10

        print("first way out, a proxy of its own for the callback:")
        alice = Alice(bob, use_copy=True)
        daemon.register(alice)
        print("  Bob says:", bob.greet("good morning", alice))

        print("second way out, a oneway call, which does not keep the proxy busy:")
        alice = Alice(bob, use_copy=False)
        daemon.register(alice)
        bob.greet_later("good evening", alice)
        alice.done.wait(10)

        daemon.shutdown()


if __name__ == "__main__":
    main()
