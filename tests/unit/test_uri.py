"""URIs (chapter 32)."""

from __future__ import annotations

import copy
import pickle
import time
from typing import Any

import pytest

from pyrolite import URI, core
from pyrolite.configuration import config
from pyrolite.core.uri import bracketed
from pyrolite.errors import PyroError
from pyrolite.serializers import get_serializer

IPV6_ERROR = "invalid ipv6 address: the part between brackets must be a numeric ipv6 address"


@pytest.fixture(autouse=True)
def ns_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "NS_PORT", 4321)


def fields(text: str) -> tuple[Any, ...]:
    uri = URI(text)
    return uri.protocol, uri.object, uri.host, uri.port, uri.sockname


class TestParsing:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("PYRO:obj@host:1", ("PYRO", "obj", "host", 1, None)),
            ("PYRO:obj@127.0.0.1:55555", ("PYRO", "obj", "127.0.0.1", 55555, None)),
            ("PYRO:obj@[::1]:5", ("PYRO", "obj", "::1", 5, None)),
            ("PYRO:obj@./u:sock", ("PYRO", "obj", None, None, "sock")),
            ("PYRONAME:some.name", ("PYRONAME", "some.name", None, None, None)),
            ("PYRONAME:some.name@host:1", ("PYRONAME", "some.name", "host", 1, None)),
            ("PYRONAME:some.name@host", ("PYRONAME", "some.name", "host", 4321, None)),
            ("PYRONAME:some.name@host:", ("PYRONAME", "some.name", "host", 4321, None)),
            ("PYRONAME:some.name@[::1]", ("PYRONAME", "some.name", "::1", 4321, None)),
            ("PYRONAME:some.name@./u:sock", ("PYRONAME", "some.name", None, None, "sock")),
            ("PYROMETA:a", ("PYROMETA", {"a"}, None, None, None)),
            ("PYROMETA:b,a,b", ("PYROMETA", {"a", "b"}, None, None, None)),
            ("PYROMETA:a,b@host", ("PYROMETA", {"a", "b"}, "host", 4321, None)),
            ("PYROMETA:a,b@./u:sock", ("PYROMETA", {"a", "b"}, None, None, "sock")),
        ],
    )
    def test_forms(self, text: str, expected: tuple[Any, ...]) -> None:
        """[URI-1], [URI-6]"""
        assert fields(text) == expected

    def test_port_of_the_name_server_is_read_at_parse_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """[URI-1]"""
        uri = URI("PYRONAME:n@h")
        monkeypatch.setattr(config, "NS_PORT", 99)
        assert (uri.port, URI("PYRONAME:n@h").port) == (4321, 99)

    @pytest.mark.parametrize("wrong", [None, 5, b"PYRO:obj@host:1", ["PYRO:obj@host:1"]])
    def test_wrong_type(self, wrong: Any) -> None:
        """[URI-2]"""
        with pytest.raises(TypeError, match=r"^uri parameter object is of wrong type$"):
            URI(wrong)

    @pytest.mark.parametrize("text", ["PYRO:a@h:1", "PYROMETA:a,b@h:1", "PYRONAME:n"])
    def test_copy_of_another(self, text: str) -> None:
        """[URI-2]"""
        uri = URI(text)
        other = URI(uri)
        assert other == uri
        assert other is not uri
        other.host = "other"
        if isinstance(uri.object, set):
            other.object.add("more")
        assert uri == URI(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "PYRO:",
            "PYRO:@h:1",
            "PYR:a@h:1",
            "http://a@h:1",
            " PYRO:a@h:1",
            "PYRO:a b@h:1",
            "PYRO:a\tb@h:1",
            "PYRO:a\nb@h:1",
            "PYRO:a@h\n:1",
            "PYRO:a@\nh:1",
            "PYRO:a@h:1\n\n",
            "PYRONAME:a ",
            "PYROMETA:m1, m2",
            "PYRO:a@",
        ],
    )
    def test_outside_of_the_grammar(self, text: str) -> None:
        """[URI-3]"""
        with pytest.raises(PyroError, match=r"^invalid uri$"):
            URI(text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("PYRO:obj@ext@h:1", ("PYRO", "obj", "ext@h", 1, None)),
            ("PYRONAME:a@", ("PYRONAME", "a@", None, None, None)),
            ("PYRO:a:b/c?d@h:1", ("PYRO", "a:b/c?d", "h", 1, None)),
            ("PYRO:ä€@h:1", ("PYRO", "ä€", "h", 1, None)),
            ("PYRO:a@ h:1", ("PYRO", "a", " h", 1, None)),
            ("PYRO:a@h:1\n", ("PYRO", "a", "h", 1, None)),
        ],
    )
    def test_inside_of_the_grammar(self, text: str, expected: tuple[Any, ...]) -> None:
        """[URI-3]"""
        assert fields(text) == expected

    def test_long_texts(self) -> None:
        """[URI-3]: parsing takes time by their length only."""
        start = time.process_time()
        for text in ("PYRO:" + "@" * 300_000 + "\n\n", "PYRO:" + "@" * 300_000, "PYRO:a@[" + ":1" * 300_000):
            with pytest.raises(PyroError):
                URI(text)
        assert time.process_time() - start < 5

    @pytest.mark.parametrize("scheme", ["pyro", "PyRo", "PYRO"])
    def test_scheme(self, scheme: str) -> None:
        """[URI-4]"""
        assert fields(f"{scheme}:Obj@HOST:1") == ("PYRO", "Obj", "HOST", 1, None)
        assert fields(f"{scheme}name:Obj")[0] == "PYRONAME"
        assert fields(f"{scheme}MeTa:Obj")[0] == "PYROMETA"

    @pytest.mark.parametrize("text", ["PYROX:a@h:1", "PYRONAMES:a", "pyroloc:a@h:1"])
    def test_unknown_scheme(self, text: str) -> None:
        """[URI-4]"""
        with pytest.raises(PyroError, match=r"^invalid uri \(protocol\)$"):
            URI(text)

    def test_location_is_needed(self) -> None:
        """[URI-5]"""
        with pytest.raises(PyroError, match=r"^invalid uri$"):
            URI("PYRO:obj")

    def test_tags(self) -> None:
        """[URI-6]: stripped by their nature, empty ones dropped."""
        assert URI("PYROMETA:a,,b,").object == {"a", "b"}
        for text in ("PYROMETA:,", "PYROMETA:,,,@h:1"):
            with pytest.raises(PyroError, match=r"^invalid uri$"):
                URI(text)

    @pytest.mark.parametrize("name", ["sock", "/tmp/some.sock", "na me ", "a@b", "\0abstract"])
    def test_unix_socket(self, name: str) -> None:
        """[URI-7]"""
        assert fields(f"PYRO:obj@./u:{name}") == ("PYRO", "obj", None, None, name)

    @pytest.mark.parametrize("name", ["", "a:b", "a:1"])
    def test_wrong_unix_socket(self, name: str) -> None:
        """[URI-7]"""
        with pytest.raises(PyroError, match=r"^invalid uri \(location\)$"):
            URI(f"PYRO:obj@./u:{name}")

    @pytest.mark.parametrize("host", ["::1", "fe80::1%1", "fe80::1%eth0.5", "2001:DB8::a", "::", "::ffff:1.2.3.4"])
    def test_ipv6(self, host: str) -> None:
        """[URI-8]"""
        uri = URI(f"PYRO:obj@[{host}]:5")
        assert (uri.host, uri.port) == (host, 5)
        assert uri.location == f"[{host}]:5"
        assert URI(str(uri)) == uri

    @pytest.mark.parametrize("location", ["[xyz]:5", "[::1", "[]:5", "[1.2.3.4]:5", "[host]:5", "[::1%]:5", "[ ::1]:5"])
    def test_wrong_ipv6(self, location: str) -> None:
        """[URI-8]"""
        with pytest.raises(PyroError) as caught:
            URI(f"PYRO:obj@{location}")
        assert str(caught.value) == IPV6_ERROR

    def test_too_many_brackets(self) -> None:
        """[URI-8]"""
        with pytest.raises(PyroError, match=r"^invalid ipv6 address: enclosed in too many brackets$"):
            URI("PYRO:obj@[[::1]]:5")

    @pytest.mark.parametrize("location", ["[::1]:5junk", "[::1]5", "[::1]x:5", "[::1]]:5"])
    @pytest.mark.parametrize("scheme", ["PYRO", "PYRONAME"])
    def test_text_behind_ipv6(self, scheme: str, location: str) -> None:
        """[URI-8]"""
        with pytest.raises(PyroError, match=r"^invalid port in uri, port="):
            URI(f"{scheme}:obj@{location}")

    @pytest.mark.parametrize(
        ("location", "text"),
        [("h", "None"), ("h:", "None"), ("h:x", "x"), ("h:1.5", "1.5"), ("h:1@x", "1@x"), ("[::1]", "None")],
    )
    def test_wrong_port(self, location: str, text: str) -> None:
        """[URI-9]"""
        with pytest.raises(PyroError) as caught:
            URI(f"PYRO:obj@{location}")
        assert str(caught.value) == f"invalid port in uri, port={text}"

    @pytest.mark.parametrize(("text", "port"), [("-1", -1), ("99999", 99999), ("1 ", 1), (" 1", 1), ("1\n", 1)])
    def test_odd_ports(self, text: str, port: int) -> None:
        """[URI-9]: the range is not checked, blanks around are tolerated."""
        assert URI(f"PYRO:obj@h:{text}").port == port
        with pytest.raises(PyroError, match=r"^invalid port in uri, port=x$"):
            URI("PYRONAME:obj@h:x")


