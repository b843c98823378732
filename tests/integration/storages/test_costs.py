"""What finding costs depends on what is found, not on how many names there are ([NS-11], [NS-13], [BYD-10])."""

from __future__ import annotations

import contextlib
from typing import Any

from pyrolite.naming.storage import open_storage, postgresql, redis

URI = "PYRO:obj@host:1"


def test_postgresql_uses_its_indexes(postgresql_server: Any) -> None:
    """[BYD-10] Prefixes are ranges of the primary key, and metadata have an index of their own."""
    with (
        contextlib.closing(open_storage(postgresql_server.url)) as storage,
        postgresql.psycopg.connect(postgresql_server.url, autocommit=True) as connection,
    ):
        storage.clear()
        connection.execute(
            "INSERT INTO pyrolite_names"
            " SELECT 'group' || n / 100 || '.' || n, 'PYRO:o@h:1', ARRAY['all', 'tag' || n / 10]"
            " FROM generate_series(1, 20000) AS n"
        )
        connection.execute("VACUUM ANALYZE pyrolite_names")

        def plan(condition: str, parameters: list[Any]) -> str:
            rows = connection.execute(f"EXPLAIN SELECT * FROM pyrolite_names WHERE {condition}".encode(), parameters)
            return "\n".join(row[0] for row in rows)

        assert "pyrolite_names_pkey" in plan(*postgresql._in_prefix("group17."))
        assert "pyrolite_names_metadata" in plan(*postgresql._having(frozenset(("tag77",)), frozenset()))
        assert "pyrolite_names_metadata" in plan(*postgresql._having(frozenset(), frozenset(("tag7", "tag8"))))
        assert len(storage.with_prefix("group17.")) == 100
        assert len(storage.with_metadata(frozenset(("all", "tag77")))) == 10
        storage.clear()


def test_redis_looks_at_what_it_finds(redis_server: Any) -> None:
    """[BYD-10] As counted by Redis itself: commands that look at everything are not used."""
    with (
        contextlib.closing(open_storage(redis_server.url)) as storage,
        contextlib.closing(redis.redis.Redis.from_url(redis_server.url)) as client,
    ):
        storage.clear()
        for number in range(600):
            storage.put(f"group{number // 50}.{number}", URI, frozenset(("all", f"tag{number // 5}")))
        client.config_resetstat()
        assert len(storage.with_prefix("group7.")) == 50
        assert len(storage.with_metadata(frozenset(("all", "tag77")))) == 5
        assert len(storage.with_metadata(any_of=frozenset(("tag7", "tag8")))) == 10
        assert storage.discard_prefix("group8.") == 50
        used: Any = client.info("commandstats")
        assert not {
            name for name in used if name.removeprefix("cmdstat_") in {"hgetall", "hkeys", "hvals", "keys", "scan"}
        }
        assert used["cmdstat_sismember"]["calls"] == 10  # five names, each looked up in both sets
        storage.clear()
