"""A proxy that makes sure of its connection before each call."""

import sys
import time
from typing import Any

import pyrolite
from pyrolite.message import Message


class CheckingProxy(pyrolite.Proxy):
    """Pings the server before a call, and connects again when there is no answer."""

    def _pyroInvoke(self, methodname: str, vargs: Any, kwargs: Any, flags: int = 0, objectId: str | None = None) -> Any:
        if self._pyroConnection is not None:
            try:
                Message.ping(self._pyroConnection, hmac_key=self._pyroHmacKey)
            except pyrolite.errors.ConnectionClosedError:
                print("  no answer to the ping: connecting again")
                self._pyroReconnect()
        return super()._pyroInvoke(methodname, vargs, kwargs, flags, objectId)


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the clock: ")
    for kind in (pyrolite.Proxy, CheckingProxy):
        print(f"with a {kind.__name__}:")
        with kind(uri) as clock:
            print("  first call:", clock.tick())
            print("  second call, at once:", clock.tick())
            time.sleep(0.8)  # longer than the server has patience
            try:
                print("  third call, after a pause:", clock.tick())
            except pyrolite.errors.ConnectionClosedError:
                print("  third call, after a pause: the server has closed the connection")


if __name__ == "__main__":
    main()
