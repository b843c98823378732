"""The storage on a PostgreSQL server, which several name servers can use at the same time ([BYD-10]).

Every operation is one statement, which the server does in one step. Names are compared by their bytes, so that prefixes
are ranges of the primary key; metadata are an array with an index of its own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from typing import Any, Final, TypeVar

import psycopg
import psycopg_pool
from psycopg import waiting
from psycopg.conninfo import make_conninfo

from pyrolite.errors import NamingError
from pyrolite.naming.storage.interface import NO_METADATA, Entry, end_of_prefix
from pyrolite.naming.storage.shared import ANSWER_TIME, CONNECT_TIME, SharedStorage, unavailable

__all__ = ["PostgresqlStorage", "psycopg"]

T = TypeVar("T")

#: Connections of one name server, at most.
MAX_CONNECTIONS: Final = 8
#: Attempts at what failed because others did the same at the same time.
ATTEMPTS: Final = 5
#: Seconds after which it is looked at whether it has taken too long.
WAIT_INTERVAL: Final = 0.1
#: Seconds within which what a connection was lost in is repeated.
AGAIN_TIME: Final = 0.5
#: Identifies the lock that is held while tables are created.
_LOCK: Final = 0x5079726F6C697465

_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS pyrolite_names(
        name text COLLATE "C" PRIMARY KEY,
        uri text NOT NULL,
        metadata text[] NOT NULL DEFAULT '{}'
    )"""
_INDEX: Final = "CREATE INDEX IF NOT EXISTS pyrolite_names_metadata ON pyrolite_names USING gin (metadata)"

_PUT: Final = "INSERT INTO pyrolite_names(name, uri, metadata) VALUES(%s, %s, %s) ON CONFLICT (name) DO "
_PUT_SAFE: Final = _PUT + "NOTHING"
_PUT_ANYHOW: Final = _PUT + "UPDATE SET uri = excluded.uri, metadata = excluded.metadata"

#: Errors of a server that is there but does not serve: it starts, ends, is a copy, or has too many connections.
_AWAY: Final = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.TooManyConnections,
    psycopg.errors.ReadOnlySqlTransaction,
)
#: Errors that go away when the same is done again. Nothing has been done in these cases.
_TRANSIENT: Final = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.AdminShutdown,
    psycopg.errors.UndefinedTable,  # created when there is a new connection
)
_REMEDIES: Final = (
    (psycopg.errors.DiskFull, "the disk of the PostgreSQL server is full"),
    (psycopg.errors.InsufficientPrivilege, "the user of the name server has to create or own the table pyrolite_names"),
    (psycopg.errors.ProgramLimitExceeded, "names and pieces of metadata can have some 2600 bytes"),
)


class _Connection(psycopg.Connection[Any]):
    """A connection that does not wait for ever for a server that has stopped answering."""

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """As that of all connections, which every operation waits with.

        The usual way of waiting, in C, does not come back in some versions while nothing happens.
        """
        return waiting.wait_selector(_bounded(gen), self.pgconn.socket, interval=WAIT_INTERVAL)


