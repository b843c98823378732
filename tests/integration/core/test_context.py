"""The call context and annotations from end to end (chapters 10, 30 and 31)."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

import pyrolite
from pyrolite.core import current_context
from pyrolite.message import FLAGS_ONEWAY

PATIENCE = 10.0
CORRELATION = uuid.UUID("12345678-1234-4234-8234-123456789abc")


def seen() -> dict[str, Any]:
    """The context as plain values."""
    fields = current_context.to_global()
    return {
        "seq": fields["seq"],
        "flags": fields["msg_flags"],
        "serializer": fields["serializer_id"],
        "correlation": str(fields["correlation_id"]),
        "annotations": {key: bytes(value).decode("latin-1") for key, value in fields["annotations"].items()},
        "responses": sorted(fields["response_annotations"]),
        "address": fields["client_sock_addr"],
        "client": type(fields["client"]).__name__,
    }


@pyrolite.expose
class Thing:
    """Tells what it sees, and passes calls on."""

    def __init__(self) -> None:
        self.oneway: dict[str, Any] = {}
        self.happened = threading.Event()
        self.next: Any = None

    def context(self) -> dict[str, Any]:
        return seen()

    @pyrolite.oneway
    def later(self, proceed_after: Any = None) -> None:
        self.oneway = seen()
        self.happened.set()

    def annotate(self, *names: str) -> None:
        for name in names:
            current_context.response_annotations[name] = b"method"

    def annotate_and_fail(self, name: str) -> None:
        current_context.response_annotations = {name: b"method"}
        raise ValueError("x")

    def through(self, mine: bool) -> list[Any]:
        """A nested call over a proxy that exists already."""
        assert "USER" in current_context.annotations
        if mine:
            current_context.annotations["MINE"] = b"added"
        inner = self.next.context()
        return [inner, seen()]

    def through_annotate(self, name: str, keep: bool) -> None:
        self.next.annotate("THEM")
        assert bytes(current_context.response_annotations["THEM"]) == b"method"
        current_context.response_annotations[name] = b"outer"
        if keep:
            current_context.response_annotations = dict(current_context.response_annotations)

    def forward(self) -> dict[str, Any]:
        """A nested call that passes the annotations on, because it wants to."""
        current_context.annotations = {"USER": current_context.annotations["USER"]}
        return self.next.context()

    def through_new_proxy(self, uri: Any) -> list[Any]:
        with pyrolite.Proxy(uri) as proxy:
            inner = proxy.context()
        return [inner, seen()]


class Annotating(pyrolite.Daemon):
    def annotations(self) -> dict[str, bytes]:
        return {"DAEM": b"daemon"}


@pytest.fixture
def thing() -> Thing:
    return Thing()


@pytest.fixture
def uri(start: Any, thing: Thing) -> Any:
    return start({"thing": thing}).uris["thing"]


def test_what_a_method_sees(uri: Any, connect: Any) -> None:
    """[CTX-2], [WIRE-28], [DMN-59]"""
    proxy = connect(uri)
    current_context.annotations = {"USER": b"1"}
    current_context.correlation_id = CORRELATION
    context = proxy.context()
    assert context["seq"] == proxy._pyroSeq
    assert (context["flags"], context["serializer"], context["correlation"]) == (0, 1, str(CORRELATION))
    assert context["annotations"] == {"USER": "1", "CORR": CORRELATION.bytes.decode("latin-1")}
    assert context["responses"] == []
    assert tuple(context["address"]) == proxy._pyroConnection.sock.getsockname()
    assert context["client"] == "SocketConnection"
    assert proxy.context()["annotations"].keys() == {"CORR"}


def test_fresh_for_each_request(uri: Any, connect: Any) -> None:
    """[CTX-3], [WIRE-28], [HRD-26], [SEC-51]: nothing of another client."""
    first, second = connect(uri), connect(uri)
    current_context.annotations = {"USER": b"1"}
    current_context.correlation_id = CORRELATION
    first.context()
    first.annotate("LEFT")
    with pytest.raises(ValueError):
        first.annotate_and_fail("LOST")
    current_context.correlation_id = None
    contexts = [second.context() for _ in range(3)]
    assert all(context["annotations"] == {} and context["responses"] == [] for context in contexts)
    assert len({context["correlation"] for context in contexts} | {str(CORRELATION)}) == 4
    second.annotate()
    assert current_context.response_annotations.keys() == {"CORR"}


def test_oneway(uri: Any, connect: Any, thing: Thing) -> None:
    """[DMN-63], [CTX-2]: a copy, which is still valid when the socket is gone."""
    proxy = connect(uri)
    proxy._pyroBind()
    address = proxy._pyroConnection.sock.getsockname()
    current_context.annotations = {"USER": b"1"}
    current_context.correlation_id = CORRELATION
    proxy.later()
    proxy._pyroRelease()
    assert thing.happened.wait(PATIENCE)
    assert thing.oneway["correlation"] == str(CORRELATION)
    assert thing.oneway["annotations"].keys() == {"USER", "CORR"}
    assert thing.oneway["flags"] == FLAGS_ONEWAY
    assert thing.oneway["address"] == address


def test_responses(start: Any, connect: Any, thing: Thing) -> None:
    """[WIRE-27], [PRX-45], [DMN-58], [OV-40]: the method's, then the daemon's."""
    heard: list[Any] = []

    class Listening(pyrolite.Proxy):
        def _pyroResponseAnnotations(self, annotations: Any, msgtype: int) -> None:
            heard.append((msgtype, sorted(annotations)))

    uri = start({"thing": thing}, daemon_class=Annotating).uris["thing"]
    proxy = connect(uri, Listening)
    proxy.annotate("METH", "DAEM")
    responses = {key: bytes(value) for key, value in current_context.response_annotations.items() if key != "CORR"}
    assert responses == {"METH": b"method", "DAEM": b"daemon"}
    with pytest.raises(ValueError):
        proxy.annotate_and_fail("LOST")
    assert sorted(current_context.response_annotations) == ["CORR", "DAEM"]
    proxy.later()
    assert current_context.response_annotations == {}
    assert heard == [(2, ["CORR", "DAEM"]), (5, ["CORR", "DAEM", "METH"]), (5, ["CORR", "DAEM"])]


def test_annotations_before_the_first_call(start: Any, connect: Any) -> None:
    """[PRX-44], [WIRE-24]: seen by the handshake, by the constructor of a session, and by the call; then used up."""
    seen_by: list[Any] = []

    class Handshaking(pyrolite.Daemon):
        def validateHandshake(self, conn: Any, data: Any) -> Any:
            seen_by.append(("handshake", "USER" in current_context.annotations))
            return "hello"

    @pyrolite.behavior("session")
    class Session:
        def __init__(self) -> None:
            seen_by.append(("constructor", "USER" in current_context.annotations))

        @pyrolite.expose
        def call(self) -> None:
            seen_by.append(("call", "USER" in current_context.annotations))

    proxy = connect(start({"session": Session}, daemon_class=Handshaking).uris["session"])
    current_context.annotations = {"USER": b"1"}
    proxy.call()
    proxy.call()
    assert seen_by == [("handshake", True), ("constructor", True), ("call", True), ("call", False)]


def test_own_annotations_of_a_proxy(uri: Any, connect: Any) -> None:
    """[PRX-44], [OV-40]"""

    class Annotated(pyrolite.Proxy):
        def _pyroAnnotations(self) -> dict[str, bytes]:
            return {"PROX": b"always", "USER": b"wins"}

    proxy = connect(uri, Annotated)
    current_context.annotations = {"USER": b"1"}
    assert proxy.context()["annotations"] == {"PROX": "always", "USER": "wins"}
    assert proxy.context()["annotations"] == {"PROX": "always", "USER": "wins"}


def test_nested_calls(start: Any, connect: Any, thing: Thing) -> None:
    """[PRX-46], [PRX-47], [WIRE-25], [WIRE-29]: only what the method adds, and the correlation id."""
    second = start({"second": Thing()})
    first = start({"thing": thing}, hmac_key=b"key")
    with pyrolite.Proxy(second.uris["second"]) as inner_proxy:
        inner_proxy._pyroBind()
        thing.next = inner_proxy
        proxy = connect(first.uris["thing"], HmacKey=b"key")
        for mine in (False, True):
            current_context.annotations = {"USER": b"1"}
            current_context.correlation_id = CORRELATION
            inner, outer = proxy.through(mine)
            assert inner["annotations"].keys() == ({"MINE", "CORR"} if mine else {"CORR"})
            assert inner["correlation"] == outer["correlation"] == str(CORRELATION)
            assert {"USER", "CORR", "HMAC"} <= outer["annotations"].keys()
        current_context.annotations = {"USER": b"1"}
        assert proxy.forward()["annotations"].keys() == {"USER", "CORR"}
        current_context.annotations = {"USER": b"1"}
        inner, outer = proxy.through_new_proxy(second.uris["second"])
        assert inner["annotations"].keys() == {"CORR"}
        assert outer["annotations"]["USER"] == "1"


def test_answers_of_nested_calls(start: Any, connect: Any, thing: Thing) -> None:
    """[DMN-59]: are not sent back, unless the method says so."""
    second = start({"second": Thing()})
    with pyrolite.Proxy(second.uris["second"]) as inner_proxy:
        inner_proxy._pyroBind()
        thing.next = inner_proxy
        proxy = connect(start({"thing": thing}).uris["thing"])
        proxy.through_annotate("OUTR", keep=False)
        assert current_context.response_annotations.keys() == {"OUTR", "CORR"}
        proxy.through_annotate("OUTR", keep=True)
        assert current_context.response_annotations.keys() == {"OUTR", "THEM", "CORR"}


def test_asynchronous_calls(uri: Any, connect: Any) -> None:
    """[CTX-7], [ASY-9]: they carry the caller's context, once."""
    proxy = connect(uri)
    proxy._pyroAsync()
    current_context.correlation_id = CORRELATION
    current_context.annotations = {"USER": b"1"}
    future = proxy.context()
    assert current_context.annotations == {}
    context = future.value
    assert context["annotations"].keys() == {"USER", "CORR"}
    assert context["correlation"] == str(CORRELATION)
    assert proxy.context().value["annotations"].keys() == {"CORR"}


