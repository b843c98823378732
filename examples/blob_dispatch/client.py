"""Publishes readings on two topics."""

from readings import Reading

import pyrolite
from pyrolite import SerializedBlob


def main() -> None:
    with pyrolite.Proxy("PYRONAME:example.blobdispatch") as dispatcher:
        for topic, reading in [
            ("weather", Reading("pier", 11.25)),
            ("weather", Reading("hill", 7.5)),
            ("freezer", Reading("cellar", -18.0)),
            ("sauna", Reading("garden", 85.0)),
        ]:
            received = dispatcher.publish(SerializedBlob(topic, reading))
            print(f"{topic}: {received} listeners")


if __name__ == "__main__":
    main()
