"""Flame without a network: source code, and who may start it."""

from __future__ import annotations

import copy
import io
import pickle
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pyrolite.core import URI, Proxy
from pyrolite.errors import SecurityError, SerializeError
from pyrolite.serializers import _serializers, get_serializer
from pyrolite.utils import flame
from pyrolite.utils.flameconsole import captured_output


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """Modules that a test makes are removed."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("flame_test"):
            del sys.modules[name]


def test_lines_of_source() -> None:
    """[FLM-6] Line ends of all systems, and blanks at the end."""
    assert flame.fixExecSourceNewlines("a=1\r\nb=2\rc=3  \n\n") == "a=1\nb=2\nc=3\n"
    names: dict[str, Any] = {}
    flame.exec_function("if True:\r\n  x = 5\r\n   ", "<here>", names)
    assert names["x"] == 5
    with pytest.raises(SyntaxError) as error:
        flame.exec_function("x =", "<here>", names)
    assert error.value.filename == "<here>"


def test_create_module() -> None:
    """[FLM-6]"""
    module = flame.createModule("flame_test_a", "x = 1\ndef f():\n    return x")
    assert sys.modules["flame_test_a"] is module
    assert module.__file__ == "<dynamic-module>"
    assert module.f() == 1
    again = flame.createModule("flame_test_a", "x = 2", "<other>")
    assert again is module
    assert module.f() == 2


def test_create_dotted_module() -> None:
    """[FLM-6] Missing parents are made, the namespace gets the top."""
    names: dict[str, Any] = {}
    module = flame.createModule("flame_test_b.c.d", "y = 3", "<f>", names)
    assert list(names) == ["flame_test_b"]
    assert names["flame_test_b"].c.d is module is sys.modules["flame_test_b.c.d"]
    sibling = flame.createModule("flame_test_b.c.e", "from flame_test_b.c.d import y")
    assert sibling.y == 3
    assert names["flame_test_b"].c.d is module
    with pytest.raises(ZeroDivisionError):
        flame.createModule("flame_test_b.f", "1/0")


@pytest.mark.usefixtures("pyro_config")
@pytest.mark.parametrize("accepted", [{"serpent"}, {"pickle", "serpent"}, set(), {"dill"}])
def test_object_requires_pickle(accepted: set[str]) -> None:
    """[FLM-2]"""
    from pyrolite.configuration import config

    config.SERIALIZERS_ACCEPTED = accepted
    with pytest.raises(RuntimeError, match="^flame requires the pickle serializer exclusively$"):
        flame.Flame()
    config.SERIALIZERS_ACCEPTED = {"pickle"}
    flame.Flame()


def fake_daemon(address: tuple[Any, ...], family: int, key: bytes | None, **items: Any) -> Any:
    from pyrolite.configuration import config

    values: dict[str, Any] = {"FLAME_ENABLED": True, "SERIALIZERS_ACCEPTED": {"pickle"}, **items}
    return SimpleNamespace(
        _pyroConfig=config.copy(**values),
        _pyroHmacKey=key,
        sock=SimpleNamespace(family=family, getsockname=lambda: address),
        locationStr="somewhere",
        register=lambda thing, name: URI(f"PYRO:{name}@localhost:1"),
    )


@pytest.mark.parametrize(
    ("address", "family"),
    [(("0.0.0.0", 1), 2), (("192.0.2.1", 1), 2), (("::", 1, 0, 0), 10), (("fe80::1%eth0", 1, 0, 2), 10)],
)
def test_networks_need_a_key(address: Any, family: int) -> None:
    """[FLM-8] [SEC-61] Control of the process is not given to everybody on the network."""
    with pytest.raises(SecurityError, match="bind the daemon to localhost or a Unix domain socket, or set an HMAC"):
        flame.start(fake_daemon(address, family, None))
    with pytest.raises(SecurityError):
        flame.start(fake_daemon(address, family, None, SSL_REQUIRECLIENTCERT=True))  # of no effect without SSL
    assert flame.start(fake_daemon(address, family, b"key")).object == "Pyro.Flame"
    assert flame.start(fake_daemon(address, family, None, SSL=True, SSL_REQUIRECLIENTCERT=True)).object == "Pyro.Flame"


@pytest.mark.parametrize(("address", "family"), [(("127.0.0.5", 1), 2), (("::1", 1, 0, 0), 10), ("/run/x", 1)])
def test_this_machine_needs_none(address: Any, family: int) -> None:
    """[FLM-8]"""
    assert flame.start(fake_daemon(address, family, None)).object == "Pyro.Flame"


@pytest.mark.parametrize(
    ("items", "error", "text"),
    [
        ({"FLAME_ENABLED": False}, SecurityError, "Flame is disabled in the server configuration"),
        (
            {"SERIALIZERS_ACCEPTED": {"pickle", "json"}},
            SerializeError,
            "Flame requires the pickle serializer exclusively",
        ),
        ({"SERIALIZERS_ACCEPTED": {"serpent"}}, SerializeError, "Flame requires the pickle serializer exclusively"),
    ],
)
def test_disabled_by_default(items: Any, error: type[Exception], text: str) -> None:
    """[FLM-2] [FLM-8] [SEC-61]"""
    with pytest.raises(error) as raised:
        flame.start(fake_daemon(("127.0.0.1", 1), 2, b"key", **items))
    assert str(raised.value) == text


@pytest.mark.usefixtures("pyro_config")
def test_connect_requires_pickle() -> None:
    """[FLM-3]"""
    with pytest.raises(SerializeError, match="^Flame requires the pickle serializer$"):
        flame.connect("localhost:1")


def test_texts() -> None:
    """[FLM-5] [FLM-7]"""
    proxy = Proxy("PYRO:Pyro.Flame@localhost:55")
    assert repr(flame.FlameModule(proxy, "os.path")).startswith("<pyrolite.utils.flame.FlameModule at 0x")
    assert repr(flame.FlameModule(proxy, "os.path")).endswith("; module 'os.path' at localhost:55>")
    assert repr(flame.FlameBuiltin(proxy, "max")).endswith("; builtin 'max' at localhost:55>")
    assert repr(flame.RemoteInteractiveConsole(proxy)).endswith("; for localhost:55>")
    assert repr(flame.FlameModule(proxy, "os").path.join).startswith("<os.path.join of <")


def test_pickled_form() -> None:
    """[FLM-5] [SER-45] The classes have their names of Pyro4, and come back as what they were."""
    proxy = Proxy("PYRO:Pyro.Flame@localhost:55")
    pickler = get_serializer("pickle")
    for thing in (
        flame.FlameModule(proxy, "os"),
        flame.FlameBuiltin(proxy, "max"),
        flame.RemoteInteractiveConsole(proxy),
    ):
        data = pickler.dumps(thing)
        assert b"pyrolite" not in data
        assert b"Pyro4.utils.flame" in data
        back = pickler.loads(data)
        assert type(back) is type(thing)
        assert vars(back) == vars(thing)
    assert vars(copy.copy(flame.FlameModule(proxy, "os")))["module"] == "os"
    assert type(pickle.loads(pickle.dumps(flame._FlameProxy("PYRO:a@h:1")))) is Proxy


@pytest.mark.parametrize("name", sorted({"serpent", "json", "marshal", "msgpack"} & set(_serializers)))
def test_only_pickled(name: str) -> None:
    """[FLM-8] Other serializers make none of these objects."""
    serializer = get_serializer(name)
    with pytest.raises(SerializeError, match="Flame requires the pickle serializer"):
        serializer.dumps(flame.FlameModule(Proxy("PYRO:Pyro.Flame@localhost:55"), "os"))
    data = serializer.dumps({"__class__": "Pyro4.utils.flame.FlameModule", "module": "os"})
    with pytest.raises(SecurityError):
        serializer.loads(data)


def test_output_of_one_thread() -> None:
    """[FLM-7] What the console's code prints goes to its client, what others print does not."""
    before = sys.stdout
    target, inner = io.StringIO(), io.StringIO()
    printed: list[str] = []

    class Screen(io.StringIO):
        def write(self, text: str) -> int:
            printed.append(text)
            return len(text)

    sys.stdout = screen = Screen()
    try:
        with captured_output(target):
            thread = threading.Thread(target=lambda: print("elsewhere"))
            thread.start()
            thread.join()
            print("here")
            with captured_output(inner):
                print("inside")
                assert not sys.stdout.isatty()
            sys.stderr.write("error\n")
        assert sys.stdout is screen
        print("after")
    finally:
        sys.stdout = before
    assert target.getvalue() == "here\nerror\n"
    assert inner.getvalue() == "inside\n"
    assert "".join(printed) == "elsewhere\nafter\n"
