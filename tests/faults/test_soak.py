"""Mixed load for a long time does not make the memory grow: ``./run soak``, or ``./run soak 600`` for ten minutes."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

from .harness import MEGABYTE, CommandedProcess, Server

#: For each type of server; in less time the memory does not settle.
SECONDS = max(30.0, float(os.environ.get("PYROLITE_SOAK_SECONDS", "600")))
CLIENTS = 8
#: Part of the time after which the memory should not grow any more.
WARM_UP = 0.3


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_soak(start_server: Callable[..., Server], record: Any) -> None:
    """Less than 1 MB per 100,000 calls after the warm-up, in the server and in the clients; and nothing stays."""
    server = start_server(
        SERIALIZERS_ACCEPTED=["serpent", "json", "marshal", "msgpack"], ITER_STREAM_LINGER=1, THREADPOOL_SIZE=16
    )
    server.is_well()
    before = server.usage()
    clients = [CommandedProcess("soaker.py", server.uri(), str(seed)) for seed in range(CLIENTS)]
    try:
        begin = time.monotonic()
        samples: list[tuple[float, list[int]]] = []
        while (passed := (time.monotonic() - begin) / SECONDS) < 1:
            time.sleep(min(1.0, SECONDS / 50))
            assert not [client for client in clients if client.process.poll() is not None], "a client gave up"
            samples.append((passed, [each.usage().resident for each in (server, *clients)]))
        calls = [client.command("stop") for client in clients]
        ended = [(client.stop(), client.complaints()) for client in clients]
    finally:
        for client in clients:
            client.release()
            complaints = client.complaints()
            assert not complaints, complaints
    assert ended == [(0, "")] * CLIENTS
    warm = [memory for passed, memory in samples if passed >= WARM_UP]
    few = max(3, len(warm) // 5)
    late = sum(calls) * (1 - WARM_UP)
    growth = [
        statistics.median(memory[which] for memory in warm[-few:])
        - statistics.median(memory[which] for memory in warm[:few])
        for which in range(CLIENTS + 1)
    ]
    per_server = growth[0] / MEGABYTE / max(1.0, late / 100_000)
    per_client = statistics.mean(growth[1:]) / MEGABYTE / max(1.0, late / CLIENTS / 100_000)
    record(calls=sum(calls), seconds=SECONDS, server=round(per_server, 3), client=round(per_client, 3))
    print(f"{server.servertype}: {sum(calls)} calls, MB per 100,000: {per_server:.3f}, {per_client:.3f} in clients")
    assert per_server < 1
    assert per_client < 1
    server.settle(before, threads=20, descriptors=24, megabytes=40)
    stats = server.command("stats")
    assert (stats["connections_open"], stats["oneway_queue"]) == (0, 0)
