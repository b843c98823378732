"""Tests with the fixtures and context managers of `pyrolite.testing`."""

from __future__ import annotations

from collections.abc import Callable

from shop import Shop

import pyrolite
from pyrolite.configuration import Configuration
from pyrolite.message import Message
from pyrolite.testing import (
    MemoryConnection,
    RunningNameServer,
    leak_check,
    restored_config,
    running_daemon,
    running_nameserver,
)


def test_with_fixtures(
    pyro_leakcheck: None,
    pyro_config: Configuration,
    pyro_serve: Callable[..., pyrolite.Proxy],
    pyro_nameserver: RunningNameServer,
) -> None:
    pyro_config.COMMTIMEOUT = 2
    shop = pyrolite.typed(Shop, pyro_serve(Shop, "shop"))
    assert shop.buy("apple") == 1
    pyrolite.locateNS().register("example.shop", pyro_nameserver.uri)


def test_without() -> None:
    with leak_check(), restored_config(SERIALIZER="json") as config, running_daemon({"shop": Shop}) as running:
        uri: pyrolite.URI = running.uris["shop"]
        daemon: pyrolite.Daemon = running.daemon
        print(config.SERIALIZER, uri, daemon.locationStr)
    with running_nameserver(servertype="multiplex") as nameserver:
        print(nameserver.uri)
    connection = MemoryConnection()
    connection.feed(b"1234")
    messages: list[Message] = connection.take_messages()
    print(messages)
