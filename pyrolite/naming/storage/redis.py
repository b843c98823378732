"""The storage on a Redis server, which several name servers can use at the same time ([BYD-10]).

Entries are in a hash, the names once more in a sorted set, for prefixes, and for each piece of metadata there is a set
of the names that have it. What changes several of these, or reads several, is a script, which Redis runs in one step.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.credentials import UsernamePasswordCredentialProvider
from redis.retry import Retry

from pyrolite.errors import NamingError
from pyrolite.naming.storage.interface import NO_METADATA, Entry
from pyrolite.naming.storage.shared import ANSWER_TIME, CONNECT_TIME, SharedStorage, unavailable

__all__ = ["RedisStorage", "redis"]

log: logging.Logger = logging.getLogger("pyrolite.naming_storage")

#: The braces keep all keys on one server, should they be moved to a cluster.
ENTRIES: Final = "{pyrolite}:entries"
NAMES: Final = "{pyrolite}:names"
TAGGED: Final = "{pyrolite}:tagged:"
_KEYS: Final = (ENTRIES, NAMES, TAGGED)
#: How often what is to be removed is selected anew when others have stored something meanwhile.
ATTEMPTS: Final = 50

#: An entry is the JSON list of its metadata, a line feed, and its URI. Lists of names come as JSON, too.
_COMMON: Final = """
local entries, order, tagged = KEYS[1], KEYS[2], KEYS[3]
local function parts(value)
    local at = string.find(value, '\\n', 1, true)
    return cjson.decode(string.sub(value, 1, at - 1)), string.sub(value, at + 1)
end
local function index(command, name, tags)
    for _, tag in ipairs(tags) do redis.call(command, tagged .. tag, name) end
end
local function remove(name, value)
    index('SREM', name, (parts(value)))
    redis.call('HDEL', entries, name)
    redis.call('ZREM', order, name)
end
local function set_of(list)
    local set = {}
    for _, item in ipairs(list) do set[item] = true end
    return set
