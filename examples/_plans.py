"""How each example is performed: which programs, in which order, with which arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from _processes import Program, Stage, ending

Plan: TypeAlias = Callable[[Stage], None]


def direct(*clients: str, server: str = "server.py", size: int | None = None) -> Plan:
    """A server, and clients one after the other, which are given all its URIs, and how much they shall do."""
    sizes = [] if size is None else [size]

    def perform(stage: Stage) -> None:
        with ending(running := stage.server(server)):
            for client in clients:
                stage.client(client, *running.uris, *sizes)

    return perform


def alone(*programs: str) -> Plan:
    """Programs that need nobody else, one after the other."""

    def perform(stage: Stage) -> None:
        for program in programs:
            stage.client(program)

    return perform


def named(*clients: str, servers: tuple[str, ...] = ("server.py",)) -> Plan:
    """A name server, servers, and clients one after the other, which find them by name."""

    def perform(stage: Stage) -> None:
        running: list[Program] = [stage.nameserver()]
        running += [stage.server(server) for server in servers]
        with ending(*running):
            for client in clients:
                stage.client(client)

    return perform


def autoproxy(stage: Stage) -> None:
    for options in ((), ("--no-autoproxy",)):
        with ending(server := stage.server("server.py", *options)):
            stage.client("client.py", *server.uris)


def autoreconnect(stage: Stage) -> None:
    direct_server = stage.server("server.py", 0)
    port = direct_server.uris[0].rpartition(":")[2]
    nameserver = stage.nameserver()
    named_server = stage.server("server.py", "--ns", name="named server")
    clients = [
        stage.start("client.py", direct_server.uris[0]),
        stage.start("client.py", named_server.uris[0], name="named client"),
    ]
    for client in clients:
        client.type("")
        client.wait_for("^ticket 1$")
    direct_server.kill()
    named_server.kill()
    for client in clients:
        client.type("")
        client.wait_for("^the connection is lost")
    with ending(nameserver, stage.server("server.py", port), stage.server("server.py", "--ns", name="named server")):
        for client in clients:
            client.wait_for("^ticket 1$", 2)
            client.finish()


PLANS: Final[dict[str, Plan]] = {
    "async": direct("client.py", "client_batch.py", "client_callchain.py"),
    "attributes": direct("client.py"),
    "autoproxy": autoproxy,
    "autoreconnect": autoreconnect,
    "autoretry": named("client.py"),
    "banks": named("client.py"),
    "batchedcalls": direct("client.py", size=300),
    "benchmark": direct("client.py", "connections.py", size=30),
    "first_object": named("client.py", "client.py"),
}