class TestText:
    def test_location(self) -> None:
        """[URI-10]"""
        assert URI("PYRO:a@h:1").location == "h:1"
        assert URI("PYRO:a@[::1]:1").location == "[::1]:1"
        assert URI("PYRO:a@./u:sock").location == "./u:sock"
        assert URI("PYRONAME:a").location is None
        with pytest.raises(AttributeError):
            URI("PYRONAME:a").location = "h:1"  # type: ignore[misc]

    def test_location_follows_the_fields(self) -> None:
        """[URI-6], [URI-10]"""
        uri = URI("PYRO:a@h:1")
        uri.host, uri.port = "::1", 2
        assert uri.location == "[::1]:2"
        uri.host, uri.sockname = None, "s"
        assert uri.location == "./u:s"
        uri.protocol, uri.object = "PYRONAME", "b"
        assert str(uri) == "PYRONAME:b@./u:s"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("pyro:a@h:1 ", "PYRO:a@h:1"),
            ("PYRONAME:a@h", "PYRONAME:a@h:4321"),
            ("PYRONAME:a", "PYRONAME:a"),
            ("PYRO:a@./u:sock", "PYRO:a@./u:sock"),
            ("PYROMETA:c,a,b@h:1", "PYROMETA:a,b,c@h:1"),
        ],
    )
    def test_text(self, text: str, expected: str) -> None:
        """[URI-11]"""
        uri = URI(text)
        assert str(uri) == uri.asString() == expected
        assert URI(str(uri)) == uri

    def test_repr(self) -> None:
        """[URI-12], [OV-6]"""
        uri = URI("PYRO:a@h:1")
        assert repr(uri) == f"<pyrolite.core.URI at 0x{id(uri):x}; PYRO:a@h:1>"

    def test_unix_socket_location(self) -> None:
        """[URI-15]"""
        assert URI.isUnixsockLocation("./u:name")
        assert URI.isUnixsockLocation("./u:")
        assert not URI.isUnixsockLocation("h:1")
        assert not URI.isUnixsockLocation("/u:name")

    def test_regular_expression(self) -> None:
        """[URI-16]"""
        match = URI.uriRegEx.match("PyroName:obj@location")
        assert match is not None
        assert match.groupdict() == {"protocol": "PyroName", "object": "obj", "location": "location"}

    def test_bracketed(self) -> None:
        """[RES-16]"""
        assert [bracketed(host) for host in ("h", "::1", "[::1]")] == ["h", "[::1]", "[::1]"]


