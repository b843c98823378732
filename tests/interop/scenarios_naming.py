"""The name server, used by clients of both libraries.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import socket

from peer_common import attempt, describe
from scenario_registry import scenario

_URI = "PYRO:obj@127.0.0.1:4000"


def _name_server(env, **arguments):
    return env.lib.locateNS(host="127.0.0.1", port=env.extra["port"], **arguments)


@scenario(
    "NS-3 NS-5 NS-6 NS-7",
    [
        True,
        "None",
        "URI('PYRO', 'obj', None, '127.0.0.1', 4000)",
        True,
        "!NamingError: unknown name: interop.missing",
        "!NamingError: name already registered: interop.a",
        "1",
        "0",
    ],
    needs="nameserver",
    serializers=("serpent", "json", "marshal", "msgpack", "pickle"),
)
def register_and_lookup(env):
    with _name_server(env) as ns:
        before = ns.count()
        found = [attempt(ns.register, "interop.a", _URI), attempt(ns.lookup, "interop.a")]
        found.append(ns.count() == before + 1)
        found.append(attempt(ns.lookup, "interop.missing"))
        found.append(attempt(ns.register, "interop.a", env.lib.URI(_URI), safe=True))
        found.append(attempt(ns.remove, "interop.a"))
        found.append(attempt(ns.remove, "interop.a"))
        return [ns.ping() is None, *found]


@scenario(
    "NS-8 NS-10 NS-13 NS-14",
    [
        ["URI", ["one", "two"]],
        [["interop.m1", [_URI, ["one", "two"]]], ["interop.m2", [_URI, ["two"]]]],
        ["interop.m1"],
        ["interop.m1", "interop.m2"],
        ["interop.m1", "interop.m2"],
        ["interop.m2"],
        "!ValueError: you can only filter on one thing at a time",
        "!NamingError",
        [],
        2,
    ],
    needs="nameserver",
    serializers=("serpent", "json", "msgpack", "pickle"),
)
def metadata_and_filters(env):
    with _name_server(env) as ns:
        ns.register("interop.m1", _URI, metadata=["two", "one"])
        ns.register("interop.m2", _URI, metadata={"two"} if env.serializer != "json" else ["two"])
        uri, metadata = ns.lookup("interop.m1", return_metadata=True)
        listed = ns.list(prefix="interop.m", return_metadata=True)
        found = [
            [type(uri).__name__, sorted(metadata)],
            sorted([name, [entry[0], sorted(entry[1])]] for name, entry in listed.items()),
            sorted(ns.list(metadata_all=["one", "two"])),
            sorted(ns.list(metadata_any=["one", "two"])),
            sorted(ns.list(prefix="interop.m")),
            sorted(ns.list(regex=r".*m2")),
            attempt(ns.list, prefix="a", regex="b"),
            attempt(ns.list, regex="((").partition(":")[0],
        ]
        ns.set_metadata("interop.m1", [])
        found.append(sorted(ns.list(metadata_any=["one"])))
        return [*found, ns.remove(prefix="interop.m")]


@scenario("NS-9 NS-2", [3, 0, True], needs="nameserver")
def remove_many(env):
    with _name_server(env) as ns:
        for number in range(3):
            ns.register("interop.r%d" % number, _URI)
        removed = ns.remove(regex=r"interop\.r\d")
        kept = ns.remove("Pyro.NameServer")
        return [removed, kept, "Pyro.NameServer" in ns.list()]


@scenario(
    "RES PRX-34", ["1", "PYRONAME", "PYRO", "2", "!NamingError: unknown name: interop.nobody"], needs="nameserver"
)
def resolve_names(env):
    port = env.extra["port"]
    with _name_server(env) as ns:
        ns.register("interop.target", env.uris["target"])
    try:
        with env.lib.Proxy("PYRONAME:interop.target@127.0.0.1:%d" % port) as proxy:
            first = attempt(proxy.echo, 1)
            protocol = proxy._pyroUri.protocol
        with env.lib.Proxy("PYRONAME:interop.target@127.0.0.1:%d" % port) as proxy:
            proxy._pyroBind()
            bound = proxy._pyroUri.protocol
            second = attempt(proxy.echo, 2)
        missing = attempt(env.lib.Proxy("PYRONAME:interop.nobody@127.0.0.1:%d" % port)._pyroBind)
        return [first, protocol, bound, second, missing]
    finally:
        with _name_server(env) as ns:
            ns.remove("interop.target")


@scenario("RES", ["1", True, "!NamingError"], needs="nameserver")
def resolve_metadata(env):
    port = env.extra["port"]
    with _name_server(env) as ns:
        ns.register("interop.yellow", env.uris["target"], metadata=["interop.kind", "interop.other"])
    try:
        with env.lib.Proxy("PYROMETA:interop.kind,interop.other@127.0.0.1:%d" % port) as proxy:
            first = attempt(proxy.echo, 1)
        resolved = env.lib.resolve("PYROMETA:interop.kind@127.0.0.1:%d" % port)
        missing = attempt(env.lib.resolve, "PYROMETA:interop.nothing@127.0.0.1:%d" % port)
        return [first, str(resolved) == env.uris["target"], missing.partition(":")[0]]
    finally:
        with _name_server(env) as ns:
            ns.remove("interop.yellow")


@scenario("RES NS-31", [True, "None"], needs="nameserver")
def locate_by_broadcast(env):
    """Nothing listens at the configured address, so the name server is looked for by broadcast."""
    config = env.lib.config
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        config.NS_HOST, config.NS_PORT = "127.0.0.1", unused.getsockname()[1]
        config.NS_BCPORT, config.BROADCAST_ADDRS = env.extra["broadcast_port"], "127.0.0.1"
        with env.lib.locateNS() as ns:
            return [ns._pyroUri.port == env.extra["port"], attempt(ns.ping)]


@scenario("RES", ["!NamingError: Failed to locate the nameserver"], needs="nameserver")
def locate_fails(env):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = attempt(env.lib.locateNS, host="127.0.0.1", port=unused.getsockname()[1], broadcast=False)
        return [found[:45]]


@scenario(
    "NS-7",
    [
        "!TypeError: only URIs or strings can be registered",
        "!TypeError: name must be a str",
        "!TypeError: metadata should not be a str, but another iterable (set, list, etc)",
        "!PyroError: invalid uri",
    ],
    needs="nameserver",
)
def register_wrongly(env):
    with _name_server(env) as ns:
        return [
            attempt(ns.register, "interop.w", 42),
            attempt(ns.register, 42, _URI),
            attempt(ns.register, "interop.w", _URI, metadata="text"),
            attempt(ns.register, "interop.w", "nonsense"),
        ]


@scenario("NS-34 WIRE-33", ["None", "!NamingError: Failed to locate the nameserver"], needs="nameserver_hmac")
def name_server_with_key(env):
    with _name_server(env, hmac_key=b"ns key") as ns:
        found = attempt(ns.ping)
    return [found, attempt(_name_server, env, broadcast=False)[:45]]


@scenario("BAT-7 NS-3", [[None, "URI('PYRO', 'obj', None, '127.0.0.1', 4000)", 1]], needs="nameserver")
def batch_on_name_server(env):
    with _name_server(env) as ns:
        calls = env.lib.batch(ns)
        calls.register("interop.batch", _URI)
        calls.lookup("interop.batch")
        calls.remove("interop.batch")
        results = list(calls())
        return [[results[0], describe(results[1]), results[2]]]
