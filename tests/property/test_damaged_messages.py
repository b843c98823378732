"""Damaged messages in memory, many in little time: what daemons and proxies do ([HRD-1], [HRD-3], [WIRE-50])."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from pyrolite import Daemon, Proxy, config, expose
from pyrolite.errors import (
    CommunicationError,
    ConnectionClosedError,
    ProtocolError,
    PyroError,
    SecurityError,
)
from pyrolite.testing.memory import MemoryConnection
from pyrolite.wire import v48
from pyrolite.wire.message import FLAGS_EXCEPTION, FLAGS_ONEWAY, MSG_INVOKE, MSG_PING, MSG_RESULT

from ..mutations import answers, damaged, recorded, requests

# As many as one likes: PYROLITE_FUZZ_CASES=100000.
CASES = int(os.environ.get("PYROLITE_FUZZ_CASES", "3000"))
SEED = int(os.environ.get("PYROLITE_FUZZ_SEED", "1"))
#: What an honest server may say too: the connection is kept ([WIRE-123]).
HONEST = ("unsupported serialized class", "result of call is an iterator, but the server")
SERIALIZERS = {"serpent", "json", "marshal", "msgpack"}


@expose
class Target:
    """What the recorded and the other messages call."""

    def echo(self, value: Any) -> Any:
        return value

    def numbers(self, count: Any) -> Iterator[int]:
        return iter(range(3))

    @property
    def broken(self) -> Any:
        raise ValueError("broken")


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with Daemon("127.0.0.1", config=config.copy(SERIALIZERS_ACCEPTED=SERIALIZERS, ITER_STREAM_MAX=100)) as daemon:
        daemon.register(Target(), "target")
        daemon.register(Target(), "vec.obj")
        yield daemon


@pytest.mark.timeout(600)
def test_requests(daemon: Daemon) -> None:
    """Every message is answered, or ends its connection with an error of the library; and never anything else."""
    messages = damaged(recorded(requests=True) + requests("target"), random.Random(SEED))
    answered = refused = 0
    for _ in range(CASES):
        message = next(messages)
        connection = MemoryConnection(message)
        try:
            daemon.handleRequest(connection)
        except (ProtocolError, SecurityError, ConnectionClosedError):
            refused += 1
            continue
        except ValueError:  # which only the correlation id of a ping may raise
            if b"CORR" not in message:
                print(message.hex())
                raise
            refused += 1
            continue
        except BaseException:
            print(message.hex())
            raise
        answered += 1
        answers = connection.take_messages()
        _, _, kind, flags, seq = (int.from_bytes(message[i : i + 2], "big") for i in (0, 4, 6, 8, 10))
        if flags & FLAGS_ONEWAY and kind == MSG_INVOKE:
            assert not answers
        else:
            assert [(each.type, each.seq) for each in answers] == [(MSG_PING if kind == MSG_PING else MSG_RESULT, seq)]
    assert answered > CASES // 4
    assert refused > CASES // 5


@pytest.mark.timeout(600)
def test_greetings(daemon: Daemon) -> None:
    """A handshake is answered with yes or no, or not at all."""
    messages = damaged(recorded(requests=True) + requests("target"), random.Random(SEED + 1))
    outcomes = {True: 0, False: 0}
    for _ in range(CASES // 2):
        message = next(messages)
        connection = MemoryConnection(message)
        try:
            accepted = daemon._handshake(connection)
        except BaseException:
            print(message.hex())
            raise
        outcomes[accepted] += 1
        kinds = [each.type for each in connection.take_messages()]
        assert kinds == [2] if accepted else kinds in ([3], []), message.hex()
    assert outcomes[True] > CASES // 1500
    assert outcomes[False] > CASES // 60


class LineToServer(MemoryConnection):
    """The connection of a proxy, as far as it needs one."""

    def setTimeout(self, timeout: float | None) -> None:
        """There is nothing to wait for."""

    def close(self) -> None:
        self.closed = True


@pytest.mark.timeout(600)
def test_answers() -> None:
    """A client raises what the answer says, or an error of the library; never the exit of the program."""
    rnd = random.Random(SEED + 2)
    messages = damaged(answers() + recorded(requests=False), rnd)
    outcomes: dict[str, int] = {}
    for _ in range(CASES):
        message = bytearray(next(messages))
        serializer = rnd.choice(sorted(SERIALIZERS))
        proxy = Proxy("PYRO:target@localhost:1")
        proxy._pyroSerializer = serializer
        proxy._pyroMethods = {"echo"}
        proxy.__dict__["_pyroConnection"] = line = LineToServer(objectId="target")
        if len(message) >= 24 and rnd.random() < 0.9:
            _let_it_answer(message, {"json": 2, "marshal": 3, "msgpack": 6}.get(serializer, 1))
        line.feed(bytes(message))
        exceptional = len(message) >= 24 and message[9] & FLAGS_EXCEPTION
        outcome, error = _outcome(proxy)
        if outcome == "remote exception":
            assert exceptional, (error, message.hex())
        elif isinstance(error, CommunicationError) and not exceptional and not str(error).startswith(HONEST):
            assert proxy._pyroConnection is None, message.hex()
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        proxy.__dict__["_pyroConnection"] = None
    assert len(outcomes) > 4, outcomes
    assert outcomes["value"] > CASES // 50


def _outcome(proxy: Proxy) -> tuple[str, Exception | None]:
    """What comes of a call."""
    try:
        proxy.echo(1)
    except PyroError as error:
        return type(error).__name__, error
    except Exception as error:
        return "remote exception", error
    return "value", None


def _let_it_answer(message: bytearray, serializer: int) -> None:
    """Make it the answer to the first request: sequence number, serializer, checksum."""
    message[10:12] = b"\0\1"
    message[16:18] = serializer.to_bytes(2, "big")
    total = sum(int.from_bytes(message[i : i + 2], "big") for i in (4, 6, 8, 10, 16, 18))
    total += int.from_bytes(message[12:16], "big") + v48.CHECKSUM_MAGIC
    message[22:24] = (total & 0xFFFF).to_bytes(2, "big")
