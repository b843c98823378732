"""Whatever arrives: a dispatcher answers or hangs up, a proxy raises one of the errors of this library."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import pyrolite
from pyrolite.core import current_context
from pyrolite.core.dispatch import Dispatcher
from pyrolite.core.instances import InstanceTable
from pyrolite.core.onewaypool import OnewayPool
from pyrolite.core.streams import StreamTable
from pyrolite.errors import PyroError
from pyrolite.message import Message
from pyrolite.serializers import get_serializer, get_serializer_by_id
from pyrolite.testing import MemoryConnection
from pyrolite.wire.message import Frame

SAFE = ("serpent", "json", "marshal", "msgpack")
SERIALIZERS = {get_serializer(name).serializer_id: get_serializer(name) for name in SAFE}

scalars = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
#: dicts that name a class, known or unknown, with the keys of some forms
class_dicts = st.fixed_dictionaries(
    {
        "__class__": st.sampled_from(
            [
                "Pyro4.core.URI",
                "Pyro4.core.Proxy",
                "Pyro4.core.Daemon",
                "Pyro4.futures._ExceptionWrapper",
                "Pyro4.errors.NamingError",
                "builtins.ValueError",
                "builtins.SystemExit",
                "ValueError",
                "os.system",
                "x.__y__",
                "",
            ]
        )
        | values
    },
    optional={
        "__exception__": st.booleans() | values,
        "args": values,
        "attributes": values,
        "state": values,
        "exception": values,
    },
)
names = st.sampled_from(
    [
        "thing",
        "Pyro.Daemon",
        "echo",
        "items",
        "later",
        "size",
        "__getattr__",
        "__setattr__",
        "<batch>",
        "_x",
        "__class__",
        "",
    ]
)
requests = st.one_of(
    st.tuples(
        names, names, st.lists(values | class_dicts | names, max_size=3), st.none() | st.dictionaries(names, values)
    ),
    st.tuples(
        names, names, st.lists(st.tuples(names, st.lists(values, max_size=2), st.just({})), max_size=3), st.none()
    ),
    values,
    class_dicts,
)
flag_sets = st.sampled_from([0, 1, 2, 4, 8, 12, 16, 32, 64, 66, 72, 0x21, 0xFFFF])
annotation_dicts = st.dictionaries(
    st.sampled_from(["CORR", "HMAC", "STRM", "BLBI", "USER"]), st.binary(max_size=20), max_size=3
)


@pyrolite.expose
class Thing:
    size = property(lambda self: 3)

    def echo(self, *args: Any, **kwargs: Any) -> Any:
        return [args, kwargs]

    def items(self, *args: Any) -> Any:
        return iter(args)

    def later(self) -> None:
        pass


class Owner:
    def annotations(self) -> dict[str, Any]:
        return {}


def encoded(serializer_id: int, value: Any) -> bytes:
    """A payload of any shape, or nothing where the format has no form for the value."""
    with contextlib.suppress(Exception):
        if isinstance(value, tuple) and len(value) == 4:
            return SERIALIZERS[serializer_id].dumpsCall(*value)
        return SERIALIZERS[serializer_id].dumps(value)
    return b""


payloads = st.one_of(
    st.binary(max_size=60).map(lambda data: (1, data)),
    st.tuples(st.sampled_from(sorted(SERIALIZERS)), st.binary(max_size=60)),
    st.builds(lambda number, value: (number, encoded(number, value)), st.sampled_from(sorted(SERIALIZERS)), requests),
)


@given(payloads, flag_sets, annotation_dicts, st.sampled_from([0, 200, 5000]))
def test_dispatcher(payload: tuple[int, bytes], flags: int, annotations: dict[str, bytes], limit: int) -> None:
    """[WIRE-74], [WIRE-84], [WIRE-86], [HRD-19], [HRD-22]: it never raises, and what it answers can be decoded."""
    config = pyrolite.config.copy(ONEWAY_THREADED=False, MAX_MESSAGE_SIZE=limit)
    connection = MemoryConnection()
    streams = StreamTable(config)
    dispatcher = Dispatcher(
        objects={"thing": Thing()},
        instances=InstanceTable(),
        streams=streams,
        oneway=OnewayPool(config),
        serializers=SERIALIZERS,
        owner=Owner(),
        config=config,
    )
    before = current_context._state
    parts, fatal = dispatcher.answer(Frame(4, flags, 7, payload[0], annotations, payload[1]), connection)
    assert current_context._state is before
    streams.clear()
    if parts is None:
        assert flags & 4 or fatal is not None
        return
    assert fatal is None
    answer = Message.recv(MemoryConnection(b"".join(parts)))
    assert (answer.type, answer.seq, answer.serializer_id) == (5, 7, payload[0])
    assert limit == 0 or answer.data_size + answer.annotations_size <= limit
    result = get_serializer_by_id(answer.serializer_id).loads(answer.data)
    if answer.flags & 1:
        assert isinstance(result, Exception)


@given(payloads, flag_sets, annotation_dicts)
def test_proxy(payload: tuple[int, bytes], flags: int, annotations: dict[str, bytes]) -> None:
    """[HRD-3], [SER-56], [WIRE-122]: a value, an exception that was reported, or an error of this library."""
    proxy = pyrolite.Proxy("PYRO:thing@127.0.0.1:9")
    proxy._pyroSerializer = next(name for name in SAFE if get_serializer(name) is SERIALIZERS[payload[0]])
    proxy._pyroMethods = {"echo"}
    connection = MemoryConnection(objectId="thing")
    proxy.__dict__["_pyroConnection"] = connection
    annotations = {key: value for key, value in annotations.items() if key != "HMAC"}
    connection.feed(Message(5, payload[1], payload[0], flags, 1, annotations))
    raised: Exception | None = None
    try:
        proxy.echo()
    except Exception as error:
        raised = error
    assert raised is None or isinstance(raised, PyroError) or flags & 1, repr(raised)
    assert proxy._pyroConnection in {None, connection}
    assert connection.closed == (proxy._pyroConnection is None)
    proxy.__dict__["_pyroConnection"] = None
