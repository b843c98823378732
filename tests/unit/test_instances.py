"""Instances of registered classes ([DMN-70] to [DMN-74])."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pyrolite.core.exposure import behavior
from pyrolite.core.instances import InstanceTable
from pyrolite.errors import DaemonError
from pyrolite.testing.memory import MemoryConnection

LONG = 20.0


@pytest.fixture
def table() -> InstanceTable:
    return InstanceTable()


def connection() -> Any:
    return MemoryConnection()


def make_class(mode: str, creator: Callable[[type], Any] | None = None) -> type:
    class Thing:
        pass

    return behavior(mode, creator)(Thing)


class Falsy:
    def __len__(self) -> int:
        return 0


class TestModes:
    def test_session(self, table: InstanceTable) -> None:
        """[DMN-70]: one per connection and class, kept with the connection."""
        cls, other = make_class("session"), make_class("session")
        one, two = connection(), connection()
        first = table.instance_for(cls, one)
        assert type(first) is cls
        assert table.instance_for(cls, one) is first
        assert table.instance_for(cls, two) is not first
        assert type(table.instance_for(other, one)) is other
        assert one.pyroInstances[cls] is first
        assert table.singletons == {}
        one.close()
        assert table.instance_for(cls, connection()) is not first

    def test_single(self, table: InstanceTable) -> None:
        """[DMN-70]: one for the daemon."""
        cls = make_class("single")
        first = table.instance_for(cls, connection())
        assert table.instance_for(cls, connection()) is first
        assert table.singletons == {cls: first}
        assert InstanceTable().instance_for(cls, connection()) is not first

    def test_percall(self, table: InstanceTable) -> None:
        """[DMN-70]: a new one for every call."""
        cls, conn = make_class("percall"), connection()
        assert table.instance_for(cls, conn) is not table.instance_for(cls, conn)
        assert conn.pyroInstances == {}
        assert table.singletons == {}

    def test_unknown_mode(self, table: InstanceTable) -> None:
        """[DMN-70]"""
        cls = make_class("single")
        cls._pyroInstancing = ("wrong", None)  # type: ignore[attr-defined]
        with pytest.raises(DaemonError, match="wrong"):
            table.instance_for(cls, connection())

    @pytest.mark.parametrize("mode", ["session", "single"])
    def test_falsy_instances(self, table: InstanceTable, mode: str) -> None:
        """[DMN-72], [HRD-31]: are there, too."""
        cls, conn = behavior(mode)(type("Falsy", (Falsy,), {})), connection()
        instance = table.instance_for(cls, conn)
        assert not instance
        assert table.instance_for(cls, conn) is instance

    @pytest.mark.parametrize("mode", ["session", "single", "percall"])
    def test_marks_of_the_registration(self, table: InstanceTable, mode: str) -> None:
        """[DMN-74]: come from the class."""
        cls = make_class(mode)
        cls._pyroId, cls._pyroDaemon = "id", "daemon"  # type: ignore[attr-defined]
        instance = table.instance_for(cls, connection())
        assert (instance._pyroId, instance._pyroDaemon) == ("id", "daemon")
        assert not vars(instance)


class TestCreators:
    @pytest.mark.parametrize("mode", ["session", "single", "percall"])
    def test_creator(self, table: InstanceTable, mode: str) -> None:
        """[DMN-71]: is called with the class."""
        seen: list[type] = []

        def creator(cls: type) -> Any:
            seen.append(cls)
            return cls()

        cls = make_class(mode, creator)
        assert type(table.instance_for(cls, connection())) is cls
        assert seen == [cls]

    def test_subclass_is_fine(self, table: InstanceTable) -> None:
        """[DMN-71]"""
        cls = make_class("single", lambda cls: type("Sub", (cls,), {})())
        assert isinstance(table.instance_for(cls, connection()), cls)

    @pytest.mark.parametrize("mode", ["session", "single", "percall"])
    @pytest.mark.parametrize("wrong", [None, 5, object()])
    def test_wrong_result(self, table: InstanceTable, mode: str, wrong: Any) -> None:
        """[DMN-71]"""
        with pytest.raises(TypeError, match=r"^instance creator returned object of different type$"):
            table.instance_for(make_class(mode, lambda cls: wrong), connection())

    @pytest.mark.parametrize("mode", ["session", "single", "percall"])
    @pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
    def test_errors(
        self, table: InstanceTable, mode: str, kind: type[BaseException], caplog: pytest.LogCaptureFixture
    ) -> None:
        """[DMN-71], [HRD-22]: logged and raised; the next call tries again."""
        fail = True

        def creator(cls: type) -> Any:
            if fail:
                raise kind("creation failed")
            return cls()

        cls, conn = make_class(mode, creator), connection()
        with caplog.at_level(logging.ERROR, "pyrolite.core"), pytest.raises(kind, match="creation failed"):
            table.instance_for(cls, conn)
        (record,) = caplog.records
        assert record.exc_info is not None
        fail = False
        assert type(table.instance_for(cls, conn)) is cls

    def test_errors_of_the_class(self, table: InstanceTable, caplog: pytest.LogCaptureFixture) -> None:
        """[DMN-71]"""

        @behavior("percall")
        class Thing:
            def __init__(self) -> None:
                raise ValueError("no instance")

        with caplog.at_level(logging.ERROR, "pyrolite.core"), pytest.raises(ValueError, match="no instance"):
            table.instance_for(Thing, connection())
        assert "Thing" in caplog.text


class TestThreads:
    def test_single_is_created_once(self, table: InstanceTable) -> None:
        """[DMN-70]"""
        created: list[Any] = []
        started = threading.Barrier(4, timeout=LONG)

        def creator(cls: type) -> Any:
            created.append(cls())
            return created[-1]

        cls = make_class("single", creator)

        def get() -> Any:
            started.wait()
            return table.instance_for(cls, connection())

        with ThreadPoolExecutor(4) as pool:
            instances = [call.result(LONG) for call in [pool.submit(get) for _ in range(4)]]
        assert len(created) == 1
        assert all(instance is created[0] for instance in instances)

    def test_creator_that_needs_another_object(self, table: InstanceTable) -> None:
        """[DMN-70]: of the same daemon, in another thread: no deadlock."""
        other = make_class("single")

        def creator(cls: type) -> Any:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(table.instance_for, other, connection()).result(LONG)
            return cls()

        cls = make_class("single", creator)
        assert type(table.instance_for(cls, connection())) is cls
        assert set(table.singletons) == {cls, other}
