"""The name server, used by clients of both libraries.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import socket

from peer_common import attempt, describe
from scenario_registry import scenario

ALL = ("serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill")
NO_MARSHAL = tuple(name for name in ALL if name != "marshal")
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
    serializers=ALL,
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


@scenario(
    "NS-3 NS-14 CTX-2",
    [["PYRO", "obj", "127.0.0.1", 4000], "URI", True, "list"],
    needs="nameserver",
    serializers=NO_MARSHAL,
)
def lookup_over_each_serializer(env):
    """What comes back is a URI of the client's library and a list, whatever the serializer."""
    with _name_server(env) as ns:
        ns.register("interop.each", _URI, metadata=["t"])
        uri, metadata = ns.lookup("interop.each", return_metadata=True)
        listed = ns.list(prefix="interop.each")
        ns.remove("interop.each")
        parts = [uri.protocol, uri.object, uri.host, uri.port]
        return [parts, type(uri).__name__, listed == {"interop.each": _URI}, type(metadata).__name__]


@scenario(
    "NS-6 SER-33",
    "!ValueError: unmarshallable object",
    pyrolite_server="tuple(URI('PYRO', 'obj', None, '127.0.0.1', 4000), list('t'))",
    serializers=("marshal",),
    needs="nameserver",
)
def lookup_with_metadata_over_marshal(env):
    """Pyro4 cannot send a URI inside of a tuple with marshal."""
    with _name_server(env) as ns:
        ns.register("interop.marshal", _URI, metadata=["t"])
        found = attempt(ns.lookup, "interop.marshal", return_metadata=True)
        ns.remove("interop.marshal")
        return found


@scenario(
    "NS-7 NS-13", [["interop.proxied"], True, "'over the name'"], needs="nameserver", serializers=("serpent", "pickle")
)
def register_uri_objects(env):
    """URI objects are registered as they are, also those of proxies."""
    with _name_server(env) as ns, env.proxy() as proxy:
        ns.register(
            "interop.proxied", proxy._pyroUri, metadata={"a", "b"} if env.serializer == "pickle" else ["a", "b"]
        )
        try:
            found = [list(ns.list(metadata_all={"a", "b"})), str(ns.lookup("interop.proxied")) == env.uris["target"]]
            with env.lib.Proxy(_name_uri(env, "interop.proxied")) as named:
                return [*found, attempt(named.echo, "over the name")]
        finally:
            ns.remove("interop.proxied")


def _name_uri(env, name):
    return "PYRONAME:%s@127.0.0.1:%d" % (name, env.extra["port"])


@scenario("PRX-34 PRX-36", [1, 2, "!NamingError: unknown name: interop.moving"], needs="nameserver")
def resolve_again_when_reconnecting(env):
    """A PYRONAME proxy that was not bound asks the name server at each new connection."""
    with _name_server(env) as ns:
        ns.register("interop.moving", env.uris["session"])
        with env.lib.Proxy(_name_uri(env, "interop.moving")) as proxy:
            first = proxy.which()
            ns.register("interop.moving", env.uris["session"])
            proxy._pyroRelease()
            second = proxy.which()
            ns.remove("interop.moving")
            proxy._pyroRelease()
            return [1, 1 + second - first, attempt(proxy.which)]


@scenario(
    "RES-3",
    [True, "!NamingError: no registrations available with desired metadata properties {'interop.none'}"],
    needs="nameserver",
)
def resolve_metadata_to_one_of_many(env):
    with _name_server(env) as ns:
        for number in range(3):
            ns.register("interop.many%d" % number, "PYRO:obj%d@127.0.0.1:4000" % number, metadata=["interop.many"])
        uri = "PYROMETA:interop.%s@127.0.0.1:%d"
        found = {env.lib.resolve(uri % ("many", env.extra["port"])).object for _ in range(60)}
        ns.remove(prefix="interop.many")
        missing = attempt(env.lib.resolve, uri % ("none", env.extra["port"]))
        return [found == {"obj0", "obj1", "obj2"}, missing]


@scenario("RES-11 NS-34", ["None", "unix", "'by name'"], needs="nameserver_unix")
def name_server_on_unix_socket(env):
    location = "./u:" + env.extra["uri"].partition("./u:")[2]
    with env.lib.locateNS(host=location) as ns:
        ping = attempt(ns.ping)
        ns.register("interop.unix", env.uris["target"])
        kind = "unix" if ns._pyroUri.sockname else str(ns._pyroUri)
        with env.lib.Proxy(ns.lookup("interop.unix")) as proxy:
            found = attempt(proxy.echo, "by name")
        ns.remove("interop.unix")
        return [ping, kind, found]


