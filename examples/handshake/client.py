"""Says something while connecting, and looks at what the server answers."""

import sys
from typing import Any

import pyrolite


class PoliteProxy(pyrolite.Proxy):
    def _pyroValidateHandshake(self, response: Any) -> None:
        """Look at what the server has answered; an exception closes the connection again."""
        print("the server says:", response)
        if response["welcome"] != self._pyroHandshake["who"]:
            raise pyrolite.errors.SecurityError("the server takes me for somebody else")


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI behind the door: ")
    with pyrolite.Proxy(uri) as stranger:  # says hello, as all proxies do
        try:
            stranger.count()
        except pyrolite.errors.CommunicationError as error:
            print("refused:", str(error).rpartition("rejected: ")[2])

    for word in ("sesame", "mellon"):
        with PoliteProxy(uri) as treasure:
            treasure._pyroHandshake = {"who": "Gimli", "word": word}
            try:
                print("the treasure has", treasure.count(), "pieces")
            except pyrolite.errors.CommunicationError as error:
                print("refused:", str(error).rpartition("rejected: ")[2])


if __name__ == "__main__":
    main()
