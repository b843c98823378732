"""What belongs to a connection: handshake, HMAC, annotations, correlation ids, compression, kinds of sockets.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import os
import uuid

from peer_common import attempt, describe
from scenario_registry import scenario

ALL = ("serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill")
_ID = "12345678-1234-5678-1234-567812345678"


@scenario(
    "WIRE-60 WIRE-62 DMN-43",
    ["'hello'", "dict('you said': \"dict('user': 'me', 'id': 1)\")", 1],
    serializers=ALL,
)
def handshake_data(env):
    seen = []
    library = env.lib

    class Checking(library.Proxy):
        def _pyroValidateHandshake(self, response):
            seen.append(describe(response))

    with Checking(env.uris["target"]) as proxy:
        proxy._pyroBind()
    with Checking(env.uris["target"]) as proxy:
        proxy._pyroHandshake = {"id": 1, "user": "me"}
        result = proxy.echo(1)
    return [seen[0], seen[1].replace("'id': 1, 'user': 'me'", "'user': 'me', 'id': 1"), result]


@scenario(
    "WIRE-63 DMN-41 PRX-32",
    ["!CommunicationError: connection to ADDRESS rejected: wrong code", False, "'second try'"],
    serializers=ALL,
)
def handshake_refused(env):
    with env.proxy(Handshake={"refuse": "wrong code"}) as proxy:
        first = attempt(proxy._pyroBind)
        connected = proxy._pyroConnection is not None
        proxy._pyroHandshake = "hello"
        return [first, connected, attempt(proxy.echo, "second try")]


@scenario(
    "PRX-33",
    ["!ValueError: not the server I want", True, False],
    pyrolite_client=["!ValueError: not the server I want", False, False],
)
def handshake_refused_by_client(env):
    """Pyro4 stays connected to the refused server; pyrolite does not."""
    library = env.lib

    class Picky(library.Proxy):
        def _pyroValidateHandshake(self, response):
            raise ValueError("not the server I want")

    with Picky(env.uris["target"]) as proxy:
        first = attempt(proxy._pyroBind)
        connected = proxy._pyroConnection is not None
        proxy._pyroRelease()
        return [first, connected, proxy._pyroConnection is not None]


@scenario(
    "WIRE-30 WIRE-33",
    [
        "'signed'",
        "'signed'",
        "!CommunicationError: cannot connect to ADDRESS: hmac key config not symmetric",
        "!CommunicationError: cannot connect to ADDRESS: message hmac mismatch",
    ],
    needs="hmac",
    serializers=ALL,
)
def hmac(env):
    """The server has the key ``s\\xe9cret`` as text."""
    keys = ["s\xe9cret", "s\xe9cret".encode(), None, b"other key"]
    found = []
    for key in keys:
        with env.proxy() as proxy:
            if key is not None:
                proxy._pyroHmacKey = key
            found.append(attempt(lambda proxy=proxy: proxy.echo("signed")))
    return found


@scenario("WIRE-33", "!CommunicationError: cannot connect to ADDRESS: hmac key config not symmetric")
def hmac_only_at_the_client(env):
    return attempt(env.proxy(HmacKey=b"key")._pyroBind)


@scenario("WIRE-31", [{"AAAA": "one", "ZZZZ": "", "DAEM": False}, [0, 1], ["ValueError", "b"], None], needs="hmac")
def hmac_with_everything(env):
    """Annotations, streams, batches, exceptions and oneway calls with a key."""
    library = env.lib
    with env.proxy(HmacKey="s\xe9cret") as proxy:
        library.current_context.annotations = {"ZZZZ": b"", "AAAA": b"one"}
        seen = proxy.annotations()
        seen.pop("HMAC", None)
        seen["DAEM"] = False
        calls = library.batch(proxy)
        calls.echo("b")
        batch = list(calls())
        try:
            proxy.fail("ValueError")
            raised = "nothing"
        except ValueError as error:
            raised = type(error).__name__
        return [seen, list(proxy.count_up(2)), [raised, *batch], proxy.note("signed")]


@scenario(
    "WIRE-24 WIRE-27 PRX-44 PRX-45",
    [
        {"USER": "from context", "PROX": "from proxy"},
        {"RESP": "answer", "EMPT": "", "DAEM": "from daemon"},
        {"PROX": "from proxy"},
        [2, 5, 5],
    ],
    serializers=ALL,
)
def annotations(env):
    library = env.lib
    types = []

    class Annotating(library.Proxy):
        def _pyroAnnotations(self):
            return {"PROX": b"from proxy"}

        def _pyroResponseAnnotations(self, annotations, msgtype):
            types.append(msgtype)

    with Annotating(env.uris["target"]) as proxy:
        proxy._pyroBind()
        library.current_context.annotations = {"USER": b"from context"}
        first = proxy.annotations()
        answer = {
            key: bytes(value).decode("latin-1") for key, value in library.current_context.response_annotations.items()
        }
        answer.pop("CORR")
        return [first, answer, proxy.annotations(), types]


@scenario(
    "WIRE-28 DMN-59 HRD",
    ["ValueError", "leaked"],
    pyrolite_server=["ValueError", "clean"],
)
def annotations_of_a_failed_call(env):
    """In Pyro4 they go out with the next answer of the same thread; a pyrolite server drops them."""
    with env.proxy() as proxy:
        try:
            proxy.annotate_and_fail()
        except ValueError as error:
            first = type(error).__name__
        proxy.nothing()
        return [first, "leaked" if "RESP" in env.lib.current_context.response_annotations else "clean"]


@scenario("WIRE-29 PRX-47", [True, True, True, [_ID, _ID], [_ID, _ID]], serializers=ALL)
def correlation_id(env):
    """Echoed, seen by the method, and passed on to the next servers of both libraries, and from there to more."""
    context = env.lib.current_context
    context.correlation_id = uuid.UUID(_ID)
    with env.proxy() as proxy:
        seen = proxy.correlation() == _ID
        answered = bytes(context.response_annotations["CORR"]) == uuid.UUID(_ID).bytes
        one, two = env.others
        passed_on = [proxy.relay(uri, "correlation") for uri in (one, two)]
        further = [proxy.relay(uri, "relay", other, "correlation") for uri, other in ((one, two), (two, one))]
        context.correlation_id = None
        return [seen, answered, uuid.UUID(proxy.correlation()).version == 4, passed_on, further]


@scenario(
    "CTX-7 ASY-9",
    [False, {}],
    pyrolite_client=[True, {"USER": "of the caller"}],
)
def context_of_asynchronous_calls(env):
    """Pyro4 makes them in a thread with a context of its own; pyrolite with a copy of the caller's."""
    context = env.lib.current_context
    context.correlation_id = uuid.UUID(_ID)
    with env.proxy() as proxy:
        proxy._pyroBind()
        env.lib.asyncproxy(proxy)
        correlation = proxy.correlation().value
        context.annotations = {"USER": b"of the caller"}
        return [correlation == _ID, proxy.annotations().value]


