"""Mixed load does not make the memory grow: ``./run soak`` for ten minutes, ``./run soak 30`` for less."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from .harness import MEGABYTE, CommandedProcess, Server

#: For each type of server.
SECONDS = max(20.0, float(os.environ.get("PYROLITE_SOAK_SECONDS", "600")))
CLIENTS = 8
#: Part of the time after which the memory should not grow any more.
WARM_UP = 0.4
#: The memory of a process settles after some 300,000 calls. In less time, only its blocks tell small leaks.
SETTLES = 180.0
SLACK = 0.0 if SECONDS >= SETTLES else 6.0
#: Blocks of memory that Python has in use: how many more there may be after 100,000 calls.
BLOCKS = 2000


class Sample(NamedTuple):
    """What was in use at one moment; ``passed`` is the part of the time, ``resident`` of the server and all clients."""

    passed: float
    resident: list[int]
    blocks: int


def growth(values: list[float]) -> float:
    """From the first to the last values."""
    few = max(2, len(values) // 5)
    return statistics.median(values[-few:]) - statistics.median(values[:few])


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
        samples = watched(server, clients)
        calls = [client.command("stop", 60) for client in clients]
        ended = [(client.stop(), client.complaints()) for client in clients]
    finally:
        for client in clients:
            client.release()
            complaints = client.complaints()
            assert not complaints, complaints
    assert ended == [(0, "")] * CLIENTS

    warm = [sample for sample in samples if sample.passed >= WARM_UP]
    late = sum(calls) * (1 - WARM_UP) / 100_000
    grown = [growth([sample.resident[which] for sample in warm]) / MEGABYTE for which in range(CLIENTS + 1)]
    blocks = growth([sample.blocks for sample in warm])
    per_server = grown[0] / max(1.0, late)
    per_client = statistics.mean(grown[1:]) / max(1.0, late / CLIENTS)
    record(
        calls=sum(calls),
        seconds=SECONDS,
        server_mb=round(per_server, 3),
        client_mb=round(per_client, 3),
        blocks=round(blocks / max(1.0, late)),
    )
    print(
        f"{server.servertype}: {sum(calls)} calls in {SECONDS:.0f} s; per 100,000 after the warm-up: "
        f"{per_server:.3f} MB and {blocks / max(1.0, late):.0f} blocks in the server, {per_client:.3f} MB in a client"
    )
    assert grown[0] < max(1.0, late) + SLACK
    assert statistics.mean(grown[1:]) < max(1.0, late / CLIENTS) + SLACK
    assert blocks < max(1.0, late) * BLOCKS
    server.settle(before, threads=20, descriptors=24, megabytes=40)
    stats = server.command("stats")
    assert (stats["connections_open"], stats["oneway_queue"]) == (0, 0)


def watched(server: Server, clients: list[CommandedProcess]) -> list[Sample]:
    """Let them work; what was in use meanwhile."""
    begin = time.monotonic()
    samples: list[Sample] = []
    while (passed := (time.monotonic() - begin) / SECONDS) < 1:
        time.sleep(min(2.0, SECONDS / 40))
        assert not [client for client in clients if client.process.poll() is not None], "a client gave up"
        resident = [each.usage().resident for each in (server, *clients)]
        samples.append(Sample(passed, resident, server.command("blocks", 60)))
    return samples
