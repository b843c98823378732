"""Listens to a topic: python listener.py [TOPIC]."""

import sys

from readings import Reading

import pyrolite


class Listener:
    @pyrolite.expose
    def receive(self, message: pyrolite.SerializedBlob) -> None:
        reading = message.deserialized()  # only now, and here, where the class is known
        assert isinstance(reading, Reading)
        print(f"{message.info}: {reading}")


def main() -> None:
    topic = sys.argv[1] if len(sys.argv) > 1 else input("Topic: ")
    with pyrolite.Daemon() as daemon:
        listener = Listener()
        daemon.register(listener)
        with pyrolite.Proxy("PYRONAME:example.blobdispatch") as dispatcher:
            dispatcher.listen(topic, listener)  # arrives as a proxy
        print(f"ready, listening to {topic}")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
