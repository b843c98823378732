"""Calls, attributes, batches, asynchronous calls, streams.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import threading

from peer_common import attempt, describe, like
from scenario_registry import scenario

#: Serializers that can express everything that the calls here need.
COMMON = ("serpent", "json", "msgpack", "pickle", "cloudpickle", "dill")
ALL = ("serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill")


@scenario("PRX-17 WIRE-62", [["annotate_and_fail", "annotations"], True, ["broken", "constant", "value"], True])
def metadata(env):
    with env.proxy() as proxy:
        proxy._pyroBind()
        methods = sorted(proxy._pyroMethods)
        hidden = {"hidden", "_private", "hidden_value"} & (proxy._pyroMethods | proxy._pyroAttrs)
        return [
            methods[:2],
            not hidden,
            sorted(proxy._pyroAttrs),
            sorted(proxy._pyroOneway) == ["keep_blob", "note", "note_and_fail", "note_correlation", "tell"],
        ]


@scenario(
    "EXP-4 EXP-9 CLS",
    [["__len__", "inherited", "of_class", "own_oneway", "static"], [], ["own_oneway"], [1, 42, "Derived", 7]],
)
def metadata_of_class(env):
    """An override without decorator disappears; static and class methods work; an exposed dunder is a method."""
    with env.proxy("derived") as proxy:
        proxy._pyroBind()
        calls = [proxy.inherited(), proxy.static(41), proxy.of_class(), proxy.__len__()]
        return [sorted(proxy._pyroMethods), sorted(proxy._pyroAttrs), sorted(proxy._pyroOneway), calls]


@scenario(
    "PRX-25",
    "!PyroError: remote object doesn't expose any methods or attributes. Did you forget setting @expose on them?",
)
def metadata_empty(env):
    return attempt(env.proxy("closed")._pyroBind)


@scenario(
    "PRX-20 WIRE-60",
    ["1", [], "!AttributeError: attempt to access unexposed attribute 'hidden'", "local"],
)
def metadata_off(env):
    env.lib.config.METADATA = False
    with env.proxy() as proxy:
        first = attempt(proxy.echo, 1)
        proxy.some_name = "local"
        return [first, sorted(proxy._pyroMethods), attempt(proxy.hidden), proxy.some_name]


@scenario("WIRE-124", [True, "echo"])
def metadata_fetched_later(env):
    """get_metadata as a normal call, when connecting did not bring it."""
    with env.proxy() as proxy:
        env.lib.config.METADATA = False
        proxy._pyroBind()
        env.lib.config.METADATA = True
        return [proxy._pyroMethods == set(), proxy.echo("echo")]


@scenario(
    "WIRE-70 PRX-23",
    [[[], {}], [[1, "two"], {"key": [3, None]}], [[], {"args": 2, "method": 1, "objectId": 3}]],
    serializers=ALL,
)
def arguments(env):
    with env.proxy() as proxy:
        return [
            proxy.arguments(),
            proxy.arguments(1, "two", key=[3, None]),
            proxy.arguments(method=1, args=2, objectId=3),
        ]


@scenario("WIRE-73", "None", serializers=ALL)
def result_none(env):
    with env.proxy() as proxy:
        return attempt(proxy.nothing)


@scenario(
    "PRX-17 PRX-19 PRX-21 WIRE-95",
    [
        "list(1, 'two', None)",
        "None",
        "'changed'",
        "!AttributeError: attempt to access unexposed or unknown remote attribute 'constant'",
        "!ZeroDivisionError: property broken",
        "!AttributeError: remote object 'PYRO:target@ADDRESS' has no exposed attribute 'echo'",
        "!AttributeError: remote object 'PYRO:target@ADDRESS' has no exposed attribute or method 'hidden_value'",
        "!AttributeError: remote object 'PYRO:target@ADDRESS' has no exposed attribute or method '_private'",
    ],
    serializers=COMMON,
)
def attributes(env):
    with env.proxy() as proxy:
        return [
            attempt(getattr, proxy, "constant"),
            attempt(setattr, proxy, "value", "changed"),
            attempt(getattr, proxy, "value"),
            attempt(setattr, proxy, "constant", 1),
            attempt(getattr, proxy, "broken"),
            attempt(setattr, proxy, "echo", 1),
            attempt(getattr, proxy, "hidden_value"),
            attempt(getattr, proxy, "_private"),
        ]


@scenario(
    "WIRE-96",
    ["!AttributeError: 'NoneType' object has no attribute 'items'"] * 4,
    pyrolite_client=["list(1, 'two', None)", "'set'", "list(1, 2)", "list('oneway')"],
    serializers=("marshal",),
)
def attributes_and_batches_with_marshal(env):
    with env.proxy() as proxy:

        def write():
            proxy.value = "set"
            return proxy.value

        def batch(**options):
            calls = env.lib.batch(proxy)
            if options.get("oneway"):
                calls.note("oneway")
                calls(**options)
                return proxy.notes(1)
            calls.echo(1)
            calls.echo(2)
            result = calls(**options)
            return list(result.value if options else result)

        proxy.notes(0)
        reading, writing = attempt(getattr, proxy, "constant"), attempt(write)
        return [reading, writing, attempt(batch, asynchronous=True), attempt(batch, oneway=True)]


@scenario("PRX-22 WIRE-72", "!AttributeError: 'Target' object has no attribute 'echo.dotted'")
def dotted_name(env):
    with env.proxy() as proxy:
        return attempt(proxy.echo.dotted)


@scenario("WIRE-100 WIRE-101", [None, ["one", "two"], 1], serializers=ALL)
def oneway(env):
    with env.proxy() as proxy:
        proxy.notes(0)
        result = proxy.note("one")
        proxy.note_and_fail("two")
        return [result, proxy.notes(2), proxy.echo(1)]


@scenario("PRX-28", ["None", ["flagged"]])
def oneway_by_hand(env):
    """The flag alone decides: an ordinary method becomes oneway when the client says so."""
    with env.proxy() as proxy:
        proxy.notes(0)
        proxy._pyroBind()
        proxy._pyroOneway.add("echo")
        first = attempt(proxy.echo, 1)
        proxy._pyroOneway = set()
        proxy.note("flagged")  # now a normal call of a oneway method
        return [first, proxy.notes(1)]


@scenario("BAT-2 BAT-3 WIRE-90", [["a", 2, [[], {"k": None}]], [], ["reused"]], serializers=COMMON)
def batch(env):
    with env.proxy() as proxy:
        calls = env.lib.batch(proxy)
        calls.echo("a")
        calls.echo(2)
        calls.arguments(k=None)
        first = list(calls())
        empty = list(calls())
        calls.echo("reused")
        return [first, empty, list(calls())]


@scenario(
    "BAT-3 BAT-8 WIRE-91",
    [1, "!ValueError: builtin error", True, "!StopIteration: ", []],
    serializers=COMMON,
)
def batch_with_error(env):
    """The exception comes at its place, with the remote traceback, and the calls after it are not made."""
    with env.proxy() as proxy:
        proxy.notes(0)
        calls = env.lib.batch(proxy)
        calls.echo(1)
        calls.fail("ValueError")
        calls.note("never")
        results = calls()
        first = next(results)
        try:
            next(results)
            second, traced = "nothing", False
        except ValueError as error:
            second, traced = "!ValueError: %s" % error.args[0], "fail" in "".join(error._pyroTraceback)
        return [first, second, traced, attempt(next, results), proxy.notes(0)]


@scenario(
    "BAT-8 WIRE-92",
    "!AttributeError: attempt to access unexposed attribute 'hidden'",
    pyrolite_server=["list(1)", "!AttributeError"],
)
def batch_with_bad_name(env):
    with env.proxy() as proxy:
        calls = env.lib.batch(proxy)
        calls.echo(1)
        calls.hidden()
        try:
            results = calls()
        except AttributeError as error:
            return "!AttributeError: %s" % error
        found = []
        try:
            for result in results:
                found.append(result)
        except AttributeError as error:
            return [describe(found), "!" + type(error).__name__]
        return describe(found)


@scenario(
    "BAT-4 BAT-10 WIRE-93",
    [None, ["b1", "b2"], "!PyroError: async oneway calls make no sense"],
    serializers=COMMON,
)
def batch_oneway(env):
    with env.proxy() as proxy:
        proxy.notes(0)
        calls = env.lib.batch(proxy)
        calls.note("b1")
        calls.note("b2")
        result = calls(oneway=True)
        calls.echo(1)
        return [result, proxy.notes(2), attempt(calls, oneway=True, asynchronous=True)]


@scenario("ASY-8", [[1, 2], True], serializers=COMMON)
def batch_async(env):
    with env.proxy() as proxy:
        calls = env.lib.batch(proxy)
        calls.echo(1)
        calls.echo(2)
        future = calls(asynchronous=True)
        return [list(future.value), future.ready]


@scenario(
    "ASY-2 ASY-3 ASY-6 FUT-2 FUT-5",
    [["x", True], 12, "!ZeroDivisionError: builtin error", ["ValueError"], None],
    serializers=ALL,
)
def asynchronous(env):
    with env.proxy() as proxy:
        proxy._pyroAsync()
        future = proxy.echo("x")
        value = future.value
        chained = proxy.echo(10).then(lambda number: number + 1).then(lambda number, more: number + more, more=1)
        failed = proxy.fail("ZeroDivisionError")
        handled, seen = [], threading.Event()

        def handler(error):
            handled.append(type(error).__name__)
            seen.set()

        proxy.sleep(0.05).then(lambda text: int(text)).iferror(handler)
        seen.wait(5)
        outcome = ""
        try:
            failed.value
        except ZeroDivisionError as error:
            outcome = "!ZeroDivisionError: %s" % error.args[0]
        return [[value, future.ready], chained.value, outcome, handled, proxy.note("async").value]


@scenario("ASY-3", [sorted(range(10)), 10])
def asynchronous_parallel(env):
    with env.proxy() as proxy:
        proxy._pyroAsync()
        futures = [proxy.echo(number) for number in range(10)]
        return [sorted(future.value for future in futures), len({id(future) for future in futures})]


@scenario("ASY-1 ASY-2", ["None", [1, "two", None], True, "!AttributeError", "direct"], serializers=COMMON)
def asynchronous_attributes(env):
    """Attributes are read and written at once, and unknown names are refused at once; the mode can be left again."""
    with env.proxy() as proxy:
        switched = attempt(env.lib.asyncproxy, proxy)
        proxy.value = "written"
        found = [
            switched,
            proxy.constant,
            proxy.value == "written",
            attempt(getattr, proxy, "no_such").partition(":")[0],
        ]
        env.lib.asyncproxy(proxy, False)
        return [*found, proxy.echo("direct")]


@scenario("CTX-2 PRX-39 WIRE-12", [[1, 0, 1, True], [65535, 0, 1, True], [0, 0, 1, True], [1, 0, 1, True]])
def sequence_numbers(env):
    with env.proxy() as proxy:
        first = proxy.context()
        proxy._pyroSeq = 65534
        return [first, proxy.context(), proxy.context(), proxy.context()]


@scenario("PRX-13", [3, "PYRO:target@ADDRESS", True])
def copied_proxy(env):
    import copy

    with env.proxy() as proxy, copy.copy(proxy) as other:
        return [other.echo(3), like("PYRO:target@ADDRESS", _location(other)), other == proxy]


def _location(proxy):
    from peer_common import stable

    return stable(str(proxy._pyroUri))


@scenario("PRX-42", [sorted(range(40)), 1])
def shared_by_threads(env):
    with env.proxy() as proxy:
        found, bound = [], []

        def work(number):
            bound.append(proxy._pyroBind())
            found.append(proxy.echo(number))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [sorted(found), sum(bound)]


@scenario(
    "DMN-80", [["Pyro.Daemon", True], "None", True, ["close_stream", "get_metadata", "get_next_stream_item"], True]
)
def daemon_object(env):
    uri = env.uris["target"].replace("target@", "Pyro.Daemon@")
    with env.lib.Proxy(uri) as daemon:
        registered = daemon.registered()
        info = daemon.info()
        daemon._pyroBind()
        names = sorted(daemon._pyroMethods)
        return [
            ["Pyro.Daemon", {"Pyro.Daemon", "target", "session"} <= set(registered)],
            attempt(daemon.ping),
            info.startswith("Pyro.Daemon bound on 127.0.0.1:"),
            names[:3],
            sorted(daemon.get_metadata("target", as_lists=True)) == ["attrs", "methods", "oneway"],
        ]
