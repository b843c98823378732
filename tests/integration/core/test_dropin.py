"""Programs for Pyro4, run on pyrolite: the alias of the package, and subclasses as programs have them (chapter 00)."""

from __future__ import annotations

import copy
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import pyrolite
from pyrolite.core import current_context

# ---- the alias


ALIAS = """
    import sys
    import pyrolite
    pyrolite.install_as_Pyro4()
    pyrolite.install_as_Pyro4()
    import Pyro4
    import Pyro4.core, Pyro4.naming, Pyro4.errors, Pyro4.util, Pyro4.message, Pyro4.futures, Pyro4.socketutil
    import Pyro4.configuration, Pyro4.constants, Pyro4.naming_storage, Pyro4.nsc
    import Pyro4.socketserver.threadpoolserver, Pyro4.socketserver.multiplexserver, Pyro4.test.echoserver
    from Pyro4.core import *
    from Pyro4 import expose, Daemon as D
    import Pyro4.socketserver.threadpool as pool
    assert Pyro4 is pyrolite
    assert D is Daemon is pyrolite.Daemon
    for name, module in list(sys.modules.items()):
        if name == "Pyro4" or name.startswith("Pyro4."):
            assert module is sys.modules["pyrolite" + name[5:]], name
    assert Pyro4.errors.NamingError is pyrolite.errors.NamingError
    assert Pyro4.socketserver.threadpool.Pool is pool.Pool
    try:
        import Pyro4.nonsense
    except ModuleNotFoundError as error:
        assert error.name == "Pyro4.nonsense", error.name
    else:
        raise SystemExit("found")
    import importlib
    assert importlib.import_module("Pyro4.util") is pyrolite.util
    print("fine")
"""


def test_alias(run_python: Any) -> None:
    """[OV-7], [OV-4]: the very modules, sub packages too."""
    done = run_python(ALIAS, options=("-W", "error"))
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


def test_alias_comes_too_late(run_python: Any, tmp_path: Path) -> None:
    """[OV-7]: not beside the real one."""
    (tmp_path / "Pyro4.py").write_text("")
    code = """
        import sys
        sys.path.insert(0, ".")
        import Pyro4, pyrolite
        try:
            pyrolite.install_as_Pyro4()
        except RuntimeError as error:
            print(error)
        assert Pyro4 is not pyrolite
    """
    done = run_python(code)
    assert done.stdout.startswith("Pyro4 has been imported in this process already")
    assert done.stderr == ""


def test_alias_never_runs_by_itself(run_python: Any) -> None:
    """[OV-7]"""
    done = run_python("import pyrolite, sys; print('Pyro4' in sys.modules)")
    assert done.stdout == "False\n"


PROGRAM = """
import sys
import threading
import Pyro4
from Pyro4 import naming
from Pyro4.errors import CommunicationError
import helper

Pyro4.config.SERVERTYPE = sys.argv[1]
sys.excepthook = Pyro4.util.excepthook

@Pyro4.expose
@Pyro4.behavior(instance_mode="single")
class Warehouse(object):
    def __init__(self):
        self.contents = ["chair"]

    def list_contents(self):
        return self.contents

    @Pyro4.oneway
    def take(self, name, item):
        self.contents.remove(item)

    @property
    def size(self):
        return len(self.contents)

daemon = Pyro4.Daemon(host="127.0.0.1")
uri = daemon.register(Warehouse, "example.warehouse")
assert repr(uri).startswith("<pyrolite.core.URI at ")
thread = threading.Thread(target=daemon.requestLoop)
thread.daemon = True
thread.start()

with Pyro4.Proxy(uri) as warehouse:
    assert warehouse.list_contents() == ["chair"]
    assert warehouse.size == 1
    batch = Pyro4.batch(warehouse)
    batch.list_contents()
    assert list(batch()) == [["chair"]]
    Pyro4.asyncproxy(warehouse)
    assert warehouse.list_contents().value == ["chair"]
try:
    Pyro4.Proxy("PYRO:x@127.0.0.1:1")._pyroBind()
except CommunicationError as x:
    print(type(x).__name__, helper.VALUE, sys.argv[1:], __name__)
daemon.shutdown()
"""