@scenario("NS-2 NS-33 DMN-6", ["localhost", True], needs="nameserver_nat")
def name_server_behind_nat(env):
    """It gives away the address that it is known by outside."""
    with _name_server(env) as ns:
        uri = ns.lookup("Pyro.NameServer")
        return [uri.host, uri.port == env.extra["port"]]


@scenario("NS-2 NS-6", [True, "class:Pyro4.naming.NameServer"], needs="nameserver")
def name_server_of_itself(env):
    with _name_server(env) as ns:
        uri, metadata = ns.lookup("Pyro.NameServer", return_metadata=True)
        known = [tag for tag in metadata if tag == "class:Pyro4.naming.NameServer"]
        return [str(uri) == env.extra["uri"], *known]


@scenario("NS-2 NS-9", [0, 0, 0, "None"], needs="nameserver")
def name_server_cannot_be_removed(env):
    with _name_server(env) as ns:
        found = [ns.remove("Pyro.NameServer"), ns.remove(prefix="Pyro.Name"), ns.remove(regex="Pyro[.]NameServer")]
        return [*found, attempt(ns.ping)]


@scenario("NS-31 RES-13", [True, "nothing", "nothing"], needs="nameserver")
def broadcast_by_hand(env):
    """The question as a datagram; others are not answered."""
    found = []
    for question in (b"GET_NSURI", b"GET_NSURI\n", b"get_nsuri"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5 if question == b"GET_NSURI" else 0.1)
            sock.sendto(question, ("127.0.0.1", env.extra["broadcast_port"]))
            try:
                found.append(sock.recv(4096).decode("iso-8859-1") == env.extra["uri"])
            except socket.timeout:
                found.append("nothing")
    return found


@scenario(
    "NS-3 PRX-17",
    [["count", "list", "lookup", "ping", "register", "remove", "set_metadata"], [], []],
    needs="nameserver",
)
def interface_of_the_name_server(env):
    with _name_server(env) as ns:
        ns._pyroBind()
        methods = sorted(set(ns._pyroMethods) - {"yplookup"})  # that one is for Pyro5 clients
        return [methods, sorted(ns._pyroAttrs), sorted(ns._pyroOneway)]


@scenario("NS-34 WIRE-33 RES-5", ["!NamingError", "!NamingError", "None"], needs="nameserver_hmac")
def name_server_with_other_keys(env):
    wrong = attempt(_name_server, env, hmac_key=b"wrong", broadcast=False).partition(":")[0]
    none = attempt(env.lib.resolve, _name_uri(env, "Pyro.NameServer")).partition(":")[0]
    with _name_server(env, hmac_key="ns key") as ns:
        return [wrong, none, attempt(ns.ping)]


@scenario("NS-10 BAT-7", [[None, None, 2]], needs="nameserver")
def batch_of_registrations(env):
    with _name_server(env) as ns:
        calls = env.lib.batch(ns)
        calls.register("interop.bulk1", _URI, safe=True)
        calls.register("interop.bulk2", _URI, metadata=["m"])
        calls.remove(prefix="interop.bulk")
        return [list(calls())]


@scenario("RES-16 RES-11 NS-34", ["None", "::1", ["interop.six"], "PYRO:obj@127.0.0.1:4000"], needs="nameserver_ipv6")
def name_server_on_ipv6(env):
    with env.lib.locateNS(host="::1", port=env.extra["port"]) as ns:
        found = [attempt(ns.ping), ns._pyroUri.host]
        ns.register("interop.six", _URI)
        found.append(list(ns.list(prefix="interop.six")))
        found.append(str(env.lib.resolve("PYRONAME:interop.six@[::1]:%d" % env.extra["port"])))
        ns.remove("interop.six")
        return found


@scenario("TLS-10 RES-10", ["None", "localhost", "PYRO:obj@127.0.0.1:4000", "!NamingError"], needs="tls_nameserver")
def name_server_with_tls(env):
    config, files = env.lib.config, env.extra["certificates"]
    config.SSL, config.SSL_CACERTS = True, files["ca"]
    name = "PYRONAME:interop.tls@localhost:%d" % env.extra["port"]
    with env.lib.locateNS(host="localhost", port=env.extra["port"]) as ns:
        subject = ns._pyroConnection.getpeercert()["subject"]
        found = [attempt(ns.ping), dict(entry[0] for entry in subject)["commonName"]]
        ns.register("interop.tls", _URI)
        found.append(str(env.lib.resolve(name)))
        ns.remove("interop.tls")
    config.SSL = False
    return [*found, attempt(env.lib.resolve, name).partition(":")[0]]
