"""How each example is performed: which programs, in which order, with which arguments."""

from __future__ import annotations

import shutil
import sys
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


def blob_dispatch(stage: Stage) -> None:
    with ending(stage.nameserver(), stage.server("dispatcher.py")):
        listeners = [stage.server("listener.py", topic, name=topic) for topic in ("weather", "freezer")]
        with ending(*listeners):
            stage.client("client.py")


def chatbox(stage: Stage) -> None:
    with ending(stage.nameserver(), stage.server("server.py")):
        ada = stage.start("client.py", "Ada", "garden", name="Ada")
        ada.wait_for("^joined")
        bob = stage.start("client.py", name="Bob")
        bob.type("Bob")
        bob.type("garden")
        bob.wait_for("joined")
        ada.wait_for("Bob has joined")
        ada.type("hello Bob")
        bob.wait_for("Ada: hello Bob")
        eve = stage.start("client.py", "Eve", "garden", name="Eve")
        eve.wait_for("^joined")
        eve.kill()
        bob.type("hello all")
        ada.wait_for("Bob: hello all")
        bob.type("/quit")
        bob.finish()
        ada.wait_for("Bob has left")
        ada.finish()


def circular(stage: Stage) -> None:
    circle = ("A", "B"), ("B", "C"), ("C", "A")
    with ending(stage.nameserver(), *(stage.server("server.py", *pair, name=pair[0]) for pair in circle)):
        stage.client("client.py", "A")


def control_room(stage: Stage) -> None:
    stage.client("start.py", "--demo", "--interval", 0.05)
    with ending(stage.nameserver(), supervisor := stage.server("supervisor.py")):
        for name in ("oven", "balance", "spectrometer"):
            supervisor.wait_for(f"^{name} is ready")
        stage.client("experiment.py")


def distributed_computing(stage: Stage) -> None:
    workers = ("Ada", "Bob")
    servers = stage.nameserver(), stage.server("dispatcher.py")
    with ending(*servers, *(stage.server("worker.py", name, name=name) for name in workers)):
        stage.client("client.py", 20)


def distributed_computing3(stage: Stage) -> None:
    with ending(stage.nameserver(), *(stage.server("worker.py", name, name=name) for name in ("one", "two"))):
        stage.client("client.py", 40)


def distributed_mandelbrot(stage: Stage) -> None:
    calculators = ("one", "two")
    with ending(stage.nameserver(), *(stage.server("server.py", name, name=name) for name in calculators)):
        stage.client("client_text.py", 60, 24)


def echoserver(stage: Stage) -> None:
    server = stage.module("pyrolite.test.echoserver", name="echo server")
    server.wait_for("^echoserver running")
    stage.client("client.py", *server.uris)
    server.finish()


def eventloop(stage: Stage) -> None:
    for program in ("server_threads.py", "server_multiplex.py"):
        with ending(server := stage.server(program, 0)):
            broadcast_port = server.lines[-1].rpartition(": ")[2]
            stage.environment["PYRO_BROADCAST_ADDRS"] = "127.0.0.1"
            stage.client("client.py", broadcast_port)


def exceptions(stage: Stage) -> None:
    with ending(stage.nameserver(), stage.server("server.py")):
        stage.client("client.py")
        stage.start("client.py", "--uncaught").finish(exit_code=1)


def filetransfer(stage: Stage) -> None:
    with ending(server := stage.server("server.py", 2)):
        stage.client("client.py", *server.uris)


def remote_control(stage: Stage) -> None:
    with ending(player := stage.server("player.py")):
        remote = stage.start("remote.py", *player.uris)
        for command in ("play", "next", "list", *["louder"] * 7, "help", "stop", "quit"):
            remote.type(command)
        remote.finish()


def flame(stage: Stage) -> None:
    with ending(server := stage.server("server.py")):
        stage.client("client.py", *server.uris)
        console = stage.start("client.py", *server.uris, "--console", name="console")
        for line in ("number = 21", "print('twice:', number * 2)", "1 / 0"):
            console.type(line)
        console.finish()