@pytest.mark.parametrize("way", ["script", "module"])
def test_unmodified_program(servertype: str, way: str, tmp_path: Path, run_python: Any) -> None:
    """[BYD-32], [OV-4]: ``python -m pyrolite.compat``."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "helper.py").write_text("VALUE = 42\n")
    code = "import runpy, sys; runpy.run_module('pyrolite.compat', run_name='__main__', alter_sys=True)"
    arguments = ["program.py"] if way == "script" else ["-m", "program"]
    done = run_python(code, *arguments, servertype, "--more")
    assert done.stderr == ""
    assert done.stdout == f"CommunicationError 42 ['{servertype}', '--more'] __main__\n"


def test_usage(run_python: Any) -> None:
    """[BYD-32]"""
    code = "from pyrolite.compat import main; main(['--help'])"
    done = run_python(code)
    assert "python -m pyrolite.compat" in done.stdout
    assert run_python("from pyrolite.compat import main; main([])").returncode == 2


def test_words_replaced(servertype: str, tmp_path: Path, run_python: Any) -> None:
    """[OV-4]: the same program with the one word replaced."""
    (tmp_path / "helper.py").write_text("VALUE = 42\n")
    code = "import sys; sys.path.insert(0, '.')\n" + PROGRAM.replace("Pyro4", "pyrolite")
    done = run_python(code, servertype)
    assert (done.stdout, done.stderr) == (f"CommunicationError 42 ['{servertype}'] __main__\n", "")


# ---- subclasses as programs have them


@pyrolite.expose
class Thing:
    def __init__(self) -> None:
        self._size = 1

    def echo(self, value: Any) -> Any:
        return value

    def caller(self) -> list[str]:
        return sorted(current_context.annotations)

    @property
    def size(self) -> int:
        return self._size

    @size.setter
    def size(self, value: int) -> None:
        self._size = value


class LoggingProxy(pyrolite.Proxy):
    """Writes down every call."""

    def __init__(self, uri: Any, log: list[str] | None = None) -> None:
        super().__init__(uri)
        self.__dict__["_log"] = [] if log is None else log

    def _pyroInvoke(self, methodname: str, vargs: Any, kwargs: Any, flags: int = 0, objectId: str | None = None) -> Any:
        self._log.append(methodname)
        return super()._pyroInvoke(methodname, vargs, kwargs, flags, objectId)


def test_logging_proxy(start: Any, connect: Any) -> None:
    """[OV-40], [OV-41]: every remote operation goes through `_pyroInvoke`."""
    proxy = connect(start({"thing": Thing()}).uris["thing"], LoggingProxy)
    assert proxy.echo(1) == 1
    assert proxy.size == 1
    proxy.size = 2
    batch = pyrolite.batch(proxy)
    batch.echo(3)
    assert list(batch()) == [3]
    proxy._pyroMethods = set()
    proxy._pyroAttrs = set()
    assert proxy.echo(4) == 4
    assert proxy._log == ["echo", "__getattr__", "__setattr__", "<batch>", "get_metadata", "echo"]
    with copy.copy(proxy) as other:
        assert other.echo(5) == 5
        assert other._log == ["echo"]


class CachingProxy(pyrolite.Proxy):
    """Has attributes of its own beside the remote ones."""

    _own = frozenset(["label"])

    def __getattr__(self, name: str) -> Any:
        if name in CachingProxy._own:
            return self.__dict__.get("_label", "none")
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in CachingProxy._own:
            self.__dict__["_label"] = value
        else:
            super().__setattr__(name, value)

    @property
    def doubled(self) -> int:
        size: int = self.size
        return 2 * size


def test_caching_proxy(start: Any, connect: Any) -> None:
    """[OV-41], [PRX-6]"""
    proxy = connect(start({"thing": Thing()}).uris["thing"], CachingProxy)
    assert proxy.label == "none"
    proxy.label = "mine"
    proxy.size = 5
    assert (proxy.label, proxy.size, proxy.doubled, proxy.echo(2)) == ("mine", 5, 10, 2)
    with pytest.raises(AttributeError):
        proxy.unknown


class EagerProxy(pyrolite.Proxy):
    """Works in its constructor, and is asynchronous."""

    def __init__(self, uri: Any) -> None:
        pyrolite.Proxy.__init__(self, uri)
        self._pyroTimeout = 5
        self._pyroHandshake = "custom"
        self._pyroAsync()
        self._pyroBind()


def test_eager_proxy(start: Any, connect: Any) -> None:
    """[OV-41], [ASY-1]"""
    proxy = connect(start({"thing": Thing()}).uris["thing"], EagerProxy)
    assert proxy._pyroConnection is not None
    assert proxy.echo(3).value == 3


def test_hand_made_metadata(start: Any, connect: Any) -> None:
    """[PRX-24], [PRX-28]: `_pyroMethods.add(...)` and `_pyroOneway.add(...)`."""
    proxy = connect(start({"thing": Thing()}).uris["thing"])
    proxy._pyroBind()  # connecting replaces what is there
    proxy._pyroMethods.add("invented")
    with pytest.raises(AttributeError, match="(?m)^'Thing' object has no attribute 'invented'$"):
        proxy.invented()
    proxy._pyroOneway.add("invented")
    assert proxy.invented() is None
    assert proxy.echo(1) == 1


class Service(pyrolite.Daemon):
    """A daemon with everything overridden."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.log: list[str] = []
        super().__init__(*args, **options)

    def annotations(self) -> dict[str, Any]:
        return {**super().annotations(), "SERV": b"1"}

    def validateHandshake(self, conn: Any, data: Any) -> Any:
        self.log.append(f"handshake {data}")
        return super().validateHandshake(conn, data)

    def clientDisconnect(self, conn: Any) -> None:
        self.log.append("disconnect")
        return super().clientDisconnect(conn)

    def handleRequest(self, conn: Any) -> None:
        self.log.append("request")
        super().handleRequest(conn)

    def requestLoop(self, loopCondition: Any = lambda: True) -> None:
        self.log.append("loop")
        super().requestLoop(loopCondition)

    def close(self) -> None:
        self.log.append("close")
        super().close()