@scenario("CTX-3 WIRE-29", [True, True])
def correlation_id_of_a_oneway_call(env):
    context = env.lib.current_context
    context.correlation_id = uuid.UUID(_ID)
    with env.proxy() as proxy:
        proxy.notes(0)
        proxy.note_correlation()
        noted = proxy.notes(1)
        return [noted == [_ID], context.response_annotations["CORR"] is not None]


@scenario("WIRE-25 PRX-46", [{}, {}])
def annotations_are_not_forwarded(env):
    """A nested call over a new proxy does not carry the annotations of the request."""
    with env.proxy() as proxy:
        found = []
        for uri in env.others:
            env.lib.current_context.annotations = {"USER": b"first server only"}
            found.append(proxy.relay(uri, "annotations"))
        return found


@scenario(
    "DMN-58 DMN-59",
    [{"DAEM": "from daemon", "RESP": "answer", "EMPT": ""}],
    pyrolite_server=[{"DAEM": "from daemon"}],
)
def response_annotations_of_nested_calls(env):
    """What the next server sends along is part of the answer of a Pyro4 server, and not of a pyrolite server."""
    with env.proxy() as proxy:
        proxy.relay(env.others[0], "annotations")
        answer = env.lib.current_context.response_annotations
        return [{key: bytes(value).decode() for key, value in answer.items() if key != "CORR"}]


