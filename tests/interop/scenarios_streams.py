"""Item streams: the remote iterators and generators.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import uuid

from peer_common import attempt, describe
from scenario_registry import scenario

ALL = ("serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill")
_TERMINATED = "!PyroError: item stream terminated"
_END = "!StopIteration: "


def _limit():
    """A number that no other stream has as its limit."""
    return uuid.uuid4().int % 2**50 + 100


@scenario("WIRE-110 STR-1", [[0, 1, 2], "list(1, 'two', list(3))", _END], serializers=ALL)
def stream(env):
    with env.proxy() as proxy:
        first = list(proxy.count_up(3))
        items = proxy.iterator()
        return [first, describe(list(items)), attempt(next, items)]


@scenario("PRX-50", [True, True, 36, "_StreamResultIterator"])
def stream_object(env):
    with env.proxy() as proxy:
        items = proxy.count_up(3)
        return [iter(items) is items, items.proxy is proxy, len(items.streamId), type(items).__name__]


@scenario("PRX-56", [[0, 0, 0, "between", 1, 1, "a", 1], [2], [2], [2]], serializers=ALL)
def streams_interleaved(env):
    """Several streams and normal calls take turns on one connection, one stream is of another proxy."""
    with env.proxy() as proxy, env.proxy() as second:
        one, two, three = proxy.count_up(3), proxy.count_up(3), second.count_up(3)
        found = [next(one), next(two), next(three), proxy.echo("between"), next(one), next(two), second.echo("a")]
        found.append(next(three))
        return [found, list(one), list(two), list(three)]


@scenario("PRX-53 WIRE-113 STR-5", [0, True, _END], serializers=ALL)
def stream_closed_early(env):
    limit = _limit()
    with env.proxy() as proxy:
        items = proxy.count_up(limit)
        first = next(items)
        items.close()
        return [first, proxy.stream_ended(limit), attempt(next, items)]


@scenario("PRX-53", ["None", "None", "None", _END])
def stream_closed_when_it_does_not_matter(env):
    """Repeatedly, after its end, and without a connection."""
    with env.proxy() as proxy:
        items = proxy.count_up(1)
        found = [attempt(items.close), attempt(items.close)]
        items = proxy.count_up(1)
        list(items)
        proxy._pyroRelease()
        return [*found, attempt(items.close), attempt(next, items)]


@scenario("PRX-54", True)
def stream_dropped(env):
    """The server hears of it when the client loses interest."""
    limit = _limit()
    with env.proxy() as proxy:
        items = proxy.count_up(limit)
        next(items)
        del items
        proxy.echo("activity")
        return proxy.stream_ended(limit)


@scenario("WIRE-113 STR-9", [0, True, _TERMINATED], serializers=("serpent", "msgpack"))
def stream_closed_from_another_connection(env):
    limit = _limit()
    uri = env.uris["target"].replace("target@", "Pyro.Daemon@")
    with env.proxy() as proxy, env.lib.Proxy(uri) as daemon:
        items = proxy.count_up(limit)
        first = next(items)
        daemon.close_stream(items.streamId)
        return [first, proxy.stream_ended(limit), attempt(next, items)]


@scenario("PRX-52 STR-4", [1, "!ValueError: stream broke", _TERMINATED], serializers=ALL)
def stream_with_error(env):
    with env.proxy() as proxy:
        items = proxy.failing_stream()
        return [next(items), attempt(next, items), attempt(next, items)]


@scenario(
    "PRX-51 STR-6",
    [0, "!ConnectionClosedError: the proxy for this stream result has been closed", 1, 2, _END],
    serializers=ALL,
)
def stream_after_reconnect(env):
    """The server keeps the stream for a while, so it continues on a new connection."""
    with env.proxy() as proxy:
        items = proxy.count_up(3)
        first = next(items)
        proxy._pyroRelease()
        lost = attempt(next, items)
        for _ in range(20):
            proxy._pyroReconnect(tries=1)
            try:
                return [first, lost, next(items), next(items), attempt(next, items)]
            except env.lib.errors.PyroError:  # the server has not noticed yet that the old connection is gone
                proxy._pyroRelease()
        return [first, lost, "never"]


@scenario("STR-6", [0, True, _TERMINATED], needs="nolinger", serializers=("serpent", "pickle"))
def stream_that_does_not_linger(env):
    """ITER_STREAM_LINGER is 0, so the stream ends with its connection."""
    limit = _limit()
    with env.proxy() as proxy, env.proxy() as observer:
        items = proxy.count_up(limit)
        first = next(items)
        proxy._pyroRelease()
        ended = observer.stream_ended(limit)
        proxy._pyroReconnect(tries=1)
        return [first, ended, attempt(next, items)]


@scenario(
    "STR-2 WIRE-111",
    "!ProtocolError: result of call is an iterator, but the server is not configured to allow streaming",
    needs="nostreaming",
    serializers=ALL,
)
def streaming_switched_off(env):
    with env.proxy() as proxy:
        return attempt(proxy.count_up, 3)


@scenario(
    "PRX-55",
    "!ConnectionClosedError: the proxy for this stream result has been closed",
    pyrolite_client="list(0, 1, 2)",
    serializers=("serpent", "pickle"),
)
def stream_of_an_asynchronous_call(env):
    with env.proxy() as proxy:
        proxy._pyroAsync()
        return attempt(lambda: list(proxy.count_up(3).value))


@scenario("STR-3", "list('a', 'b')", serializers=("serpent", "cloudpickle"))
def list_is_not_streamed(env):
    with env.proxy() as proxy:
        return attempt(proxy.echo, ["a", "b"])


@scenario("STR-3 BAT-10", "fails", serializers=("serpent", "pickle"))
def stream_in_a_batch(env):
    """Not possible; a pyrolite server fails at that entry, Pyro4 as a whole."""
    with env.proxy() as proxy:
        calls = env.lib.batch(proxy)
        calls.count_up(3)
        try:
            return list(calls())
        except Exception:
            return "fails"


@scenario("STR-8 WIRE-31", [[0, 1, 2], [0, 1]], needs="hmac", serializers=("serpent", "json", "pickle"))
def streams_with_key(env):
    with env.proxy(HmacKey="s\xe9cret") as proxy:
        return [list(proxy.count_up(3)), list(proxy.count_up(2))]
