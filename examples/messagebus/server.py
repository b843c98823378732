"""Runs the message bus: python server.py [memory | DATABASE_FILE]."""

import sys

import bus
from storages import MemoryStorage, SqliteStorage

import pyrolite

pyrolite.config.MAX_MESSAGE_SIZE = 4000  # small, to show what happens when a batch is too large


def main() -> None:
    where = sys.argv[1] if len(sys.argv) > 1 else "memory"
    bus.choose_storage = MemoryStorage if where == "memory" else lambda: SqliteStorage(where)
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register(bus.NAME, daemon.register(bus.MessageBus))
        print("the message bus is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
