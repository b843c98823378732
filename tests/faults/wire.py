"""A network between two network namespaces, with delay, loss and partition: ``wire.py FIRST SECOND``.

It needs nothing of the kernel but TUN devices: this process carries the packets. Makes a device in each namespace,
with the addresses 10.177.0.1 and 10.177.0.2. Each line on stdin is a JSON object with ``delay`` (seconds, one way),
``loss`` (0 to 1) and ``up``; lost packets are chosen by a seeded generator.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from typing import Any

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
CLONE_NEWNET = 0x40000000


def make_device(namespace: str, address: str) -> int:
    """A TUN device in a namespace; gives the descriptor that has its packets."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/var/run/netns/{namespace}") as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
    for command in (f"addr add {address}/24 dev wire", "link set wire up", "link set lo up"):
        subprocess.run(["ip", *command.split()], check=True)
    return tun


class Wire:
    """Carries packets between two descriptors."""

    def __init__(self, ends: tuple[int, int]) -> None:
        self._other = {ends[0]: ends[1], ends[1]: ends[0]}
        self._random = random.Random(1)
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._number = 0
        self.delay = self.loss = 0.0
        self.up = True

    def run(self) -> None:
        """Until stdin ends."""
        while True:
            now = time.monotonic()
            while self._under_way and self._under_way[0][0] <= now:
                _, _, end, packet = heapq.heappop(self._under_way)
                self._deliver(end, packet)
            patience = self._under_way[0][0] - now if self._under_way else None
            ready, _, _ = select.select([*self._other, sys.stdin], [], [], patience)
            for source in ready:
                if source is sys.stdin:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    self._obey(json.loads(line))
                else:
                    self._receive(source)

    def _obey(self, order: dict[str, Any]) -> None:
        for name, value in order.items():
            setattr(self, name, value)
        if not self.up:
            self._under_way.clear()
        print("null", flush=True)

    def _receive(self, source: int) -> None:
        packet = os.read(source, 2048)
        if not self.up or self._random.random() < self.loss:
            return
        if self.delay:
            self._number += 1
            arrival = time.monotonic() + self.delay
            heapq.heappush(self._under_way, (arrival, self._number, self._other[source], packet))
        else:
            self._deliver(self._other[source], packet)

    def _deliver(self, end: int, packet: bytes) -> None:
        if self.up:
            os.write(end, packet)


if __name__ == "__main__":
    wire = Wire((make_device(sys.argv[1], "10.177.0.1"), make_device(sys.argv[2], "10.177.0.2")))
    print("null", flush=True)
    wire.run()
