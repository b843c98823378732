"""One client of a soak test, a process of its own: ``soaker.py URI SEED``.

Does everything that clients do, in random order, until a line comes on stdin; then prints how many calls it has made.
It ends with an error as soon as something is not as it should be.
"""

from __future__ import annotations

import json
import random
import select
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pyrolite import Proxy, batch, current_context
from pyrolite.errors import ConnectionClosedError, PyroError

SERIALIZERS = ("serpent", "json", "marshal", "msgpack")


class Soaker:
    """Makes calls of all kinds over one proxy, and counts them."""

    def __init__(self, uri: str, seed: int) -> None:
        self._uri = uri
        self._random = random.Random(seed)
        self.calls = 0
        self._proxy = self._new_proxy()
        self._kinds: tuple[tuple[Callable[[], None], int], ...] = (
            (self._echo, 60),
            (self._large, 2),
            (self._batch, 5),
            (self._stream, 4),
            (self._broken_stream, 2),
            (self._oneway, 6),
            (self._failure, 6),
            (self._odd_failure, 3),
            (self._annotated, 3),
            (self._session, 1),
            (self._reconnect, 2),
            (self._rude, 1),
            (self._shared, 1),
        )

    def _new_proxy(self, name: str = "target") -> Proxy:
        proxy = Proxy(self._uri.replace("target", name))
        proxy._pyroTimeout = 30
        proxy._pyroSerializer = self._random.choice(SERIALIZERS)
        return proxy

    def step(self) -> None:
        kinds, weights = zip(*self._kinds, strict=True)
        self._random.choices(kinds, weights)[0]()

    def _echo(self) -> None:
        value: Any = self._random.choice([1, "text", ["list", 1, 2.5], {"key": ["x", None]}, "x" * 2000])
        for _ in range(20):
            assert self._proxy.echo(value) == value
        self.calls += 20

    def _large(self) -> None:
        value = "x" * self._random.choice([70_000, 300_000])
        assert self._proxy.echo(value) == value
        self.calls += 1

    def _batch(self) -> None:
        calls = batch(self._proxy)
        for number in range(10):
            calls.echo(number)
        assert list(calls()) == list(range(10))
        self.calls += 10

    def _stream(self) -> None:
        assert list(self._proxy.numbers(5)) == [0, 1, 2, 3, 4]
        self.calls += 6

    def _broken_stream(self) -> None:
        numbers = self._proxy.numbers(50)
        assert next(numbers) == 0
        if self._random.random() < 0.5:
            numbers.close()
        self.calls += 3

    def _oneway(self) -> None:
        for _ in range(5):
            self._proxy.note()
        self.calls += 5

    def _failure(self) -> None:
        try:
            self._proxy.fail("value")
        except ValueError as error:
            assert str(error) == "wrong value"  # noqa: PT017 - there is no pytest here
        else:
            raise AssertionError("no error")
        self.calls += 1

    def _odd_failure(self) -> None:
        for kind in ("system exit", "textless", "unserializable"):
            try:
                self._proxy.fail(kind)
            except PyroError:
                self.calls += 1
        try:
            list(self._proxy.failing_numbers("value"))
        except ValueError:
            self.calls += 2

    def _annotated(self) -> None:
        current_context.annotations = {"SOAK": b"x" * 100}
        assert "SOAK" in self._proxy.context()["annotations"]
        self.calls += 1

    def _session(self) -> None:
        with self._new_proxy("empty") as session:
            assert [session.add(number) for number in range(3)] == [1, 2, 3]
        with self._new_proxy("holder") as holder:
            holder.hold()
        self.calls += 4

    def _reconnect(self) -> None:
        if self._random.random() < 0.5:
            self._proxy._pyroRelease()
        else:
            self._proxy = self._new_proxy()
        assert self._proxy.echo(None) is None
        self.calls += 1

    def _rude(self) -> None:
        location = self._uri.rpartition("@")[2]
        host, _, port = location.rpartition(":")
        with socket.create_connection((host, int(port)), 10) as sock:
            sock.sendall(self._random.randbytes(self._random.choice([5, 24, 100])))

    def _shared(self) -> None:
        def use() -> None:
            for number in range(10):
                try:
                    assert self._proxy.echo(number) == number
                except ConnectionClosedError as error:
                    raise AssertionError("lost") from error

        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.calls += 30


def main() -> None:
    soaker = Soaker(sys.argv[1], int(sys.argv[2]))
    while not select.select([sys.stdin], [], [], 0)[0]:
        soaker.step()
        if sys.stdin.closed:
            return
    print(json.dumps(soaker.calls), flush=True)


if __name__ == "__main__":
    main()
