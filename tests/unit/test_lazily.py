"""Modules and values that are loaded when they are used ([BYD-60])."""

from __future__ import annotations

import re
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

import pyrolite
from pyrolite import lazily

#: What is loaded by use only.
LATE = """ast dataclasses datetime decimal dis hashlib hmac inspect numbers pathlib pickle queue random ssl tempfile
urllib uuid serpent pyrolite.core.daemon pyrolite.core.dispatch pyrolite.socketserver pyrolite.naming
pyrolite.testing""".split()


class TestModule:
    @pytest.fixture
    def name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The name of a module that has not been loaded yet."""
        tmp_path.joinpath("lazy_example.py").write_text("import time\ntime.sleep(0.05)\nanswer = 42\nloaded = []\n")
        monkeypatch.syspath_prepend(tmp_path)
        yield "lazy_example"
        sys.modules.pop("lazy_example", None)

    def test_is_loaded_when_it_is_used(self, name: str) -> None:
        room: dict[str, Any] = {}
        stand_in = room[name] = lazily.module(name, room)
        assert name in repr(stand_in)
        assert name not in sys.modules
        assert room[name].answer == 42
        assert room[name] is sys.modules[name]
        assert stand_in.answer == 42  # for somebody who has kept it

    def test_other_variable(self, name: str) -> None:
        room: dict[str, Any] = {}
        room["other"] = lazily.module(name, room, "other")
        assert room["other"].answer == 42
        assert list(room) == ["other"]
        assert room["other"] is sys.modules[name]

    def test_errors(self, name: str) -> None:
        room: dict[str, Any] = {}
        room[name] = lazily.module(name, room)
        with pytest.raises(AttributeError, match="no attribute 'question'"):
            room[name].question
        room["missing"] = lazily.module("lazy_example_missing", room, "missing")
        for _ in range(2):  # it may be there later
            with pytest.raises(ModuleNotFoundError, match="lazy_example_missing"):
                room["missing"].answer

    def test_first_use_in_several_threads(self, name: str) -> None:
        """All wait until the module is complete, and it is loaded once."""
        room: dict[str, Any] = {}
        room[name] = lazily.module(name, room)
        start = threading.Barrier(8)
        found: list[Any] = []

        def use() -> None:
            start.wait(10)
            found.append((room[name].answer, room[name].loaded))

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert [answer for answer, _ in found] == [42] * 8
        assert len({id(loaded) for _, loaded in found}) == 1


class TestValue:
    def test_called(self) -> None:
        made: list[int] = []
        room: dict[str, Any] = {}

        def make() -> Any:
            made.append(1)
            return re.compile("a+").fullmatch

        kept = room["match"] = lazily.value("match", room, make)
        assert made == []
        assert room["match"]("aa")
        assert isinstance(room["match"], types.BuiltinMethodType)
        assert not kept("b")
        assert made == [1]

    def test_attributes(self) -> None:
        room: dict[str, Any] = {}
        room["pattern"] = lazily.value("pattern", room, lambda: re.compile("a+"))
        assert room["pattern"].sub("b", "aa") == "b"
        assert isinstance(room["pattern"], re.Pattern)


class TestNames:
    def test_found_once(self) -> None:
        room: dict[str, Any] = {"__name__": "example", "here": 1}
        find, listing = lazily.names(room, {"JSONDecoder": "json.decoder"})
        assert listing() == ["JSONDecoder", "__name__", "here"]
        assert find("JSONDecoder") is sys.modules["json.decoder"].JSONDecoder
        assert room["JSONDecoder"] is find("JSONDecoder")
        with pytest.raises(AttributeError, match="module 'example' has no attribute 'other'"):
            find("other")


class TestLibrary:
    def test_import_loads_little(self, run_python: Any) -> None:
        code = (
            f"import sys; old = set(sys.modules); import pyrolite; print(*({set(LATE)!r} & (set(sys.modules) - old)))"
        )
        done = run_python(code, options=("-W", "error"))
        assert (done.stdout.split(), done.stderr) == ([], "")

    def test_names_that_come_late(self, run_python: Any) -> None:
        """Loading the server half, whose modules become attributes of the package, replaces no public name."""
        code = (
            "import pyrolite, pyrolite.core\n"
            "before = {name: getattr(pyrolite.core, name) for name in vars(pyrolite.core).copy()}\n"
            "assert {'Daemon', 'DaemonObject', 'pyroObjectToAutoProxy'} <= set(dir(pyrolite.core)) - set(before)\n"
            "assert 'Daemon' in dir(pyrolite) and 'Daemon' not in vars(pyrolite)\n"
            "from pyrolite import Daemon\n"
            "from pyrolite.core import DaemonObject, pyroObjectToAutoProxy\n"
            "assert Daemon is pyrolite.Daemon is pyrolite.core.Daemon is vars(pyrolite)['Daemon']\n"
            "assert DaemonObject is pyrolite.core.DaemonObject\n"
            "after = {name: value for name, value in before.items() if vars(pyrolite.core)[name] is not value}\n"
            "print(after)\n"
        )
        done = run_python(code, options=("-W", "error"))
        assert (done.stdout, done.stderr) == ("{}\n", "")

    def test_a_daemon_that_comes_before_any_of_this_process(self, run_python: Any) -> None:
        """[SER-40] Its class is known by name."""
        code = (
            "import sys, pyrolite\n"
            "read = pyrolite.util.get_serializer('json').loads\n"
            "assert 'pyrolite.core.daemon' not in sys.modules\n"
            'daemon = read(b\'{"__class__": "Pyro4.core.Daemon", "state": []}\')\n'
            "print(type(daemon) is pyrolite.Daemon, 'unusable' in repr(daemon))\n"
        )
        done = run_python(code, options=("-W", "error"))
        assert (done.stdout, done.stderr) == ("True True\n", "")

    @pytest.mark.parametrize("name", ["serpent", "json", "marshal", "msgpack", "pickle"])
    def test_values_of_modules_that_come_later(self, run_python: Any, name: str) -> None:
        """[SER-16] They are recognised all the same, also when the same serializer has worked without them before."""
        code = (
            "import sys, pyrolite\n"
            f"serializer = pyrolite.util.get_serializer({name!r})\n"
            "serializer.dumps([1, {'a': 'b'}])\n"
            "import datetime, decimal, uuid, enum\n"
            "class Sub(decimal.Decimal): pass\n"
            "data = [datetime.date(2020, 1, 2), datetime.timedelta(0, 5), decimal.Decimal('1.5'), Sub('2.5')]\n"
            "data.append(uuid.UUID(int=1))\n"
            "print(*map(str, serializer.loads(serializer.dumps(data))))\n"
        )
        done = run_python(code, options=("-W", "error"))
        seconds = "0:00:05" if name == "pickle" else "5.0"  # pickled, they arrive as what they are
        expected = f"2020-01-02 {seconds} 1.5 2.5 00000000-0000-0000-0000-000000000001\n"
        assert (done.stdout, done.stderr) == (expected, "")

    def test_a_class_that_has_the_name_only(self) -> None:
        """Who calls a class datetime.date gets no date."""
        pretender = type("date", (), {"__module__": "datetime", "__slots__": ()})
        assert pyrolite.util.get_serializer("json").dumps(pretender()) == b'{"__class__": "datetime.date"}'

    def test_tls_without_the_ssl_module(self, run_python: Any) -> None:
        """[BYD-60] Sockets and errors are told apart before and after the module is loaded."""
        code = (
            "import socket, sys\n"
            "from pyrolite.net import tlssockets as tls\n"
            "a, b = socket.socketpair()\n"
            "with a, b:\n"
            "    print(tls.is_tls(a), tls.is_tls_error(OSError()), tls.wants_reading(OSError()), tls.would_block())\n"
            "    assert 'ssl' not in sys.modules\n"
            "    import ssl\n"
            "    context = ssl.create_default_context()\n"
            "    wrapped = context.wrap_socket(a, server_hostname='x', do_handshake_on_connect=False)\n"
            "    print(tls.is_tls(wrapped), tls.is_tls(b), tls.is_tls_error(ssl.SSLError()))\n"
            "    print(tls.wants_reading(ssl.SSLWantReadError()), tls.wants_writing(ssl.SSLWantReadError()))\n"
            "    print(len(tls.would_block()), tls.wants_writing(ssl.SSLWantWriteError()))\n"
            "    wrapped.close()\n"
        )
        done = run_python(code, options=("-W", "error"))
        assert done.stderr == ""
        assert done.stdout.splitlines() == [
            "False False False (<class 'BlockingIOError'>,)",
            "True False True",
            "True False",
            "3 True",
        ]

    def test_server_half_first_used_by_several_threads(self, run_python: Any) -> None:
        code = (
            "import threading, pyrolite\n"
            "start = threading.Barrier(6)\n"
            "found = []\n"
            "def use():\n"
            "    start.wait(10)\n"
            "    with pyrolite.Daemon() as daemon:\n"
            "        daemon.register(pyrolite.expose(type('A', (), {'b': lambda self: 1})))\n"
            "        found.append(type(daemon))\n"
            "threads = [threading.Thread(target=use) for _ in range(6)]\n"
            "for thread in threads: thread.start()\n"
            "for thread in threads: thread.join(20)\n"
            "print(len(found), set(found) == {pyrolite.Daemon})\n"
        )
        done = run_python(code, options=("-W", "error"))
        assert (done.stdout, done.stderr) == ("6 True\n", "")
