"""Large payloads through both kinds of servers: in pieces, into kept buffers, whatever else is on ([BYD-55])."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
import serpent

import pyrolite

#: Into a kept buffer, and into memory that grows.
SIZES = (300_000, 3_000_000)


@pyrolite.expose
class Large:
    """Gives back what it gets."""

    def echo(self, *args: Any) -> Any:
        return args[0] if len(args) == 1 else args

    def size(self, data: bytes) -> int:
        return len(data)


def pattern(size: int, start: int = 0) -> bytes:
    """Bytes that tell where they have come from."""
    return (bytes((start + number) % 251 for number in range(251)) * (size // 251 + 1))[:size]


SERIALIZERS = ("marshal", "pickle", "msgpack", "json", "serpent")


@pytest.fixture
def uri(start: Any) -> Any:
    return start({"large": Large()}, SERIALIZERS_ACCEPTED=set(SERIALIZERS)).uris["large"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_there_and_back(uri: Any, connect: Any, serializer: str, size: int) -> None:
    """[WIRE-6], [SER-10]: alone, and among other arguments."""
    proxy = connect(uri, Serializer=serializer)
    data = pattern(size)
    if serializer == "json":  # which has no bytes
        text = data.decode("latin-1")
        assert proxy.echo(text) == text
        return
    for _ in range(2):
        assert serpent.tobytes(proxy.echo(data)) == data
    arguments = [data, data[:100_000], b"small"]
    assert [serpent.tobytes(item) for item in proxy.echo(*arguments)] == arguments
    if serializer != "serpent":
        assert proxy.size(data) == size


@pytest.mark.parametrize("serializer", ["marshal", "serpent"])
def test_signed_and_logged(
    start: Any, connect: Any, pyro_config: Any, caplog: pytest.LogCaptureFixture, serializer: str
) -> None:
    """[WIRE-31], [CFG-2]: the digest is that of all pieces; what is logged is a short piece of them."""
    caplog.set_level(logging.DEBUG, "pyrolite")
    pyro_config.LOGWIRE = True
    daemon = start({"large": Large()}, hmac_key=b"secret", SERIALIZERS_ACCEPTED={serializer}, LOGWIRE=True)
    proxy = connect(daemon.uris["large"], Serializer=serializer, HmacKey=b"secret")
    for size in SIZES:
        data = pattern(size)
        assert proxy.echo(proxy.echo(data)) == proxy.echo(data)
    assert any("data=" in record.getMessage() for record in caplog.records)
    assert max(len(record.getMessage()) for record in caplog.records) < 100_000


def test_compressed(start: Any, connect: Any, pyro_config: Any) -> None:
    """[WIRE-40]"""
    pyro_config.COMPRESSION = True
    uri = start({"large": Large()}, COMPRESSION=True, SERIALIZERS_ACCEPTED={"marshal"}).uris["large"]
    proxy = connect(uri, Serializer="marshal")
    for size in SIZES:
        assert proxy.echo(pattern(size)) == pattern(size)


def test_many_at_once(uri: Any) -> None:
    """[HRD-5]: nobody gets what is another one's, though all receive into the same few buffers."""
    wrong: list[str] = []

    def work(number: int) -> None:
        with pyrolite.Proxy(uri) as proxy:
            proxy._pyroSerializer = SERIALIZERS[number % 3]
            for turn in range(12):
                data = pattern(200_000 + 37_000 * number + turn, 13 * number + turn)
                if proxy.echo(data) != data:
                    wrong.append(f"{number}, {turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not wrong


def test_blobs_and_raw_answers_keep_their_data(start: Any, connect: Any) -> None:
    """[BLOB-3], [PRX-9]: what is kept does not change when the next large messages arrive."""
    kept = []

    @pyrolite.expose
    class Keeper:
        def keep(self, blob: Any) -> None:
            kept.append(blob)

        def echo(self, data: bytes) -> bytes:
            return data

    uri = start({"keeper": Keeper()}, SERIALIZERS_ACCEPTED={"marshal"}).uris["keeper"]
    proxy = connect(uri, Serializer="marshal")
    raw = []
    for number in range(8):
        proxy.keep(pyrolite.core.SerializedBlob("info", pattern(200_000, number)))
        proxy._pyroRawWireResponse = True
        raw.append(proxy.echo(pattern(300_000, number)))
        proxy._pyroRawWireResponse = False
    for number in range(8):
        assert kept[number].deserialized() == pattern(200_000, number)
        assert type(raw[number].data) is bytes
        assert pattern(300_000, number) in raw[number].data
