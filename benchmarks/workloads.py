"""What is measured, under which settings, and the targets that were set for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from benchmarks.peers.base import Scenario
from benchmarks.service import BATCH_SIZE, ONEWAY_GROUP, STREAM_ITEMS

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the results.

    ``target`` and ``floor_target`` are the highest cost relative to Pyro4 and to the raw socket that pyrolite may have,
    ``first_target`` is the one of its first release. A ``memory`` row counts the peak of allocations, in payloads.
    """

    name: str
    group: str
    title: str
    action: str
    scenario: Scenario = field(default_factory=Scenario)
    per: int = 1  # what one unit is divided by
    target: float | None = None
    first_target: float | None = None
    floor_target: float | None = None
    all_peers: bool = True  # False: the row differs from another only by a choice that Pyro and its kin have
    pinned: bool = True  # both processes on one CPU: they take turns
    tls: bool = False
    memory: bool = False
    sender_target: float | None = None
    receiver_target: float | None = None
    max_rounds: int = 1000  # in one pass, for what takes long
    unit: str = "ns"  # or "bytes"
    limit: float | None = None  # the highest value that pyrolite may have, whatever others have

    @property
    def once(self) -> bool:
        """Tell if it is the same in all passes."""
        return self.memory or self.unit == "bytes"


THREAD_CALL_TARGETS = {
    "serpent": (0.33, 0.45, 1.65),
    "marshal": (0.60, 0.65, 1.7),
    "json": (0.55, 0.65, None),
    "msgpack": (0.56, 0.65, None),
    "pickle": (0.58, 0.65, None),
}
MULTIPLEX_CALL_TARGETS = {"serpent": 0.30, "marshal": 0.54, "json": None, "msgpack": None, "pickle": None}
NESTED_TARGETS = {"serpent": 0.29, "marshal": 0.60, "json": 0.58, "msgpack": 0.63, "pickle": 0.63}
ECHO_TARGETS = {"marshal": 0.40, "pickle": 0.70, "serpent": 0.60, "msgpack": None}
NAME_TARGETS = {("lookup", "memory"): 0.55, ("register", "memory"): 0.45, ("lookup", "sql"): 0.40}
LARGE_SERIALIZERS = ("pickle", "marshal", "msgpack")  # the ones that carry bytes as they are


def calls() -> Iterator[Workload]:
    """Latency of a small call, and of a nested payload."""
    for serializer, (target, first, floor) in THREAD_CALL_TARGETS.items():
        yield Workload(
            f"latency-thread-{serializer}", "Call latency", f"thread server, {serializer}", "call",
            Scenario(serializer=serializer),
            target=target, first_target=first, floor_target=floor, all_peers=serializer == "serpent",
        )  # fmt: skip
    for serializer, multiplex_target in MULTIPLEX_CALL_TARGETS.items():
        yield Workload(
            f"latency-multiplex-{serializer}", "Call latency", f"multiplex server, {serializer}", "call",
            Scenario(serializer=serializer, server_type="multiplex"), target=multiplex_target, all_peers=False,
        )  # fmt: skip
    for serializer, nested_target in NESTED_TARGETS.items():
        yield Workload(
            f"nested-{serializer}", "1 KB nested payload, echoed", serializer, "echo_nested",
            Scenario(serializer=serializer), target=nested_target, all_peers=serializer == "serpent",
        )  # fmt: skip


def payloads(mebibytes: int) -> Iterator[Workload]:
    """Bytes of 1 MiB and of as many MiB as given: time, and memory."""
    for serializer, target in ECHO_TARGETS.items():
        yield Workload(
            f"bytes-1MiB-echo-{serializer}", "Bytes", f"1 MiB echoed, {serializer}", "echo_bytes",
            Scenario(serializer=serializer, size=MEBIBYTE), target=target, all_peers=serializer == "marshal",
        )  # fmt: skip
    for action, name in (("upload", "up"), ("download", "down")):
        yield Workload(
            f"bytes-1MiB-{name}-marshal", "Bytes", f"1 MiB {name}, marshal", action,
            Scenario(serializer="marshal", size=MEBIBYTE),
        )  # fmt: skip
    for action, name, large_target in (("upload", "up", 0.88), ("download", "down", 0.90)):
        for serializer in LARGE_SERIALIZERS:
            yield Workload(
                f"bytes-{mebibytes}MiB-{name}-{serializer}", "Bytes", f"{mebibytes} MiB {name}, {serializer}", action,
                Scenario(serializer=serializer, size=mebibytes * MEBIBYTE),
                target=large_target, all_peers=serializer == "pickle", max_rounds=2, pinned=False,
            )  # fmt: skip
    for action, name in (("upload", "up"), ("download", "down")):
        for serializer in LARGE_SERIALIZERS:
            yield Workload(
                f"memory-{mebibytes}MiB-{name}-{serializer}", "Memory", f"{mebibytes} MiB {name}, {serializer}", action,
                Scenario(serializer=serializer, size=mebibytes * MEBIBYTE),
                memory=True, sender_target=1.1, receiver_target=2.1, all_peers=serializer == "pickle",
            )  # fmt: skip


