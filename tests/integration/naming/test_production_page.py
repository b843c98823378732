"""The page on name services in production does what it says, with real servers and stores ([BYD-10] to [BYD-16])."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("markdown_it")

from ... import stores
from ..documentation.pages import REPOSITORY, Block, blocks_of
from ..documentation.stage import Stage, StageError

PAGE = REPOSITORY / "docs" / "topics" / "name-service-in-production.md"


def sections() -> dict[str, list[Block]]:
    """The blocks of the page by the heading that they stand below."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    starts = [(number, line[3:]) for number, line in enumerate(lines, 1) if line.startswith("## ")]
    blocks = [block for block in blocks_of(PAGE) if block.kind != "not run"]
    ends = itertools.chain((number for number, _ in starts[1:]), [len(lines)])
    return {
        title: [block for block in blocks if start < block.line < end]
        for (start, title), end in zip(starts, ends, strict=True)
    }


class ProductionStage(Stage):
    """A stage on which name servers can be killed, and which has a database."""

    def __init__(self, directory: Path, database: stores.PostgresqlServer | None) -> None:
        super().__init__(directory)
        script = self._programs / "pyrolite-ns"
        # the id of the process is in a file that is called as the host that it is given
        script.write_text(script.read_text().replace("#!/bin/sh\n", '#!/bin/sh\necho $$ > "$2.pid"\n'))
        if database is not None:
            administrators = directory / "administrators.pgpass"
            administrators.write_text(f"*:*:*:names:{database.password}\n")
            administrators.chmod(0o600)
            self._environment |= {"PGPORT": str(database.port), "PGUSER": "names", "PGPASSFILE": str(administrators)}

    def _local(self, text: str) -> str:
        text = text.replace("/usr/local/bin/", f"{self._programs}/")
        text = text.replace("6379", str(self._port("6379")))
        return super()._local(text)


@pytest.fixture
def database() -> Iterator[stores.PostgresqlServer]:
    """A PostgreSQL server, with a password."""
    pytest.importorskip("psycopg_pool")
    try:
        server = stores.PostgresqlServer(password="administrator")
    except stores.Missing as reason:
        pytest.skip(str(reason))
    with contextlib.closing(server):
        yield server


@pytest.mark.parametrize("title", sections())
def test_section(title: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """[BYD-10] [BYD-11] [BYD-13] [BYD-14] [BYD-16] Every command of the section, in order."""
    blocks = sections()[title]
    text = "".join(block.text for block in blocks)
    database = request.getfixturevalue("database") if "postgresql://" in text else None
    if "redis-server" in text:
        pytest.importorskip("redis")
        try:
            stores.REDIS.path()
        except stores.Missing as reason:
            pytest.skip(str(reason))
    with ProductionStage(tmp_path, database) as stage:
        for block in blocks:
            needed = re.match(r"\$ (systemd-analyze|openssl) ", block.text)
            if needed and not shutil.which(needed[1]):
                if needed[1] == "systemd-analyze":
                    continue  # the unit is also run by the page itself
                pytest.skip(f"needs the program {needed[1]}")
            try:
                stage.perform(block)
            except StageError as error:
                pytest.fail(f"{PAGE.name}:{block.line}: {error}", pytrace=False)


def test_page_is_complete() -> None:
    """[BYD-10] [BYD-14] [NS-28] What the page has to tell has commands that are run."""
    commands = "".join(block.text for blocks in sections().values() for block in blocks)
    for part in (
        "systemd-analyze verify", "ExecStart=", "sql:", "postgresql://", "redis://", "PYRO_NS_HOST=192.168.1.10,",
        "PYRO_SSL=1", ".backup(", "pg_dump", "--rdb", "register_ns(", "--ttl", "PYRO_NS_AUTOCLEAN=", "--wait",
        "_pyroWait(", "locateNS(timeout=",
    ):  # fmt: skip
        assert part in commands
