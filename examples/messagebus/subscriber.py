"""Prints the messages about some topics: python subscriber.py [TOPIC...]."""

import sys

import pyrolite


class Subscriber:
    @pyrolite.expose
    def receive(self, topic: str, text: str) -> None:
        print(f"{topic}: {text if len(text) < 60 else f'{len(text)} letters'}")


def main() -> None:
    topics = sys.argv[1:] or input("Topics: ").split()
    subscriber = Subscriber()
    with pyrolite.Daemon() as daemon:
        daemon.register(subscriber)
        with pyrolite.Proxy("PYRONAME:example.messagebus") as bus:
            for topic in topics:
                bus.subscribe(topic, subscriber)
            print("ready, subscribed to", ", ".join(topics))
            daemon.requestLoop()
            for topic in topics:
                bus.unsubscribe(topic, subscriber)


if __name__ == "__main__":
    main()
