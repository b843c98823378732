"""The store goes away and comes back, or refuses: what callers get, and what is told of passwords."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from pyrolite import util
from pyrolite.core import Proxy
from pyrolite.errors import NamingError
from pyrolite.naming import NameServer
from pyrolite.naming.storage import open_storage, postgresql, redis, shared
from pyrolite.testing import running_nameserver

from ... import stores
from .conftest import running

URI = "PYRO:obj@host:1"
PASSWORD = "open sesame/\xe4:@"  # which has to be quoted in URLs
QUOTED = "open%20sesame%2F%C3%A4%3A%40"
BOTH = pytest.mark.parametrize("own_server", ["redis", "postgresql"], indirect=True)

OPERATIONS: dict[str, Callable[[NameServer], object]] = {
    "lookup": lambda nameserver: nameserver.lookup("a"),
    "register": lambda nameserver: nameserver.register("b", URI),
    "register safely": lambda nameserver: nameserver.register("c", URI, safe=True),
    "set_metadata": lambda nameserver: nameserver.set_metadata("a", ["x"]),
    "list": lambda nameserver: nameserver.list(),
    "list prefix": lambda nameserver: nameserver.list(prefix="a"),
    "list regex": lambda nameserver: nameserver.list(regex="a"),
    "list metadata": lambda nameserver: nameserver.list(metadata_all=["x"]),
    "count": lambda nameserver: nameserver.count(),
    "remove": lambda nameserver: nameserver.remove("a"),
    "remove prefix": lambda nameserver: nameserver.remove(prefix="a"),
    "remove regex": lambda nameserver: nameserver.remove(regex="a"),
    "iterate": lambda nameserver: list(nameserver.storage),
    "clear": lambda nameserver: nameserver.storage.clear(),
}


@BOTH
def test_loss_and_return(own_server: stores.Store) -> None:
    """[BYD-10] While the store is away every operation says so at once; afterwards it works, and nothing is lost."""
    with running_nameserver(storage=own_server.url) as (uri, _), Proxy(uri) as nameserver:
        nameserver.register("a", URI, metadata=["x"])
        for end in (own_server.stop, own_server.kill):
            end()
            begin = time.monotonic()
            for _ in range(2):
                with pytest.raises(NamingError, match="^name store unavailable: .*refused"):
                    nameserver.lookup("a")
            nameserver.ping()
            assert nameserver.lookup("Pyro.NameServer") == uri
            assert time.monotonic() - begin < 5
            own_server.start()
            assert nameserver.list(metadata_all=["x"]) == {"a": URI}
            nameserver.register("a", URI, metadata=["x"])


@BOTH
def test_short_loss_is_not_noticed(own_server: stores.Store) -> None:
    """[BYD-10] Connections from before a restart of the store are not used any more, by whatever operation."""
    storage = open_storage(own_server.url)
    storage.put("a", URI, frozenset("x"))
    for _ in range(3):
        own_server.stop()
        own_server.start()
        assert storage.put("b", URI, frozenset())
        assert storage.entry("a") == (URI, frozenset("x"))
    storage.close()


@BOTH
def test_all_operations_without_a_store(own_server: stores.Store) -> None:
    """[BYD-10] Also opening it."""
    storage = open_storage(own_server.url)
    nameserver = NameServer(storage)
    nameserver.register("a", URI)
    own_server.stop()
    for operation in OPERATIONS.values():
        with pytest.raises(NamingError, match="^name store unavailable: .*refused"):
            operation(nameserver)
    storage.close()
    with pytest.raises(NamingError, match="^name store unavailable: .*refused"):
        open_storage(own_server.url)


@BOTH
def test_store_that_does_not_answer(own_server: stores.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """[BYD-10] A store that hangs is one that is away; as soon as it answers again it is used."""
    assert shared.ANSWER_TIME < 5 > 2 * shared.CONNECT_TIME
    for module in (redis, postgresql):
        monkeypatch.setattr(module, "ANSWER_TIME", 0.3)
    storage = open_storage(own_server.url)
    storage.put("a", URI, frozenset())
    for _ in range(2):
        with own_server.frozen():
            begin = time.monotonic()
            with pytest.raises(NamingError, match="^name store unavailable: "):
                storage.entry("a")
            assert time.monotonic() - begin < 4
        assert storage.entry("a") == (URI, frozenset())
    storage.close()


def test_connections_of_postgresql_that_were_ended(postgresql_server: Any) -> None:
    """[BYD-10] An administrator ends connections, or removes the table: the next operation makes what it needs."""
    storage = open_storage(postgresql_server.url)
    storage.put("a", URI, frozenset())
    with postgresql.psycopg.connect(postgresql_server.url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        assert storage.entry("a") == (URI, frozenset())
        connection.execute("DROP TABLE pyrolite_names")
        assert storage.put("b", URI, frozenset(), safe=True)
        assert storage.snapshot() == {"b": (URI, frozenset())}
        connection.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        try:
            assert storage.entry("b") == (URI, frozenset())
            with pytest.raises(NamingError, match="^name store unavailable: .*read-only"):
                storage.put("c", URI, frozenset())
        finally:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
        assert storage.put("c", URI, frozenset())
    storage.close()


def test_database_with_another_encoding(postgresql_server: Any) -> None:
    """[BYD-10] Names could not be kept there."""
    with postgresql.psycopg.connect(postgresql_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(NamingError, match="^the encoding of the database 'latin' must be UTF8 to keep all names$"):
        open_storage(postgresql_server.url.replace("/postgres", "/latin"))


def test_too_long_for_postgresql(postgresql_server: Any) -> None:
    """[BYD-10] What does not fit is refused with the reason."""
    storage = open_storage(postgresql_server.url)
    noise = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(5000))
    with pytest.raises(NamingError, match=r"^postgresql error in setitem: .* \(names and pieces of metadata can have"):
        storage.put(noise, URI, frozenset())
    with pytest.raises(NamingError, match="^postgresql error in setitem: .*NUL"):
        storage.put("a\0b", URI, frozenset())
    storage.close()


def test_keys_of_another_program(redis_server: Any) -> None:
    """[BYD-10] What is in the way in Redis is left alone."""
    client = redis.redis.Redis.from_url(redis_server.url.replace("/0", "/1"))
    client.set(redis.ENTRIES, "something else")
    storage = open_storage(redis_server.url.replace("/0", "/1"))
    with pytest.raises(NamingError, match=r"^redis error in setitem: WRONGTYPE .*give the name servers a database"):
        storage.put("a", URI, frozenset())
    assert client.get(redis.ENTRIES) == b"something else"
    client.flushdb()
    client.close()
    storage.close()


def test_full_redis(redis_server: Any) -> None:
    """[BYD-10] [BYD-15] A Redis without memory refuses, and what was stored stays."""
    storage = open_storage(redis_server.url)
    storage.clear()
    storage.put("a", URI, frozenset("x"))
    client = redis.redis.Redis.from_url(redis_server.url)
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(NamingError, match=r"^redis error in setitem: .*raise maxmemory\)$"):
            storage.put("b", URI, frozenset())
        assert storage.snapshot() == {"a": (URI, frozenset("x"))}
    finally:
        client.config_set("maxmemory", "0")
    assert storage.put("b", URI, frozenset())
    client.close()
    storage.close()


# ---- passwords


@pytest.fixture(params=["redis", "postgresql"])
def locked_server(request: pytest.FixtureRequest) -> Any:
    """A server that wants a password, and its URL with that."""
    if request.param == "redis":
        servers = running(lambda: stores.RedisServer(requirepass=PASSWORD))
    else:
        servers = running(lambda: stores.PostgresqlServer(PASSWORD))
    user = "" if request.param == "redis" else "names"
    for server in servers:
        yield server, f"{request.param}://{user}:{QUOTED}@127.0.0.1:{server.port}"


def test_passwords_are_not_told(locked_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[BYD-10] Passwords work, and are neither in logs nor in errors, tracebacks, or what objects look like."""
    server, url = locked_server
    caplog.set_level(logging.DEBUG)
    name = "" if isinstance(server, stores.RedisServer) else "/postgres"
    told: list[str] = []
    storage = open_storage(f"{url}{name}")
    storage.put("a", URI, frozenset())
    told += [repr(storage), repr(vars(storage)), str(storage), *(repr(value) for value in vars(storage).values())]
    for wrong in (url.replace(QUOTED, QUOTED + "x"), url.replace(QUOTED, "sesame/%zz"), f"{url}:{QUOTED}/{QUOTED}"):
        try:
            open_storage(f"{wrong}{name}")
        except (NamingError, ValueError) as error:
            told += [repr(error), *traceback.format_exception(error)]
        else:
            pytest.fail("it accepts everything")
    server.stop()
    with pytest.raises(NamingError, match="^name store unavailable: ") as raised:
        storage.entry("a")
    storage.close()
    error = raised.value
    assert error.__traceback__
    # the first frame is that of this test, which has the URL in its variables
    told += util.formatTraceback(type(error), error, error.__traceback__.tb_next, detailed=True)
    told += [*traceback.format_exception(error), *caplog.messages, caplog.text]
    assert not [text for text in told if "sesame" in text]


def test_urls_of_unknown_kinds_are_not_told() -> None:
    """[NS-18] [BYD-10] Not even those that are mistyped."""
    for url in ("postgresq://user:sesame@host/db", "mysql://:sesame@host"):
        with pytest.raises(ValueError, match=r"^invalid storage type '[a-z]+://\.\.\.'$"):
            open_storage(url)
    assert shared.shown_url("redis://user:sesame@host:1/2?password=sesame") == "redis://host:1/2"
    assert shared.shown_url("redis://[sesame") == "<invalid URL>"
    for url in ("redis:sesame", "redis://:se/same@host", "postgresql:sesame", "postgresql://u:p@host:sesame/x"):
        with pytest.raises(ValueError, match=r"^invalid URL of a \w+ server: "):
            open_storage(url)
