"""Passes messages on to those who listen to their topic, without looking into them: it does not import ``readings``."""

import threading
from collections import defaultdict

import pyrolite


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Dispatcher:
    def __init__(self) -> None:
        self._listeners: dict[str, list[pyrolite.Proxy]] = defaultdict(list)
        self._lock = threading.Lock()

    def listen(self, topic: str, listener: pyrolite.Proxy) -> None:
        with self._lock:
            self._listeners[topic].append(listener)
        print(f"somebody listens to {topic}")

    def publish(self, message: pyrolite.SerializedBlob) -> int:
        """Pass on a message; its info is the topic. Returns how many listeners got it."""
        print(f"a message about {message.info}, with content that stays closed")
        with self._lock:
            listeners = list(self._listeners[message.info])
            for listener in listeners:
                listener.receive(message)
        return len(listeners)


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.blobdispatch", daemon.register(Dispatcher))
        print("the dispatcher is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