def http(stage: Stage) -> None:
    with ending(stage.nameserver(), stage.server("server.py")):
        stage.environment["PYRO_HTTPGATEWAY_KEY"] = "example key"
        gateway = stage.module("pyrolite.utils.httpgateway", "--port", "0", name="gateway")
        url = gateway.wait_for("running on").rpartition(" ")[2]
        with ending(gateway):
            stage.client("client.py", url, "example key")
            if node := shutil.which("node"):
                stage.run([node, str(stage.folder / "client.mjs"), url, "example key"], name="node").finish()


def gui_eventloop(stage: Stage) -> None:
    loop = stage.server("headless.py")
    stage.client("client.py", *loop.uris)
    loop.finish()


def messagebus(stage: Stage) -> None:
    nameserver = stage.nameserver()
    server = stage.server("server.py", "messages.sqlite")
    stage.client("publisher.py", "news", "first", "second")
    server.kill()
    server = stage.server("server.py", "messages.sqlite")  # still has what was published before
    with ending(nameserver, server):
        with ending(subscriber := stage.server("subscriber.py", "news")):
            subscriber.wait_for("^news: second")
            stage.client("publisher.py", "news", "third")
            subscriber.wait_for("^news: third")
        stage.client("publisher.py", "large", *["x" * 1500] * 4)
        with ending(subscriber := stage.server("subscriber.py", "news", "large")):
            subscriber.wait_for("^large", 4)
        server.interrupt()
        with ending(stage.server("server.py", "memory")):
            stage.client("publisher.py", "news", "fourth")


def nameserverstress(stage: Stage) -> None:
    with ending(stage.nameserver()):
        stage.client("stress.py", 5, 20)


def oneway(stage: Stage) -> None:
    for options in ((), ("--not-threaded",)):
        with ending(server := stage.server("server.py", *options)):
            stage.client("client.py", *server.uris)


def resourcetracking(stage: Stage) -> None:
    with ending(server := stage.server("server.py")):
        polite = stage.start("client.py", *server.uris, "door", "window", name="polite client")
        killed = stage.start("client.py", *server.uris, "safe", name="killed client")
        for client in (polite, killed):
            client.wait_for("^locked")
        killed.kill()
        server.wait_for("^safe is closed")
        polite.type("")
        polite.finish()
        server.wait_for("^window is closed")


def robots(stage: Stage) -> None:
    with ending(stage.nameserver()):
        game = stage.server("gameserver.py", 2, 1)
        players = [stage.start("player.py", name, name=name) for name in ("Ada", "Bob")]
        game.finish()
        for player in players:
            player.finish()


def servertypes(stage: Stage) -> None:
    for kind in ("thread", "multiplex"):
        with ending(server := stage.server("server.py", kind)):
            stage.client("client.py", *server.uris)


def shoppingcart(stage: Stage) -> None:
    with ending(stage.nameserver(), stage.server("shop.py")):
        stage.client("customers.py")


def ssl(stage: Stage) -> None:
    stage.client("make_certificates.py", "certificates")
    with ending(server := stage.server("server.py", "certificates")):
        stage.client("client.py", *server.uris, "certificates")


def stockquotes(stage: Stage) -> None:
    markets = ("Village", "HEN", "COW"), ("Harbour", "COD", "EEL")
    stage.client("phase1/stockmarket.py", name="phase 1")
    with ending(*(running := [stage.server("phase2/stockmarket.py", *market, name=market[0]) for market in markets])):
        stage.client("phase2/viewer.py", *(uri for market in running for uri in market.uris))
    running = [stage.nameserver(), *(stage.server("phase3/stockmarket.py", *market) for market in markets)]
    with ending(*running):
        stage.client("phase3/viewer.py")
        for market in running[1:]:
            market.wait_for("a viewer has left")


def stockquotes_old(stage: Stage) -> None:
    stage.client("phase1/stockquotes.py", name="phase 1")
    markets = ("Village", "HEN", "COW"), ("Harbour", "COD", "EEL")
    with ending(aggregator := stage.server("phase2/aggregator.py")):
        uri = aggregator.uris[0]
        with ending(*(stage.server("phase2/stockmarket.py", uri, *market, name=market[0]) for market in markets)):
            stage.client("phase2/viewer.py", uri, "HEN", "COD")
            aggregator.wait_for("^a viewer is gone")
    servers = stage.nameserver(), stage.server("phase3/aggregator.py")
    with ending(*servers, *(stage.server("phase3/stockmarket.py", *market, name=market[0]) for market in markets)):
        stage.client("phase3/viewer.py", "COW")
        servers[-1].wait_for("^a viewer is gone")


