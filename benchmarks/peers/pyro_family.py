"""pyrolite, Pyro4 and (nearly) Pyro5 have one API: server and client for all three."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from importlib import import_module
from itertools import cycle, repeat
from time import perf_counter_ns
from typing import Any, ClassVar

from benchmarks.peers.base import (
    MANY_NAMES,
    NAMES_IN_GROUP,
    REGISTERED_NAMES,
    Client,
    Run,
    Scenario,
    Server,
    measured_memory,
    timed,
    verify,
)
from benchmarks.service import BATCH_SIZE, Service

HOST = "127.0.0.1"
OBJECT_ID = "benchmark"
HMAC_KEY = b"benchmark key"

#: Fills the storage in memory of a name server; the names are as long as those of real programs.
KEEP_NAMES = f"""\
from {{module}} import MemoryStorage
storage = MemoryStorage()
for number in range({MANY_NAMES}):
    name, uri = f"service.group.object{{{{number:07}}}}", f"PYRO:obj_{{{{number:032x}}}}@host.example.net:4444"
    storage[name] = uri, frozenset(("class:service.Object", f"zone:{{{{number % 100}}}}"))
assert len(storage) == {MANY_NAMES}
"""


def configure(library: str, scenario: Scenario) -> Any:
    """Set the library's global configuration for the scenario and return the module."""
    module = import_module(library)
    config = module.config
    if hasattr(config, "SERIALIZERS_ACCEPTED"):  # not in Pyro5, which accepts all it has
        config.SERIALIZERS_ACCEPTED = {"serpent", "marshal", "json", "msgpack", "pickle"}
    config.SERIALIZER = scenario.serializer
    config.SERVERTYPE = scenario.server_type
    if hasattr(config, "ONEWAY_THREADED"):  # in Pyro5 they always have a thread
        config.ONEWAY_THREADED = scenario.oneway_threaded
    config.SOCK_NODELAY = True  # otherwise Nagle's algorithm is what gets measured
    config.SSL = bool(scenario.certificate)
    return module


class PyroServer(Server):
    """A daemon, or a name server, of the library named by `library`."""

    library: ClassVar[str] = "Pyro4"

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.module = configure(self.library, scenario)
        self.module.config.SSL_SERVERCERT = scenario.certificate
        self.module.config.SSL_SERVERKEY = scenario.private_key
        self._daemon: Any = None
        self._thread: threading.Thread | None = None
        self._directory = ""

    def start(self) -> Any:
        """Serve in a thread; return the URI."""
        if self.scenario.storage:
            uri, self._daemon = self._start_name_server()
        else:
            self._daemon = self.module.Daemon(host=HOST, port=0)
            if self.scenario.hmac:
                self.set_key(self._daemon)
            exposed = self.module.expose(Service)
            self.module.oneway(exposed.note)
            uri = self._daemon.register(exposed(self.scenario.size), OBJECT_ID)
        self._thread = threading.Thread(target=self._daemon.requestLoop, daemon=True)
        self._thread.start()
        return str(uri)

    def _start_name_server(self) -> tuple[Any, Any]:
        storage = self.scenario.storage
        if storage == "sql":
            self._directory = tempfile.mkdtemp()
            storage = f"sql:{self._directory}/names.sqlite"
        uri, daemon, _ = self.name_server_starter()(host=HOST, port=0, enableBroadcast=False, storage=storage)
        for number in range(self.scenario.names):
            name = f"benchmark.group{number // NAMES_IN_GROUP:06}.object{number:06}"
            daemon.nameserver.storage[name] = f"PYRO:obj_{number:032x}@localhost:1", frozenset(("class:Object",))
        return uri, daemon

    def name_server_starter(self) -> Callable[..., tuple[Any, Any, Any]]:
        """Return the library's function that makes a name server."""
        starter: Callable[..., tuple[Any, Any, Any]] = import_module(f"{self.library}.naming").startNS
        return starter

    def set_key(self, owner: Any) -> None:
        """Have messages of the daemon signed."""
        owner._pyroHmacKey = HMAC_KEY

    def stop(self) -> None:
        """Shut the daemon down and wait for its thread."""
        if self._daemon is not None:
            self._daemon.shutdown()
        if self._thread is not None:
            self._thread.join(10)
        if self._daemon is not None:
            self._daemon.close()
        if self._directory:
            shutil.rmtree(self._directory)


class PyroClient(Client):
    """Proxies of the library named by `library`."""

    library: ClassVar[str] = "Pyro4"

    def __init__(self, scenario: Scenario, address: Any) -> None:
        super().__init__(scenario, address)
        self.module = configure(self.library, scenario)
        self.module.config.SSL_CACERTS = scenario.certificate

    def connect(self) -> Any:
        """Return a connected proxy."""
        proxy = self.module.Proxy(self.address)
        if self.scenario.hmac:
            self.set_key(proxy)
        if self.scenario.prefetch > 1:
            self.set_prefetch(proxy)
        proxy._pyroBind()
        return proxy

    def set_key(self, proxy: Any) -> None:
        """Have messages of the proxy signed."""
        proxy._pyroHmacKey = HMAC_KEY

    def set_prefetch(self, proxy: Any) -> None:
        """Nothing: only pyrolite fetches ahead; the others show what it is worth."""

    def disconnect(self, target: Any) -> None:
        """Close the proxy's connection."""
        target._pyroRelease()

    def new_batch(self, target: Any) -> Any:
        """Return an empty batch for the proxy."""
        return self.module.batch(target)

    def make_batch(self, target: Any) -> Callable[[], object]:
        """Batch of ``add``, as in the manual."""

        def perform() -> None:
            batch = self.new_batch(target)
            for _ in repeat(None, BATCH_SIZE):
                batch.add(1, 2)
            for _ in batch():
                pass

        return perform

    def call_oneway(self, target: Any) -> Callable[[], object]:
        """``note`` is declared oneway at the server."""
        return lambda: target.note()

    def construct(self) -> Run:
        """Make proxies from the URI's text."""
        proxy_class, uri = self.module.Proxy, self.address
        return timed(lambda: proxy_class(uri))

    def method_access(self) -> Run:
        """Look up ``proxy.add``; no function call around it, which would cost nearly as much."""
        target = self.open()

        def run(units: int) -> int:
            start = perf_counter_ns()
            for _ in repeat(None, units):
                target.add  # noqa: B018
            return perf_counter_ns() - start

        return run

    def _registered(self) -> tuple[Any, Callable[[], str]]:
        target = self.open()
        names = [f"benchmark.object.{number}" for number in range(REGISTERED_NAMES)]
        for name in names:
            target.register(name, f"PYRO:{name}@localhost:1")
        return target, cycle(names).__next__

    def name_lookup(self) -> Run:
        """Look up the names in turn."""
        target, next_name = self._registered()
        return timed(lambda: target.lookup(next_name()))

    def name_prefix_list(self) -> Run:
        """List a group in the middle."""
        target = self.open()
        prefix = f"benchmark.group{self.scenario.names // NAMES_IN_GROUP // 2:06}."
        verify(len(target.list(prefix=prefix)), NAMES_IN_GROUP)
        return timed(lambda: target.list(prefix=prefix))

    def name_memory(self) -> Run:
        """The storage alone, in a process of its own."""
        return measured_memory(KEEP_NAMES.format(module=self.storage_module()))

    def storage_module(self) -> str:
        """Return the module that has the storage in memory."""
        return f"{self.library}.naming"

    def name_register(self) -> Run:
        """Register the names in turn."""
        target, next_name = self._registered()
        return timed(lambda: target.register(next_name(), "PYRO:object@localhost:2"))