def _bounded(generator: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    """Do what the generator does, unless nothing happens for the time that answers may take."""
    try:
        wanted = next(generator)
        deadline = time.monotonic() + ANSWER_TIME
        while True:
            ready = yield wanted
            if ready:
                deadline = time.monotonic() + ANSWER_TIME
            elif time.monotonic() > deadline:
                generator.close()
                raise psycopg.OperationalError(f"no answer within {ANSWER_TIME:g} s")
            wanted = generator.send(ready)
    except StopIteration as end:
        result: T = end.value
        return result


class PostgresqlStorage(SharedStorage):
    """Names and metadata in the table ``pyrolite_names`` of the PostgreSQL database that ``url`` names.

    URLs are those of PostgreSQL: ``postgresql://[user[:password]@]host[:port]/database[?option=value&...]``; what is
    missing is taken from the environment variables and files that all its clients know. The table is created if it is
    missing; the encoding of the database has to be UTF8.

    Raises:
        ValueError: the URL is none.
        NamingError: the server cannot be reached; also from operations, within 5 seconds, each of which tries again.

    Thread safety: as `Storage`; there are up to `MAX_CONNECTIONS` connections.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        #: hides the password from everything that shows objects
        self._conninfo = _hidden(_conninfo(url))
        #: None while the server was not there when it was last tried; protected by the lock
        self._pool: psycopg_pool.ConnectionPool[_Connection] | None = None
        self._closed = False
        with self._errors("open"):
            self._connect()

    # ---- connections

    def _connect(self) -> psycopg_pool.ConnectionPool[_Connection]:
        """The pool of connections; whether there can be any is tried first, in this thread, which gets the error."""
        if self._closed:
            raise psycopg.InterfaceError("the storage is closed")
        conninfo = self._conninfo()
        with contextlib.closing(_Connection.connect(conninfo, autocommit=True)) as connection:
            _prepare(connection)
        pool = psycopg_pool.ConnectionPool(
            conninfo,
            connection_class=_Connection,
            kwargs={"autocommit": True, "prepare_threshold": None},
            min_size=1,
            max_size=MAX_CONNECTIONS,
            open=False,
            name="pyrolite-names",
            timeout=ANSWER_TIME,
            reconnect_timeout=ANSWER_TIME,
            num_workers=1,
        )
        with self._lock:
            if self._pool is None and not self._closed:
                pool.open()
                self._pool = pool
            if self._pool is None:
                raise psycopg.InterfaceError("the storage is closed")
            return self._pool

    def _lose(self, pool: psycopg_pool.ConnectionPool[_Connection]) -> None:
        """Forget these connections, of which one does not work any more; the next operation tries to connect."""
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.close(timeout=0.05)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[_Connection]:
        pool, connection = self._checked_out()
        try:
            yield connection
        except psycopg.Error as error:
            if connection.closed or isinstance(error, (*_AWAY, psycopg.errors.UndefinedTable)):
                self._lose(pool)
            elif connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:  # has not answered
                connection.close()
                self._lose(pool)
            raise
        finally:
            pool.putconn(connection)

    def _checked_out(self) -> tuple[psycopg_pool.ConnectionPool[_Connection], _Connection]:
        """A connection that was usable a moment ago, and the pool that gets it back."""
        latest = time.monotonic() + ANSWER_TIME - CONNECT_TIME
        for attempt in range(ATTEMPTS):
            if attempt and time.monotonic() > latest:  # the caller has waited long enough
                break
            pool = self._pool or self._connect()
            try:
                connection = pool.getconn()
            except psycopg_pool.PoolClosed:  # by another thread, which has found it useless
                continue
            except psycopg_pool.PoolTimeout:
                self._lose(pool)
                raise
            if _is_alive(connection):
                return pool, connection
            self._lose(pool)  # the server was restarted, so they are all like that
            pool.putconn(connection)
        raise psycopg.OperationalError("connections are lost as soon as they are made")

    @contextlib.contextmanager
    def _errors(self, operation: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            lost = isinstance(error, psycopg.OperationalError) and error.sqlstate is None
            if lost or isinstance(error, _AWAY):
                raise unavailable(error) from error
            remedy = next((f" ({remedy})" for kind, remedy in _REMEDIES if isinstance(error, kind)), "")
            raise NamingError(f"postgresql error in {operation}: {_one_line(error)}{remedy}") from error
        except UnicodeError as error:
            raise NamingError(f"postgresql error in {operation}: {error}") from error

    def _execute(self, operation: str, statement: str, *parameters: Any) -> psycopg.Cursor[Any]:
        """The finished statement, with all of its rows."""
        with self._errors(operation):
            begin = time.monotonic()
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    with self._connection() as connection:
                        return connection.execute(statement.encode("utf-8"), parameters)
                except psycopg.Error as error:
                    # reading may be repeated in any case, unless the caller has waited already
                    reading = error.sqlstate is None and statement.startswith("SELECT")
                    again = isinstance(error, _TRANSIENT) or (reading and time.monotonic() - begin < AGAIN_TIME)
                    if attempt == ATTEMPTS or not again:
                        raise
            raise AssertionError

    def _select(self, operation: str, condition: str = "true", *parameters: Any) -> dict[str, Entry]:
        statement = f"SELECT name, uri, metadata FROM pyrolite_names WHERE {condition}"  # noqa: S608
        rows = self._execute(operation, statement, *parameters)
        return {name: (uri, frozenset(tags) if tags else NO_METADATA) for name, uri, tags in rows}

    def _delete(self, operation: str, condition: str, *parameters: Any) -> int:
        return self._execute(operation, f"DELETE FROM pyrolite_names WHERE {condition}", *parameters).rowcount  # noqa: S608

    def close(self) -> None:
        """Close all connections; may be repeated."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    # ---- the operations

    def _entry(self, operation: str, name: str) -> Entry | None:
        return self._select(operation, "name = %s", name).get(name)

    def _put(self, name: str, uri: str, metadata: frozenset[str], *, safe: bool) -> bool:
        statement = _PUT_SAFE if safe else _PUT_ANYHOW
        return self._execute("setitem", statement, name, uri, sorted(metadata)).rowcount == 1

    def _put_metadata(self, name: str, metadata: frozenset[str]) -> bool:
        statement = "UPDATE pyrolite_names SET metadata = %s WHERE name = %s"
        return self._execute("setitem", statement, sorted(metadata), name).rowcount == 1

    def _discard(self, operation: str, names: list[str], uri: str | None) -> int:
        if uri is None:
            return self._delete(operation, "name = ANY(%s)", names)
        return self._delete(operation, "name = ANY(%s) AND uri = %s", names, uri)

    def _discard_prefix(self, prefix: str, keep: list[str]) -> int:
        condition, parameters = _in_prefix(prefix)
        return self._delete("remove_items", f"{condition} AND name <> ALL(%s)", *parameters, keep)

    def _discard_metadata(self, all_of: frozenset[str], any_of: frozenset[str], keep: list[str]) -> int:
        condition, parameters = _having(all_of, any_of)
        return self._delete("remove_items", f"{condition} AND name <> ALL(%s)", *parameters, keep)

    def _discard_selected(self, prefix: str, select: Callable[[Iterable[str]], Collection[str]]) -> int:
        condition, parameters = _in_prefix(prefix)
        with self._errors("remove_items"), self._connection() as connection, connection.transaction():
            # others can read, but not store anything
            connection.execute("LOCK TABLE pyrolite_names IN SHARE ROW EXCLUSIVE MODE")
            statement = f"SELECT name FROM pyrolite_names WHERE {condition}"  # noqa: S608
            names = [row[0] for row in connection.execute(statement.encode("utf-8"), parameters)]
            selected = list(select(names))
            return connection.execute("DELETE FROM pyrolite_names WHERE name = ANY(%s)", (selected,)).rowcount

    def _discard_entry(self, name: str, entry: Entry) -> bool:
        condition = "name = %s AND uri = %s AND metadata = %s::text[]"
        return self._delete("remove_items", condition, name, entry[0], sorted(entry[1])) == 1

    def _with_prefix(self, prefix: str) -> dict[str, Entry]:
        condition, parameters = _in_prefix(prefix)
        return self._select("optimized_prefix_list", condition, *parameters)

    def _with_metadata(self, all_of: frozenset[str], any_of: frozenset[str]) -> dict[str, Entry]:
        condition, parameters = _having(all_of, any_of)
        return self._select("optimized_metadata_search", condition, *parameters)

    def _snapshot(self) -> dict[str, Entry]:
        return self._select("everything")

    def _count(self) -> int:
        row = self._execute("len", "SELECT count(*) FROM pyrolite_names").fetchone()
        return int(row[0]) if row else 0

    def _names(self) -> list[str]:
        return [row[0] for row in self._execute("iter", "SELECT name FROM pyrolite_names")]

    def _clear(self) -> None:
        self._delete("clear", "true")


def _conninfo(url: str) -> str:
    """The parameters of connections.

    Raises:
        ValueError: the URL is none; nothing of it is in the text.
    """
    try:
        given: dict[str, Any] | None = psycopg.conninfo.conninfo_to_dict(url)
    except (psycopg.Error, ValueError):
        given = None
    if given is None or not all(port.isdigit() for port in str(given.get("port") or "0").split(",") if port):
        # outside of the handler, whose error may quote the URL
        expected = "postgresql://[user[:password]@]host[:port]/database"
        raise ValueError(f"invalid URL of a PostgreSQL server: {expected} is expected")
    given = {"connect_timeout": int(CONNECT_TIME), "fallback_application_name": "pyrolite name server", **given}
    return make_conninfo(**{**given, "client_encoding": "UTF8"})


def _hidden(text: str) -> Callable[[], str]:
    return lambda: text


def _prepare(connection: _Connection) -> None:
    """Create what is missing, unless another name server is doing that."""
    if connection.info.parameter_status("server_encoding") != "UTF8":
        raise NamingError(f"the encoding of the database {connection.info.dbname!r} must be UTF8 to keep all names")
    if connection.execute("SELECT to_regclass('pyrolite_names')::text").fetchone() == (None,):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(_TABLE)
            connection.execute(_INDEX)


def _is_alive(connection: _Connection) -> bool:
    """Whether an idle connection is still usable, as far as that is known already."""
    try:
        for _ in range(2):  # the end comes after what the server said last
            connection.pgconn.consume_input()
    except psycopg.Error:
        connection.close()
    return not connection.closed


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _in_prefix(prefix: str) -> tuple[str, list[str]]:
    """A condition that is true for names that start with ``prefix`` ([HRD-35])."""
    end = end_of_prefix(prefix)
    return ("name >= %s", [prefix]) if end is None else ("name >= %s AND name < %s", [prefix, end])


def _having(all_of: frozenset[str], any_of: frozenset[str]) -> tuple[str, list[list[str]]]:
    """A condition that is true for entries that have all of the one and, unless it is empty, one of the other."""
    condition, parameters = "metadata @> %s::text[]", [list(all_of)]
    if any_of:
        condition += " AND metadata && %s::text[]"
        parameters.append(list(any_of))
    return condition, parameters
