"""Leases on stores that several name servers share ([BYD-14], [BYD-10])."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

import pyrolite
from pyrolite.core import Proxy
from pyrolite.errors import NamingError
from pyrolite.naming import NameServer
from pyrolite.testing import running_daemon

from ...unit.naming import test_leases

# what holds for leases on all storages
for _name, _test in vars(test_leases).items():
    if _name.startswith("test_") and "nameserver" in _test.__code__.co_varnames[: _test.__code__.co_argcount]:
        assert _name not in globals()
        globals()[_name] = _test
clock = test_leases.clock

OBJ = "PYRO:obj@host:1"


@pyrolite.expose
class Thing:
    """Something to register."""

    def name(self) -> str:
        return "thing"


def eventually(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_stored_by_one_and_ended_by_the_other(kind: Any, tmp_path: Any, clock: Any) -> None:
    """[BYD-14] The name server that gave a lease need not be there when it ends."""
    stores = kind.make(tmp_path), kind.make(tmp_path)
    first, second = map(NameServer, stores)
    clock.passed = 100
    first.register("a", OBJ, ttl=10, metadata=["x"])
    first.register("b", OBJ, ttl=20)
    assert second.list(return_metadata=True) == {"a": (OBJ, ["x"]), "b": (OBJ, [])}
    assert second.list(metadata_any=["x"]) == {"a": OBJ}
    second.register("b", OBJ, ttl=20)
    clock.passed = 110
    with pytest.raises(NamingError, match="^unknown name: a$"):
        second.lookup("a")
    second.count()
    assert set(stores[0]) == {"b"}
    clock.passed = 120
    second.register("b", OBJ, ttl=20)
    clock.passed = 139
    assert first.list() == second.list() == {"b": OBJ}
    clock.passed = 140
    second.register("b", "PYRO:later@host:2", safe=True)
    assert first.list() == {"b": "PYRO:later@host:2"}
    for store in stores:
        store.close()


def test_daemon_goes_on_with_the_other_name_server(kind: Any, start_nameserver: Any, pyro_config: Any) -> None:
    """[BYD-11] [BYD-14] A daemon renews with the next name server of the list; its names never vanish."""
    pyro_config.POLLTIMEOUT = 0.1
    tools = [start_nameserver(kind.server.url) for _ in range(2)]
    pyro_config.NS_HOST = ",".join(str(uri.location) for _, uri in tools)
    other = tools[1][1]
    with running_daemon() as running:
        uri = running.daemon.register_ns(Thing(), "kept", metadata=["tag"], ttl=1.5)
        with Proxy(other) as nameserver, Proxy("PYRONAME:kept") as proxy:
            assert nameserver.lookup("kept") == uri
            assert tools[0][0].end(signal.SIGKILL) == -signal.SIGKILL
            time.sleep(3.2)  # without the other name server it would be gone for good by then
            eventually(lambda: nameserver.list(metadata_all=["tag"]) == {"kept": str(uri)})
            assert proxy.name() == "thing"
        assert running.daemon._pyroNames is not None
        running.daemon._pyroNames._stopping.set()  # as if the process had been killed
        with Proxy(other) as nameserver:
            eventually(lambda: "kept" not in nameserver.list())
            assert nameserver.count() == 1
    assert tools[1][0].end() == 0
    assert tools[1][0].errors == ""
