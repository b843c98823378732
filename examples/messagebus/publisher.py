"""Publishes messages: python publisher.py [TOPIC [TEXT...]]."""

import sys

import pyrolite


def main() -> None:
    topic = sys.argv[1] if len(sys.argv) > 1 else input("Topic: ")
    texts = sys.argv[2:] or input("Text: ").split(",")
    with pyrolite.Proxy("PYRONAME:example.messagebus") as bus:
        for text in texts:
            bus.publish(topic, text)
        print("published", len(texts), "messages; waiting for subscribers:", bus.waiting())


if __name__ == "__main__":
    main()