end
local function with_entries(names)
    local found = {}
    for start = 1, #names, 1000 do
        local some = {unpack(names, start, math.min(start + 999, #names))}
        for number, value in ipairs(redis.call('HMGET', entries, unpack(some))) do
            if value then
                found[#found + 1] = some[number]
                found[#found + 1] = value
            end
        end
    end
    return found
end
local function remove_all(names, keep)
    local found, removed = with_entries(names), 0
    for number = 1, #found, 2 do
        if not keep[found[number]] then
            remove(found[number], found[number + 1])
            removed = removed + 1
        end
    end
    return removed
end
local function having(all_of, any_of)
    local names
    if #any_of > 0 then
        names = {}
        local seen = {}
        for _, tag in ipairs(any_of) do
            for _, name in ipairs(redis.call('SMEMBERS', tagged .. tag)) do
                if not seen[name] then
                    seen[name] = true
                    names[#names + 1] = name
                end
            end
        end
    elseif #all_of > 0 then
        local smallest, size = 1, nil
        for number, tag in ipairs(all_of) do
            local count = redis.call('SCARD', tagged .. tag)
            if not size or count < size then smallest, size = number, count end
        end
        names = redis.call('SMEMBERS', tagged .. all_of[smallest])
    else
        return redis.call('HKEYS', entries)
    end
    for _, tag in ipairs(all_of) do
        local left = {}
        for _, name in ipairs(names) do
            if redis.call('SISMEMBER', tagged .. tag, name) == 1 then left[#left + 1] = name end
        end
        names = left
    end
    return names
end
"""
_SCRIPTS: Final = {
    "put": """
        local name, value, safe = ARGV[1], ARGV[2], ARGV[3] == '1'
        local old = redis.call('HGET', entries, name)
        if old and safe then return 0 end
        if old == value then return 1 end
        if old then index('SREM', name, (parts(old))) end
        redis.call('HSET', entries, name, value)
        redis.call('ZADD', order, 0, name)
        index('SADD', name, (parts(value)))
        return 1
    """,
    "put_metadata": """
        local name, tags = ARGV[1], ARGV[2]
        local old = redis.call('HGET', entries, name)
        if not old then return 0 end
        local old_tags, uri = parts(old)
        index('SREM', name, old_tags)
        redis.call('HSET', entries, name, tags .. '\\n' .. uri)
        index('SADD', name, cjson.decode(tags))
        return 1
    """,
    "discard": """
        local names, uri = cjson.decode(ARGV[1]), ARGV[2]
        if not uri then return remove_all(names, {}) end
        local found, removed = with_entries(names), 0
        for number = 1, #found, 2 do
            local _, its_uri = parts(found[number + 1])
            if its_uri == uri then
                remove(found[number], found[number + 1])
                removed = removed + 1
            end
        end
        return removed
    """,
    "discard_entry": """
        if redis.call('HGET', entries, ARGV[1]) ~= ARGV[2] then return 0 end
        remove(ARGV[1], ARGV[2])
        return 1
    """,
    "discard_prefix": """
        local names = redis.call('ZRANGEBYLEX', order, ARGV[1], ARGV[2])
        return remove_all(names, set_of(cjson.decode(ARGV[3])))
    """,
    "discard_metadata": """
        return remove_all(having(cjson.decode(ARGV[1]), cjson.decode(ARGV[2])), set_of(cjson.decode(ARGV[3])))
    """,
    "with_prefix": "return with_entries(redis.call('ZRANGEBYLEX', order, ARGV[1], ARGV[2]))",
    "with_metadata": "return with_entries(having(cjson.decode(ARGV[1]), cjson.decode(ARGV[2])))",
    "clear": """
        for _, value in ipairs(redis.call('HVALS', entries)) do
            for _, tag in ipairs((parts(value))) do redis.call('DEL', tagged .. tag) end
        end
        redis.call('DEL', entries, order)
        return 1
    """,
}
#: What to do about errors of Redis, by what they begin with, where the package redis does not replace that by a class.
_REMEDIES: Final[tuple[tuple[str | type[Exception], str], ...]] = (
    ("MISCONF", "the Redis server cannot save its data, most likely because its disk is full: see its log"),
    (exceptions.OutOfMemoryError, "the Redis server has no memory left: raise maxmemory"),
    ("WRONGTYPE", "another program uses the same keys: give the name servers a database of their own"),
    (exceptions.NoPermissionError, "the user of the name server needs all commands on keys {pyrolite}*"),
)
#: Errors of a server that is there but does not serve, in the same way.
_AWAY: Final = (exceptions.ReadOnlyError, exceptions.ClusterDownError, exceptions.TryAgainError)
_AWAY_TEXTS: Final = ("BUSY", "NOREPLICAS")


class RedisStorage(SharedStorage):
    """Names and metadata in the Redis database that ``url`` names.

    URLs are those of the package redis: ``redis://[[user]:password@]host[:port][/db]``, ``rediss://`` for TLS,
    ``unix://[[user]:password@]/path/to/socket[?db=number]``. What has been stored survives the end of the name server;
    that it survives a crash of the Redis server takes ``appendonly yes`` and ``appendfsync always`` there.

    Raises:
        ValueError: the URL is none.
        NamingError: the server cannot be reached; also from operations, within 5 seconds, each of which tries again.

    Thread safety: as `Storage`; there is a connection for each thread that is busy.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._closed = False
        self._client = _client(url)
        self._scripts = {name: self._client.register_script(_COMMON + text) for name, text in _SCRIPTS.items()}
        try:
            with self._errors("open"):
                persistence: Any = self._client.info("persistence")
        except BaseException:
            self.close()
            raise
        if not persistence.get("aof_enabled"):
            log.warning(
                "%s: the Redis server has no append-only file (appendonly yes): if it crashes, names can be lost",
                self.place,
            )

    @contextlib.contextmanager
    def _errors(self, operation: str) -> Iterator[None]:
        if self._closed:
            raise NamingError(f"redis error in {operation}: the storage is closed")
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise unavailable(error) from error
        except (redis.RedisError, UnicodeError) as error:
            text = str(error)
            if isinstance(error, _AWAY) or text.startswith(_AWAY_TEXTS):
                raise unavailable(error) from error
            remedy = next((f" ({remedy})" for kind, remedy in _REMEDIES if _is(error, kind)), "")
            raise NamingError(f"redis error in {operation}: {text}{remedy}") from error

    def _run(self, operation: str, script: str, *arguments: str | bytes) -> Any:
        with self._errors(operation):
            encoded = [text.encode("utf-8") if isinstance(text, str) else text for text in arguments]
            return self._scripts[script](keys=_KEYS, args=encoded)

    def close(self) -> None:
        """Close all connections; may be repeated."""
        self._closed = True
        self._client.close()
        self._client.connection_pool.disconnect()

    # ---- the operations

    def _entry(self, operation: str, name: str) -> Entry | None:
        with self._errors(operation):
            value: Any = self._client.hget(ENTRIES, name.encode("utf-8"))
        return None if value is None else _entry(value)

    def _put(self, name: str, uri: str, metadata: frozenset[str], *, safe: bool) -> bool:
        return bool(self._run("setitem", "put", name, _value((uri, metadata)), "1" if safe else "0"))

    def _put_metadata(self, name: str, metadata: frozenset[str]) -> bool:
        return bool(self._run("setitem", "put_metadata", name, _json(sorted(metadata))))

    def _discard(self, operation: str, names: list[str], uri: str | None) -> int:
        return int(self._run(operation, "discard", _json(names), *(() if uri is None else (uri,))))

    def _discard_prefix(self, prefix: str, keep: list[str]) -> int:
        return int(self._run("remove_items", "discard_prefix", *_in_prefix("remove_items", prefix), _json(keep)))

    def _discard_metadata(self, all_of: frozenset[str], any_of: frozenset[str], keep: list[str]) -> int:
        return int(self._run("remove_items", "discard_metadata", _json(all_of), _json(any_of), _json(keep)))

    def _discard_selected(self, prefix: str, select: Callable[[Iterable[str]], Collection[str]]) -> int:
        operation = "remove_items"
        lowest, highest = _in_prefix(operation, prefix)
        with self._errors(operation), self._client.pipeline() as opened:
            pipeline: Any = opened
            for _ in range(ATTEMPTS):
                pipeline.watch(NAMES)
                names = [name.decode("utf-8") for name in pipeline.zrangebylex(NAMES, lowest, highest)]
                selected = _json(select(names))
                pipeline.multi()
                self._scripts["discard"](keys=_KEYS, args=[selected.encode("utf-8")], client=pipeline)
                with contextlib.suppress(redis.WatchError):  # names have come or gone meanwhile
                    return int(pipeline.execute()[-1])
        return self._discard(operation, json.loads(selected), None)  # there is no moment without somebody who registers

    def _discard_entry(self, name: str, entry: Entry) -> bool:
        return bool(self._run("remove_items", "discard_entry", name, _value(entry)))

    def _with_prefix(self, prefix: str) -> dict[str, Entry]:
        operation = "optimized_prefix_list"
        return _entries(self._run(operation, "with_prefix", *_in_prefix(operation, prefix)))

    def _with_metadata(self, all_of: frozenset[str], any_of: frozenset[str]) -> dict[str, Entry]:
        return _entries(self._run("optimized_metadata_search", "with_metadata", _json(all_of), _json(any_of)))

    def _snapshot(self) -> dict[str, Entry]:
        with self._errors("everything"):
            found: Any = self._client.hgetall(ENTRIES)
        return {name.decode("utf-8"): _entry(value) for name, value in found.items()}

    def _count(self) -> int:
        with self._errors("len"):
            count: Any = self._client.hlen(ENTRIES)
        return int(count)

    def _names(self) -> list[str]:
        with self._errors("iter"):
            names: Any = self._client.hkeys(ENTRIES)
        return [name.decode("utf-8") for name in names]

    def _clear(self) -> None:
        self._run("clear", "clear")


def _client(url: str) -> redis.Redis:
    """A client for the URL, in whose repr no password is.

    Raises:
        ValueError: the URL is none; nothing of it is in the text.
    """
    try:
        pool = redis.ConnectionPool.from_url(
            url,
            socket_connect_timeout=CONNECT_TIME,
            socket_timeout=ANSWER_TIME,
            # what was sent when a connection was lost may have happened, so it is not repeated
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except (ValueError, TypeError):
        pool = None
    if pool is None:  # outside of the handler, whose error may quote the URL
        raise ValueError("invalid URL of a Redis server: redis://[[user]:password@]host[:port][/database] is expected")
    options = pool.connection_kwargs
    user, password = options.pop("username", None), options.pop("password", None)
    if user or password:
        options["credential_provider"] = UsernamePasswordCredentialProvider(user, password)
    return redis.Redis(connection_pool=pool)


def _is(error: Exception, kind: str | type[Exception]) -> bool:
    return str(error).startswith(kind) if isinstance(kind, str) else isinstance(error, kind)


def _json(texts: Iterable[str]) -> str:
    return json.dumps(list(texts), ensure_ascii=False)


def _value(entry: Entry) -> str:
    return f"{_json(sorted(entry[1]))}\n{entry[0]}"


def _entry(value: bytes) -> Entry:
    tags, _, uri = value.partition(b"\n")
    return uri.decode("utf-8"), frozenset(json.loads(tags)) if tags != b"[]" else NO_METADATA


def _entries(found: list[bytes]) -> dict[str, Entry]:
    """What scripts return: names and values in turn."""
    pairs = iter(found)
    return {name.decode("utf-8"): _entry(value) for name, value in zip(pairs, pairs, strict=True)}


def _in_prefix(operation: str, prefix: str) -> tuple[bytes, bytes]:
    """The range of the sorted set in which the names are that start with ``prefix`` ([HRD-35]).

    Redis compares bytes, and FF is none of UTF-8.
    """
    try:
        start = prefix.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NamingError(f"redis error in {operation}: {error}") from error
    return b"[" + start, b"(" + start + b"\xff"