class TestIdentity:
    def test_equality(self) -> None:
        """[URI-13]"""
        assert URI("PYRO:a@h:1") == URI("pyro:a@h:1")
        assert hash(URI("PYRO:a@h:1")) == hash(URI("pyro:a@h:1"))
        assert URI("PYROMETA:a,b") == URI("PYROMETA:b,a")
        assert hash(URI("PYROMETA:a,b")) == hash(URI("PYROMETA:b,a"))
        assert (URI("PYRO:a@h:1") == "PYRO:a@h:1") is False
        assert URI("PYRO:a@h:1") != "PYRO:a@h:1"
        assert URI("PYRO:a@h:1") != None  # noqa: E711

    @pytest.mark.parametrize("field", ["protocol", "object", "host", "port", "sockname"])
    def test_every_field_counts(self, field: str) -> None:
        """[URI-13]: and the hash changes with it."""
        uri, other = URI("PYRO:a@h:1"), URI("PYRO:a@h:1")
        before = hash(other)
        setattr(other, field, "changed")
        assert uri != other
        assert hash(other) != before

    @pytest.mark.parametrize("text", ["PYRO:a@h:1", "PYRO:a@./u:s", "PYRONAME:n", "PYROMETA:a,b@h:1"])
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_copies(self, text: str, protocol: int) -> None:
        """[URI-14]"""
        uri = URI(text)
        for twin in (copy.copy(uri), copy.deepcopy(uri), pickle.loads(pickle.dumps(uri, protocol))):
            assert twin == uri
            assert twin is not uri
            if isinstance(uri.object, set):
                assert twin.object is not uri.object

    def test_state(self) -> None:
        """[URI-14]"""
        assert URI("PYRO:a@h:1").__getstate__() == ("PYRO", "a", None, "h", 1)
        assert URI("PYRO:a@./u:s").__getstate__() == ("PYRO", "a", "s", None, None)

    @pytest.mark.parametrize("tags", [["a", "b"], ("a", "b"), {"a", "b"}, frozenset({"a", "b"})])
    def test_state_with_tags_of_any_kind(self, tags: Any) -> None:
        """[URI-14]"""
        uri = URI("PYRO:a@h:1")
        uri.__setstate__(("PYROMETA", tags, None, None, None))
        assert uri.object == {"a", "b"}
        assert type(uri.object) is set

    @pytest.mark.parametrize("name", ["serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill"])
    @pytest.mark.parametrize("text", ["PYRO:a@h:1", "PYRONAME:n", "PYROMETA:b,a"])
    def test_serializers(self, name: str, text: str) -> None:
        """[URI-14], [SER-40]"""
        serializer = get_serializer(name)
        encoded = serializer.dumps(URI(text))
        assert b"Pyro4.core" in encoded
        received = serializer.loads(encoded)
        assert received == URI(text)
        assert type(received.object) is type(URI(text).object)

    def test_subclass(self) -> None:
        """[URI-14]"""

        class Special(URI):
            def __init__(self, one: str, other: str) -> None:
                super().__init__(f"PYRO:{one}@{other}:1")

        special = Special("a", "b")
        twin = copy.copy(special)
        assert type(twin) is Special
        assert twin == special == URI("PYRO:a@b:1")
        assert isinstance(core.URI(special), URI)
