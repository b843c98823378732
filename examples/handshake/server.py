"""A door that opens for those who know the word."""

from __future__ import annotations

import hmac
from typing import Any

import pyrolite

WORD = "mellon"


@pyrolite.expose
class Treasure:
    def count(self) -> int:
        return 42


class GuardedDaemon(pyrolite.Daemon):
    def validateHandshake(self, conn: pyrolite.socketutil.SocketConnection, data: Any) -> Any:
        """Look at what the client has sent; what is returned goes to the client, an exception refuses it."""
        who = data.get("who") if isinstance(data, dict) else None
        print(f"{who} knocks")
        if not isinstance(data, dict) or not hmac.compare_digest(str(data.get("word")), WORD):
            raise ValueError("you do not know the word")
        return {"welcome": who, "rules": ["do not run"]}

    def clientDisconnect(self, conn: pyrolite.socketutil.SocketConnection) -> None:
        print("somebody has left")


def main() -> None:
    with GuardedDaemon() as daemon:
        print("the door is ready:", daemon.register(Treasure))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