def systemd(stage: Stage) -> None:
    """What systemd does with the unit: environment, start, stop."""
    for line in (stage.folder / "pyrolite-ns.env").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            stage.environment[name] = value
    stage.environment["PYRO_NS_PORT"] = "0"
    unit = (stage.folder / "pyrolite-ns.service").read_text(encoding="utf-8")
    command = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    arguments = command.replace("${STATE_DIRECTORY}", str(stage.directory)).split()[1:]
    service = stage.module("pyrolite.naming", *arguments, name="service")
    port = service.wait_for("^URI = ").rpartition(":")[2]
    nsc = ("pyrolite.nsc", "--host", "localhost", "--port", port)
    stage.module(*nsc, "register", "example.service", "PYRO:object@localhost:4444", name="nsc").finish()
    service.kill()  # it is restarted, and still knows the name
    service = stage.module("pyrolite.naming", *arguments, "--port", port, name="service")
    service.wait_for("^URI = ")
    stage.module(*nsc, "lookup", "example.service", name="nsc").finish()
    service.terminate()


def unixdomainsock(stage: Stage) -> None:
    for options in ((), ("--abstract",)):
        if not options or sys.platform == "linux":
            with ending(server := stage.server("server.py", *options)):
                stage.client("client.py", *server.uris)


def warehouse(stage: Stage) -> None:
    stage.client("phase1/visit.py", name="phase 1")
    with ending(server := stage.server("phase2/warehouse.py")):
        stage.client("phase2/visit.py", *server.uris, name="phase 2")
    with ending(stage.nameserver(), stage.server("phase3/warehouse.py")):
        stage.start("phase3/visit.py", name="phase 3").finish(exit_code=1)


PLANS: Final[dict[str, Plan]] = {
    "async": direct("client.py", "client_batch.py", "client_callchain.py"),
    "attributes": direct("client.py"),
    "autoproxy": autoproxy,
    "autoreconnect": autoreconnect,
    "autoretry": named("client.py"),
    "banks": named("client.py"),
    "batchedcalls": direct("client.py", size=300),
    "benchmark": direct("client.py", "connections.py", size=30),
    "blob_dispatch": blob_dispatch,
    "callback": named("client.py", "client_errors.py"),
    "callcontext": direct("client.py"),
    "chatbox": chatbox,
    "circular": circular,
    "control_room": control_room,
    "deadlock": direct("client.py"),
    "diffie_hellman": direct("client.py"),
    "disconnects": direct("client.py"),
    "distributed_computing": distributed_computing,
    "distributed_computing2": named("client.py"),
    "distributed_computing3": distributed_computing3,
    "distributed_mandelbrot": distributed_mandelbrot,
    "echoserver": echoserver,
    "eventloop": eventloop,
    "exceptions": exceptions,
    "extended_pickle": direct("client.py"),
    "filetransfer": filetransfer,
    "flame": flame,
    "first_object": named("client.py", "client.py"),
    "futures": alone("background.py"),
    "gui_eventloop": gui_eventloop,
    "handshake": direct("client.py"),
    "http": http,
    "hugetransfer": direct("client.py", size=1),
    "instancemode": named("client.py"),
    "maxsize": direct("client.py"),
    "messagebus": messagebus,
    "nameserverstress": nameserverstress,
    "nonameserver": direct("client.py"),
    "ns_metadata": named("client.py"),
    "oneway": oneway,
    "proxysharing": named("client.py"),
    "remote_control": remote_control,
    "resourcetracking": resourcetracking,
    "robots": robots,
    "ser_custom": direct("client.py"),
    "servertypes": servertypes,
    "shoppingcart": shoppingcart,
    "socketpair": alone("with_threads.py", "with_fork.py"),
    "ssl": ssl,
    "stockquotes": stockquotes,
    "stockquotes_old": stockquotes_old,
    "streaming": direct("client.py"),
    "systemd": systemd,
    "thirdpartylib": direct("client.py"),
    "timeout": named("client.py"),
    "timezones": direct("client.py"),
    "unixdomainsock": unixdomainsock,
    "usersession": named("client.py"),
    "warehouse": warehouse,
}