def test_overridden_daemon(start: Any, connect: Any, eventually: Any) -> None:
    """[OV-40]: all of them are called."""
    running = start({"thing": Thing()}, daemon_class=Service)
    proxy = connect(running.uris["thing"])
    assert proxy.echo(1) == 1
    assert bytes(current_context.response_annotations["SERV"]) == b"1"
    proxy._pyroRelease()
    log = running.daemon.log
    eventually(lambda: "disconnect" in log)
    assert log[:3] == ["loop", "handshake hello", "request"]
    with running.daemon:
        pass
    assert log.count("close") == 1


class Selective(pyrolite.core.DaemonObject):
    """A daemon interface whose metadata depends on who asks, as gateways have it."""

    @pyrolite.expose
    def get_metadata(self, objectId: str, as_lists: bool = False) -> Any:
        metadata = super().get_metadata(objectId, as_lists)
        metadata = {key: list(names) for key, names in metadata.items()}
        metadata["methods"] = [name for name in metadata["methods"] if name != "caller"]
        return metadata


def test_interface_class(servertype: str, connect: Any) -> None:
    """[DMN-9]: its metadata is what clients get in the handshake."""
    config = pyrolite.config.copy(SERVERTYPE=servertype)
    with pyrolite.Daemon(host="127.0.0.1", interface=Selective, config=config) as daemon:
        proxy = connect(daemon.register(Thing(), "thing"))
        thread = threading.Thread(target=daemon.requestLoop)
        thread.start()
        assert proxy.echo(1) == 1
        assert not hasattr(proxy, "caller")
        daemon.shutdown()
        thread.join(10)


def test_old_style_programs(start: Any, connect: Any) -> None:
    """[OV-4]: what one finds in programs: ``Pyro4.core.Daemon``, keyword arguments by Pyro4's names, list settings."""
    running = start({"thing": Thing()}, SERIALIZERS_ACCEPTED=["serpent", "json"])
    daemon = running.daemon
    other = Thing()
    uri = daemon.register(obj_or_class=other, objectId="other", force=True)
    assert daemon.uriFor(objectOrId=other, nat=False) == uri
    proxy = connect(pyrolite.core.URI(uri=str(uri)))
    assert proxy.echo(value=1) == 1
    daemon.unregister(objectOrId="other")
    assert re.fullmatch(r"[0-9.]+.*", pyrolite.__version__)


def test_subclassed_uri() -> None:
    """[URI-14], [OV-14]"""

    class Location(pyrolite.URI):
        pass

    uri = Location("PYRO:x@h:1")
    assert uri == pyrolite.URI("PYRO:x@h:1")
    assert pyrolite.Proxy(uri)._pyroUri is uri


# ---- forking


FORKED = """
    import os, sys
    import pyrolite
    from pyrolite.testing import running_daemon

    @pyrolite.expose
    class Thing:
        def pid(self):
            return os.getpid()

    with running_daemon({"thing": Thing()}, servertype=sys.argv[1]) as running:
        with pyrolite.Proxy(running.uris["thing"]) as proxy:
            assert proxy.pid() == os.getpid()
            proxy._pyroLock.acquire()
            child = os.fork()
            if child == 0:
                # neither the lock nor the connection of the parent matter here
                assert proxy.pid() == os.getppid()
                with running_daemon({"other": Thing()}, servertype=sys.argv[1]) as mine:
                    with pyrolite.Proxy(mine.uris["other"]) as own:
                        assert own.pid() == os.getpid()
                proxy._pyroRelease()
                os._exit(0)
            proxy._pyroLock.release()
            assert os.waitpid(child, 0)[1] == 0
            assert proxy.pid() == os.getpid()
    print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork(run_python: Any, servertype: str) -> None:
    """[OV-44], [HRD-33], [BYD-37]"""
    ignore = ("-W", "ignore::DeprecationWarning") if sys.version_info >= (3, 12) else ()
    done = run_python(FORKED, servertype, options=ignore)
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


WARNED = """
    import gc, sys
    import pyrolite
    from pyrolite.testing import running_daemon

    @pyrolite.expose
    class Thing:
        def echo(self, value):
            return value
        def items(self):
            yield 1
            yield 2

    with running_daemon({"thing": Thing()}, servertype=sys.argv[1]) as running:
        proxy = pyrolite.Proxy(running.uris["thing"])
        assert proxy.echo(1) == 1
        next(proxy.items())
        proxy._pyroAsync()
        assert proxy.echo(2).value == 2
        del proxy
        gc.collect()
    print("fine")
"""


def test_warnings(run_python: Any, servertype: str) -> None:
    """[OV-43], [OV-2]: none, not even of sockets that nobody has closed."""
    done = run_python(WARNED, servertype, options=("-W", "error", "-X", "dev"))
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)