@scenario("WIRE-40 WIRE-41", [True] * 5, serializers=ALL, needs="compressing")
def compression(env):
    """Large, small and incompressible data, with either side or both compressing; the server compresses."""
    noise = "".join("%c%c" % (33 + byte % 90, 33 + byte // 3) for byte in os.urandom(3000))
    values = ["x" * 100000, "x" * 10, noise, ["list of text"] * 1000]
    found = []
    for compress in (True, False):
        env.lib.config.COMPRESSION = compress
        with env.proxy() as proxy:
            found.append([proxy.echo(value) for value in values] == values)
            found.append(proxy.echo("y" * 1000) == "y" * 1000)
    with env.proxy() as proxy:
        error = attempt(proxy.fail, "ValueError")
    return [*found, error == "!ValueError: ('builtin error', 42)"]


@scenario("WIRE-40", [True, True], serializers=("serpent", "msgpack"))
def compression_by_client_only(env):
    env.lib.config.COMPRESSION = True
    with env.proxy() as proxy:
        calls = env.lib.batch(proxy)
        calls.echo("z" * 5000)
        return [proxy.echo("z" * 5000) == "z" * 5000, list(calls()) == ["z" * 5000]]


@scenario("WIRE-6 HRD", [3000000, True], serializers=("serpent", "json", "marshal", "msgpack", "pickle"))
def large_payload(env):
    text = "0123456789" * 300000
    with env.proxy() as proxy:
        answer = proxy.echo(text)
        return [len(answer), answer == text]


@scenario("WIRE-43 WIRE-44", ["!MessageTooLargeError: max message size exceeded", "still there"])
def message_too_large_to_send(env):
    with env.proxy() as proxy:
        proxy._pyroBind()
        env.lib.config.MAX_MESSAGE_SIZE = 1000
        error = attempt(proxy.echo, "x" * 5000).partition(" (")[0]
        return [error, proxy.echo("still there")]


@scenario("WIRE-45", ["!MessageTooLargeError: max message size exceeded", "again"])
def message_too_large_to_receive(env):
    with env.proxy() as proxy:
        proxy._pyroBind()
        env.lib.config.MAX_MESSAGE_SIZE = 2000
        error = attempt(proxy.give, "str_long")
        env.lib.config.MAX_MESSAGE_SIZE = 0
        return [error.partition(" (")[0], proxy.echo("again")]


@scenario(
    "WIRE-63 SER-3",
    [
        "!CommunicationError: connection to ADDRESS rejected: message used serializer that is not accepted: 4",
        "!CommunicationError: connection to ADDRESS rejected: message used serializer that is not accepted: 6",
        "1",
    ],
    needs="picky",
)
def serializer_not_accepted(env):
    found = []
    for serializer in ("pickle", "msgpack", "serpent"):
        with env.proxy(Serializer=serializer) as proxy:
            found.append(attempt(lambda proxy=proxy: proxy.echo(1)))
    return found


@scenario("WIRE-71", ["2", "2", "2", "2"])
def serializer_changed_while_connected(env):
    with env.proxy() as proxy:
        found = []
        for serializer in ("serpent", "json", "pickle", "marshal"):
            proxy._pyroSerializer = serializer
            found.append(attempt(proxy.echo, 2))
        return found


@scenario("WIRE-120 OV-25", "None")
def ping(env):
    with env.proxy() as proxy:
        proxy._pyroBind()
        return attempt(env.lib.message.Message.ping, proxy._pyroConnection)


@scenario(
    "WIRE-34",
    "!SecurityError: hmac key config not symmetric",
    pyrolite_client="None",
    both="None",
    needs="hmac",
)
def ping_with_key(env):
    with env.proxy(HmacKey="s\xe9cret") as proxy:
        proxy._pyroBind()
        return attempt(env.lib.message.Message.ping, proxy._pyroConnection, "s\xe9cret".encode())


@scenario("PRX-36 PRX-37 PRX-34", [True, False, "1", True, "2"])
def reconnecting(env):
    with env.proxy() as proxy:
        bound = [proxy._pyroBind(), proxy._pyroBind()]
        first = attempt(proxy.echo, 1)
        proxy._pyroRelease()
        proxy._pyroRelease()
        proxy._pyroReconnect(tries=1)
        return [*bound, first, proxy._pyroConnection is not None, attempt(proxy.echo, 2)]


@scenario("PRX-27 WIRE-127", [5, 1, "list(1, 2)", True])
def raw_wire_response(env):
    with env.proxy() as proxy:
        proxy._pyroBind()
        proxy._pyroRawWireResponse = True
        message = proxy.echo([1, 2])
        serializer = env.lib.util.get_serializer_by_id(message.serializer_id)
        failed = proxy.fail("ValueError")
        return [
            message.type,
            message.serializer_id,
            describe(serializer.deserializeData(message.data)),
            bool(failed.flags & env.lib.message.FLAGS_EXCEPTION),
        ]
