"""What clients do."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pyrolite
import pyrolite.errors
from pyrolite.core import SerializedBlob
from pyrolite.futures import FutureResult


class CountingProxy(pyrolite.Proxy):
    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._pyroHandshake = {"user": "me"}

    def _pyroAnnotations(self) -> dict[str, bytes]:
        return {"USER": b"me"}

    def _pyroResponseAnnotations(self, annotations: Mapping[str, bytes], msgtype: int) -> None:
        print(annotations.get("TIME", b"").decode(), msgtype)

    def own_method(self) -> int:
        return self._pyroSeq


def settings() -> None:
    pyrolite.config.SERIALIZER = "json"
    pyrolite.config.COMMTIMEOUT = 2.5
    pyrolite.config.SERIALIZERS_ACCEPTED = {"json", "msgpack"}
    sys.excepthook = pyrolite.util.excepthook


def calls() -> None:
    with CountingProxy("PYRONAME:example.shop") as shop:
        shop._pyroTimeout = 3
        shop._pyroMaxRetries = 2
        shop._pyroHmacKey = "secret"
        shop._pyroSerializer = "msgpack"
        print(shop.own_method(), shop.buy("apple"), shop.owner)
        shop.owner = "me"
        for item in shop.items():
            print(item.upper())
        shop.store(SerializedBlob("what it is", [1, 2, 3]))
        try:
            shop._pyroReconnect(tries=3)
        except pyrolite.errors.CommunicationError as error:
            print("".join(pyrolite.util.getPyroTraceback()), error)


def many_calls(proxy: pyrolite.Proxy) -> None:
    batch = pyrolite.batch(proxy)
    batch.buy("apple")
    batch.buy("pear", count=2)
    for result in batch():
        print(result)
    pyrolite.asyncproxy(proxy)
    later: FutureResult = proxy.buy("apple")
    later.then(print, "bought").iferror(lambda error: print(type(error)))
    if later.wait(1.5) and later.ready:
        print(later.value)
    future = pyrolite.Future(len)
    future.delay(0.5)
    print(future([1, 2]).value)


def addresses() -> str:
    uri = pyrolite.resolve("PYRONAME:example.shop")
    port: int | None = uri.port
    host: str | None = uri.host
    return f"{uri.protocol}, {uri.object}, {host}, {port}, {uri.asString()}"


async def awaited(proxy: pyrolite.Proxy) -> int:
    proxy._pyroAsync()
    later: FutureResult = proxy.buy("apple")
    first: int = await later
    second: int = later.as_future().result(timeout=1)
    return first + second
