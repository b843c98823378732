"""The server of one instrument: python instrument_server.py [NAME [KIND]]. Ends on Ctrl-C or SIGTERM.

With --supervised, it also ends with its supervisor, however that may have ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import lab
from instruments import KINDS

import pyrolite


def end(*_: object) -> None:
    raise KeyboardInterrupt


def end_with_supervisor(daemon: pyrolite.Daemon) -> None:
    """Wait for the end of the standard input, whose other side the supervisor holds."""
    os.read(sys.stdin.fileno(), 1)
    daemon.shutdown()


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else input("Name of the instrument: ")
    kind = sys.argv[2] if len(sys.argv) > 2 else input(f"Kind ({', '.join(KINDS)}): ")
    signal.signal(signal.SIGTERM, end)
    pyrolite.config.ITER_STREAM_LINGER = 0  # those who come back get a new stream
    instrument = KINDS[kind](name, os.getpid())
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        uri = daemon.register(instrument)
        nameserver.register(lab.PREFIX + name, uri, metadata={lab.TAG, f"kind:{kind}"})
        if "--supervised" in sys.argv:
            threading.Thread(target=end_with_supervisor, args=(daemon,), daemon=True).start()
        print(f"{name} is ready in process {os.getpid()}", flush=True)
        daemon.requestLoop()
        nameserver.remove(lab.PREFIX + name)


if __name__ == "__main__":
    main()
