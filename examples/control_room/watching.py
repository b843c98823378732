"""Watches all instruments, whatever happens to their servers: the dashboard without its display."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import lab
from instruments import Reading

import pyrolite
from pyrolite.errors import PyroError

#: Seconds between two attempts to reach an instrument that is gone, and between two looks for new ones.
RETRY, LOOK = 0.1, 1.0


@dataclass
class Channel:
    """What is known about one instrument."""

    name: str
    kind: str = ""
    quantity: str = ""
    unit: str = ""
    process: int = 0
    connected: bool = False
    lost: int = 0
    #: the last measurements, and None where the connection was lost
    values: deque[float | None] = field(default_factory=lambda: deque(maxlen=40))


class Watcher:
    """A thread for each instrument reads its stream of measurements, and reconnects when that breaks.

    Args:
        interval: seconds between the measurements.
        tell: called with a line of text when something happens; from any thread.
    """

    def __init__(self, interval: float, tell: Callable[[str], None]) -> None:
        self._interval = interval
        self._tell = tell
        self._ended = threading.Event()
        self._lock = threading.Lock()  # protects the channels
        self._channels: dict[str, Channel] = {}
        self._threads: list[threading.Thread] = []
        self._start(self._look_for_instruments, "finder")

    def channels(self) -> list[Channel]:
        with self._lock:
            return sorted(self._channels.values(), key=lambda channel: channel.name)

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name)
        self._threads.append(thread)
        thread.start()

    def _look_for_instruments(self) -> None:
        """Instruments are found by their metadata, those that come later as well."""
        pause = 0.0
        while not self._ended.wait(pause):
            pause = LOOK
            try:
                with pyrolite.locateNS() as nameserver:
                    names = [name.removeprefix(lab.PREFIX) for name in nameserver.list(metadata_all={lab.TAG})]
            except PyroError as error:
                self._tell(f"no name server: {error}")
                continue
            for name in sorted(set(names) - set(self._channels)):
                channel = Channel(name)
                with self._lock:
                    self._channels[name] = channel
                self._start(lambda channel=channel: self._watch(channel), f"watcher of {name}")  # type: ignore[misc]

    def _watch(self, channel: Channel) -> None:
        gone_since = 0.0
        while not self._ended.wait(RETRY if channel.lost else 0.0):
            try:
                # a name, not an address: after a restart, the instrument is at another port
                with pyrolite.Proxy(f"PYRONAME:{lab.PREFIX}{channel.name}") as instrument:
                    instrument._pyroTimeout = self._interval + 5
                    description = instrument.describe()
                    channel.kind = description["kind"]
                    channel.quantity, channel.unit = description["quantity"], description["unit"]
                    channel.process = description["process"]
                    channel.connected = True
                    if gone_since:
                        self._tell(
                            f"{channel.name}: back in process {channel.process}, "
                            f"after {time.monotonic() - gone_since:.1f} s"
                        )
                    else:
                        self._tell(f"{channel.name}: measures {channel.quantity} in process {channel.process}")
                    gone_since = 0.0
                    self._read(channel, instrument)
            except PyroError:  # no connection any more, or no such name, or nobody at this address
                if channel.connected:
                    channel.connected = False
                    channel.lost += 1
                    channel.values.append(None)
                    gone_since = time.monotonic()
                    self._tell(f"{channel.name}: connection lost")

    def _read(self, channel: Channel, instrument: pyrolite.Proxy) -> None:
        stream = instrument.measurements(self._interval)
        reading: Reading
        for reading in stream:
            channel.values.append(reading["value"])
            if self._ended.is_set():
                stream.close()
                return