def test_own_threads(uri: Any, connect: Any) -> None:
    """[CTX-1], [CTX-4], [CTX-6]: thread-local, and handed on by hand."""
    proxy = connect(uri)
    proxy._pyroBind()
    current_context.correlation_id = CORRELATION
    fields = current_context.to_global()
    results: list[Any] = []

    def call(install: bool) -> None:
        if install:
            current_context.from_global(fields)
        results.append(proxy.context()["correlation"] == str(CORRELATION))

    for install in (False, True):
        thread = threading.Thread(target=call, args=(install,))
        thread.start()
        thread.join(PATIENCE)
    assert results == [False, True]


def test_correlation_id_is_a_uuid() -> None:
    """[PRX-44], [WIRE-24]"""
    with pytest.raises(TypeError):
        current_context.correlation_id = "text"  # type: ignore[assignment]


def test_class_that_changes_later(uri: Any, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """[OV-40]: what the class has when the proxy connects counts, and not what it had when the proxy was made."""
    proxy = connect(uri)
    with monkeypatch.context() as patch:
        patch.setattr(pyrolite.Proxy, "_pyroAnnotations", lambda self: {"LATE": b"1"})
        assert "LATE" in proxy.context()["annotations"]
    proxy._pyroRelease()
    assert "LATE" not in proxy.context()["annotations"]
