"""Starts a server for each instrument and starts it again when it ends; a remote object itself.

Needs a name server. Ends on Ctrl-C or SIGTERM, and ends the servers, too.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TypedDict

import lab

import pyrolite

SERVER = Path(__file__).resolve().with_name("instrument_server.py")
#: Seconds from the end of a server to its new start: long enough to see that it is gone.
PAUSE = 1.0


class Status(TypedDict):
    process: int
    starts: int


class Keeper:
    """Keeps one server alive, in a thread of its own."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None
        options = [f"-W{option}" for option in sys.warnoptions]
        self._command = [sys.executable, *options, str(SERVER), name, kind, "--supervised"]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {name}")
        self._thread.start()

    def _keep(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            started = time.monotonic()
            # a pipe that nothing is written to: it breaks when this process is gone, and the server ends, too
            with subprocess.Popen(self._command, stdin=subprocess.PIPE) as self.process:
                self.starts += 1
                if self._ended.is_set():  # meanwhile, so that nobody else has seen this process
                    self.process.terminate()
                code = self.process.wait()
            if not self._ended.is_set():
                print(f"the server of {self.name} has ended with {code}, starting it again", flush=True)
            # a server that does not live long is broken: do not start it all the time
            pause = PAUSE if time.monotonic() - started > 5 else min(10.0, pause * 2 or PAUSE)

    def stop(self) -> None:
        self._ended.set()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
        self._thread.join()


class Supervisor:
    def __init__(self, keepers: list[Keeper]) -> None:
        self._keepers = {keeper.name: keeper for keeper in keepers}

    @pyrolite.expose
    def status(self) -> dict[str, Status]:
        return {
            name: {"process": keeper.process.pid if keeper.process else 0, "starts": keeper.starts}
            for name, keeper in self._keepers.items()
        }

    @pyrolite.expose
    def crash(self, name: str) -> int:
        """Kill the server of an instrument without warning, to see what happens; returns which process it was."""
        keeper = self._keepers.get(name)
        if keeper is None or keeper.process is None:
            raise ValueError(f"there is no instrument {name}; there are {', '.join(self._keepers)}")
        keeper.process.kill()
        return keeper.process.pid


def end(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    signal.signal(signal.SIGTERM, end)
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        keepers = [Keeper(name, kind) for name, kind in lab.INSTRUMENTS.items()]
        try:
            nameserver.register(lab.SUPERVISOR, daemon.register(Supervisor(keepers)))
            print("the supervisor is ready", flush=True)
            daemon.requestLoop()
            nameserver.remove(lab.SUPERVISOR)
        finally:
            for keeper in keepers:
                keeper.stop()
            print("the supervisor and all instruments have ended", flush=True)


if __name__ == "__main__":
    main()