def kinds_of_calls() -> Iterator[Workload]:
    """Batches, oneway calls, streams, attributes, exceptions, TLS, HMAC."""
    group = "Kinds of calls"
    batch = f"call in a batch of {BATCH_SIZE}"
    yield Workload("batch-serpent", group, f"{batch}, serpent", "batch", per=BATCH_SIZE, target=0.25, max_rounds=3)
    yield Workload(
        "batch-msgpack", group, f"{batch}, msgpack", "batch", Scenario(serializer="msgpack"),
        per=BATCH_SIZE, target=0.80, max_rounds=3, all_peers=False,
    )  # fmt: skip
    yield Workload("oneway-threaded", group, "oneway call, threaded", "oneway", per=ONEWAY_GROUP, target=0.28)
    yield Workload(
        "oneway-inline", group, "oneway call, inline", "oneway", Scenario(oneway_threaded=False),
        per=ONEWAY_GROUP, target=0.17, all_peers=False,
    )  # fmt: skip
    yield Workload("stream-serpent", group, "stream item, serpent", "stream", per=STREAM_ITEMS, target=0.36)
    yield Workload(
        "stream-marshal", group, "stream item, marshal", "stream", Scenario(serializer="marshal"),
        per=STREAM_ITEMS, target=0.60, all_peers=False,
    )  # fmt: skip
    yield Workload(
        "stream-prefetch", group, "stream item, serpent, pyrolite prefetches 100", "stream", Scenario(prefetch=100),
        per=STREAM_ITEMS, target=0.06, all_peers=False,
    )  # fmt: skip
    yield Workload("attribute", group, "remote attribute", "attribute", target=0.40)
    yield Workload("raising", group, "call that raises", "raising", target=0.70)
    yield Workload("tls", group, "call over TLS", "call", target=0.33, tls=True)
    yield Workload("hmac", group, "call with HMAC", "call", Scenario(hmac=True), target=0.40, all_peers=False)


def connections(idle: int) -> Iterator[Workload]:
    """Connecting, and many connections at once."""
    group = "Connections"
    for server_type, connect_target, clients_target in (("thread", 0.62, 0.48), ("multiplex", 0.45, 0.36)):
        yield Workload(
            f"connect-{server_type}", group, f"connect, handshake, call, close; {server_type} server",
            "connect_call_close", Scenario(server_type=server_type),
            target=connect_target, all_peers=server_type == "thread",
        )  # fmt: skip
        yield Workload(
            f"clients-{server_type}", group, f"call, 16 clients at once, {server_type} server", "many_clients",
            Scenario(server_type=server_type), target=clients_target, all_peers=server_type == "thread", pinned=False,
        )  # fmt: skip
    yield Workload(
        f"idle-{idle}", group, f"call beside {idle} idle connections, multiplex server", "call_beside_idle",
        Scenario(server_type="multiplex", connections=idle), target=0.30 if idle >= 4000 else None, all_peers=False,
    )  # fmt: skip


def local_costs() -> Iterator[Workload]:
    """What happens without a server, and the name server."""
    group = "Without a call"
    yield Workload("construct", group, "Proxy(uri) made and dropped", "construct", target=0.40, all_peers=False)
    yield Workload("method-access", group, "proxy.method, not called", "method_access", target=0.80, all_peers=False)
    yield Workload("import", group, "import of the library", "import_library", target=0.70, max_rounds=3)
    yield from name_servers()


def name_servers() -> Iterator[Workload]:
    """What the name server does, and how much memory names need."""
    group = "Name server"
    for storage in ("memory", "sql"):
        for action in ("lookup", "register"):
            yield Workload(
                f"names-{action}-{storage}", group, f"{action}, {storage}", f"name_{action}",
                Scenario(storage=storage), target=NAME_TARGETS.get((action, storage)), all_peers=False,
            )  # fmt: skip
    yield Workload(
        "names-prefix-memory", group, "list the 100 names of a prefix out of 100,000", "name_prefix_list",
        Scenario(storage="memory", names=100_000), target=0.15, all_peers=False,
    )  # fmt: skip
    yield Workload(
        "names-million", group, "memory for 1,000,000 names with two pieces of metadata each", "name_memory",
        unit="bytes", limit=400e6, all_peers=False, max_rounds=1,
    )  # fmt: skip


def all_workloads(idle: int, mebibytes: int, certificate: str, private_key: str) -> list[Workload]:
    """Return all rows, for that many idle connections and payloads of that size; TLS if there is a certificate."""
    rows = [*calls(), *payloads(mebibytes), *kinds_of_calls(), *connections(idle), *local_costs()]
    return [
        replace(row, scenario=replace(row.scenario, certificate=certificate, private_key=private_key))
        if row.tls
        else row
        for row in rows
        if certificate or not row.tls
    ]
