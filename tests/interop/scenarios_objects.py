"""Objects that travel: callbacks, automatic proxies, URIs, blobs; and how instances are made.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import threading

from peer_common import attempt, describe
from scenario_registry import scenario

ALL = ("serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill")
NO_MARSHAL = tuple(name for name in ALL if name != "marshal")


def _callback_object(lib):
    class Listener:
        def __init__(self):
            self.heard = []
            self.was_told = threading.Event()

        @lib.expose
        def called(self, *args):
            self.heard.append(list(args))
            return ["heard", *args]

        @lib.expose
        @lib.callback
        def called_and_failed(self):
            raise ValueError("callback failed")

        @lib.expose
        @lib.oneway
        def told(self, *args):
            self.heard.append(list(args))
            self.was_told.set()

    return Listener()


@scenario("PRX-15 SER-40 DMN-27", ["list('heard', 1, 'two')", [[1, "two"]]], serializers=ALL)
def callback_by_proxy(env):
    """The client passes a proxy for an object in its own daemon, and the server calls it."""
    listener = _callback_object(env.lib)
    local = env.serve(listener)
    with env.proxy() as proxy, local:
        return [proxy.call_back(local, 1, "two").replace("tuple", "list"), listener.heard]


@scenario("DMN-25 SER-63", ["list('heard', 3)", [[3]]], serializers=NO_MARSHAL)
def callback_by_object(env):
    """The client passes the registered object itself, which travels as a proxy."""
    listener = _callback_object(env.lib)
    env.serve(listener)
    with env.proxy() as proxy:
        return [proxy.call_back(listener, 3), listener.heard]


@scenario("DMN-25 DMN-63", [None, [["oneway"]]], serializers=NO_MARSHAL)
def callback_by_oneway_call(env):
    listener = _callback_object(env.lib)
    env.serve(listener)
    with env.proxy() as proxy:
        result = proxy.tell(listener, "oneway")
        listener.was_told.wait(5)
        return [result, listener.heard]


@scenario(
    "DMN-57 WIRE-83 WIRE-84",
    ["!ValueError: callback failed", "!ConnectionClosedError"],
    pyrolite_client=["!ValueError: callback failed", "list('heard', 'again')"],
)
def callback_that_fails(env):
    """The server gets the exception; the connection to a Pyro4 daemon ends with it, the one to pyrolite stays."""
    listener = _callback_object(env.lib)
    env.serve(listener)
    with env.proxy() as proxy:
        first, second = proxy.call_back_twice(listener)
        return [first, second.partition(":")[0]]


@scenario("DMN-25 SER-63", [["a", "b", "c"], ["d"]], serializers=NO_MARSHAL)
def autoproxy_of_arguments(env):
    """Registered objects at any depth of the arguments are proxies for the server, which calls them."""
    parts = {name: _part(env.lib, name) for name in "abcd"}
    daemon = env.daemon()
    for part in parts.values():
        daemon.register(part)
    with env.proxy() as proxy:
        deep = [parts["a"], {"k": [parts["b"], (parts["c"],)]}]
        return [proxy.names_of(deep), proxy.names_of(keyword=[[[parts["d"]]]])]


def _part(lib, name):
    @lib.expose
    class Part:
        def name(self):
            return name

    return Part()


@scenario("DMN-25", [["x"], "SerializeError"], serializers=("serpent", "json", "msgpack"))
def autoproxy_ends_with_registration(env):
    part = _part(env.lib, "x")
    daemon = env.daemon()
    daemon.register(part)
    with env.proxy() as proxy:
        first = proxy.names_of([part])
        daemon.unregister(part)
        try:
            return [first, proxy.names_of([part])]
        except env.lib.errors.SerializeError:
            return [first, "SerializeError"]


@scenario("DMN-25 DMN-27 SER-63", ["Proxy", "'made by server'", ["'nested 0'", "'nested 1'"]], serializers=NO_MARSHAL)
def autoproxy(env):
    with env.proxy() as proxy:
        with proxy.make_object() as part:
            first = [type(part).__name__, attempt(part.name)]
        names = []
        for other in proxy.make_objects()["parts"]:
            with other:
                names.append(attempt(other.name))
        return [*first, names]


@scenario("SER-63", "dict", pyrolite_server="Proxy", serializers=("marshal",))
def autoproxy_with_marshal(env):
    """Pyro4 sends the attributes of the object; pyrolite a proxy."""
    with env.proxy() as proxy:
        try:
            part = proxy.make_object()
        except env.lib.errors.SerializeError:
            return "dict"
        with part:
            return type(part).__name__


@scenario("SER-40 DMN-20 DMN-21", [["URI", True], ["Proxy", True, 5]], serializers=ALL)
def uris_and_proxies_as_results(env):
    with env.proxy() as proxy:
        uri = proxy.uri_of_me()
        first = [type(uri).__name__, str(uri) == env.uris["target"]]
        with proxy.proxy_of_me() as me:
            return [first, [type(me).__name__, "echo" in me._pyroMethods, me.echo(5)]]


@scenario("SER-40", [True, True], serializers=ALL)
def uris_and_proxies_come_back(env):
    with env.proxy() as proxy:
        uri = env.lib.URI(env.uris["target"])
        back = proxy.echo(proxy)
        same = back == proxy and back.echo("over the copy") == "over the copy"
        back._pyroRelease()
        return [proxy.echo(uri) == uri, same]


@scenario("OV-40", [[7, "!ValueError: ('builtin error', 42)", 8]] * 2, serializers=ALL)
def relayed(env):
    """Client -> server -> server of either library -> server of the other library."""
    with env.proxy() as proxy:
        return [
            [
                proxy.relay(uri, "echo", 7),
                attempt(proxy.relay, uri, "fail", "ValueError"),
                proxy.relay(uri, "relay", other, "echo", 8),
            ]
            for uri, other in (env.others, env.others[::-1])
        ]


# ---- blobs


_BLOBS = ["dict('topic': 't')", "list('payload', 1, None)", "list('payload', 1, None)"]


@scenario(
    "BLOB-2 BLOB-3 BLOB-10", _BLOBS, serializers=("serpent", "msgpack", "pickle", "cloudpickle", "dill", "marshal")
)
def blob(env):
    with env.proxy() as proxy:
        return proxy.blob(env.lib.core.SerializedBlob({"topic": "t"}, ["payload", 1, None]))


@scenario("BLOB-4", "'params'", pyrolite_server="list(1, 2)", serializers=("json",))
def blob_with_json(env):
    with env.proxy() as proxy:
        return proxy.blob(env.lib.core.SerializedBlob("info", [1, 2]))[1]


@scenario("BLOB-3 BLOB-11", ["tuple('info', 2)", "'info'"])
def blob_information_only(env):
    """The receiver need not have the classes inside."""
    with env.proxy() as proxy:
        library = env.lib
        library.config.COMPRESSION = True
        return [
            proxy.blob_info(library.core.SerializedBlob(("info", 2), {"x": "y" * 1000})),
            proxy.blob_info(library.core.SerializedBlob("info", [])),
        ]


_FORWARDED = ["list('topic', 'URI')", "list(1, 'two')", "list(1, 'two')"]
_NOT_FOUND = ["list('topic', 'URI')", "'params'", "'params'"]


def _forward(env):
    """Through a dispatcher to servers of both libraries: Pyro4, then pyrolite."""
    found = []
    with env.proxy() as proxy:
        for uri in env.others:
            try:
                answer = proxy.forward_blob(env.lib.core.SerializedBlob(["topic", uri], [1, "two"]))
            except Exception:
                found.append("fails")
            else:
                found.append([answer[0].replace(describe(uri), "'URI'"), *answer[1:]])
    return found


@scenario("BLOB-14", [_FORWARDED, _FORWARDED], serializers=("serpent",))
def blob_forwarded(env):
    """Each library as the sender, the dispatcher and the receiver."""
    return _forward(env)


@scenario(
    "BLOB-15",
    ["fails", "fails"],
    pyrolite_server=[_FORWARDED, _FORWARDED],
    serializers=("msgpack", "pickle", "cloudpickle", "dill", "marshal"),
)
def blob_forwarded_over_another_serializer(env):
    """Pyro4's dispatcher stamps the serializer of its own proxy; pyrolite's keeps the one of the blob."""
    return _forward(env)


@scenario(
    "BLOB-15 BLOB-4",
    [_NOT_FOUND, _NOT_FOUND],
    pyrolite_server=[_NOT_FOUND, _FORWARDED],
    serializers=("json",),
)
def blob_forwarded_with_json(env):
    """As above; Pyro4 does not find the data in json, nor does anybody behind its dispatcher."""
    return _forward(env)


@scenario("BLOB-14 WIRE-40", [True, True], serializers=("serpent",))
def blob_forwarded_compressed(env):
    env.lib.config.COMPRESSION = True
    data = ["data " * 1000]
    with env.proxy() as proxy:
        return [
            proxy.forward_blob(env.lib.core.SerializedBlob(["topic", uri], data))[1] == describe(data)
            for uri in env.others
        ]


@scenario("BLOB-3 BLOB-18", ["None", "dict('k': list(1))"], serializers=("serpent", "msgpack", "pickle"))
def blob_kept_by_oneway_call(env):
    """It can be opened after the call that brought it."""
    with env.proxy() as proxy:
        first = attempt(proxy.keep_blob, env.lib.core.SerializedBlob("info", {"k": [1]}))
        return [first, proxy.kept_blob()]


@scenario("BLOB-2", ["!SerializeError: if SerializedBlob is used, it must be the only argument"] * 2)
def blob_misused(env):
    with env.proxy() as proxy:
        made = env.lib.core.SerializedBlob("info", [1])
        return [attempt(proxy.blob, made, 2), attempt(proxy.blob, made, more=2)]


# ---- instances


def _numbers(env, name, connections=2, calls=2):
    found = []
    for _ in range(connections):
        with env.proxy(name) as proxy:
            found.append([proxy.which() for _ in range(calls)])
    first = found[0][0]
    return [[number - first for number in numbers] for numbers in found]


@scenario("DMN-70", [[0, 0], [1, 1]])
def instances_per_session(env):
    return _numbers(env, "session")


@scenario("DMN-70", [[0, 0], [0, 0]])
def instances_single(env):
    return _numbers(env, "single")


@scenario("DMN-70", [[0, 1], [2, 3]])
def instances_per_call(env):
    return _numbers(env, "percall")


@scenario("DMN-71", ["by creator", "!TypeError: instance creator returned object of different type"])
def instances_by_creator(env):
    with env.proxy("creator") as proxy, env.proxy("misfit") as misfit:
        return [proxy.which(), attempt(misfit.which)]


@scenario("DMN-70 BAT-12", [0, 0, 0])
def instances_in_a_batch(env):
    with env.proxy("percall") as proxy:
        calls = env.lib.batch(proxy)
        for _ in range(3):
            calls.which()
        numbers = list(calls())
        return [number - numbers[0] for number in numbers]
