"""A client, a process of its own with little memory, that does what it is told with a server that is not well-behaved.

Each line on stdin is a JSON object: ``host``, ``port``, ``action`` (see `ACTIONS`), ``serializer``, ``timeout`` in
seconds and ``config``. The answer tells what came of it: ``error`` (the class, with its bases), ``cause``, ``text``,
``value``, ``seconds``, and ``again``: the same for a second call over the same proxy. With ``more``, there is another
call for each line ``more`` after that.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pyrolite import Proxy, config
from pyrolite.util import getPyroTraceback


def _batch(proxy: Proxy, slow: bool = False) -> Any:
    batch = proxy._pyroBatch()
    batch.echo(1)
    if slow:
        batch.slow(1.5)
    return list(batch())


def _stream(proxy: Proxy) -> Any:
    return [item for item, _ in zip(proxy.numbers(3), range(10), strict=False)]


def _half(proxy: Proxy) -> None:
    proxy._pyroBind()
    assert proxy._pyroConnection is not None
    proxy._pyroConnection.send(b"PYRO\x00\x30\x00\x04")
    time.sleep(60)


ACTIONS: dict[str, Callable[[Proxy], Any]] = {
    "bind": lambda proxy: proxy._pyroBind(),
    "echo": lambda proxy: proxy.echo(1),
    "attribute": lambda proxy: proxy.x,
    "batch": _batch,
    "stream": _stream,
    "many": lambda proxy: [proxy.echo(number) for number in range(50)] == list(range(50)),
    "large": lambda proxy: len(proxy.echo("x" * 200_000)),
    "note": lambda proxy: [proxy.note() for _ in range(20)],
    "noted": lambda proxy: proxy.noted(),
    "half a call": _half,
    "slow": lambda proxy: proxy.slow(1.5),
    "slow stream": lambda proxy: list(proxy.pause(0.7)),
    "slow batch": lambda proxy: _batch(proxy, slow=True),
}


def outcome(proxy: Proxy, action: str) -> dict[str, Any]:
    begin = time.monotonic()
    told: dict[str, Any] = {}
    try:
        told["value"] = repr(ACTIONS[action](proxy))[:200]
    except BaseException as error:
        told["error"] = [cls.__name__ for cls in type(error).__mro__]
        told["cause"] = type(error.__cause__).__name__ if error.__cause__ is not None else None
        try:
            told["text"] = ascii(str(error))[:300]
        except BaseException as textless:
            told["text"] = f"no text: {textless!r}"
        told["traceback"] = len(getPyroTraceback(type(error), error, error.__traceback__))
    told["seconds"] = time.monotonic() - begin
    return told


def main() -> None:
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        order = json.loads(line)
        config.reset(False)
        for name, value in order.get("config", {}).items():
            setattr(config, name, value)
        proxy = Proxy(f"PYRO:target@{order.get('host', '127.0.0.1')}:{order['port']}")
        proxy._pyroTimeout = order.get("timeout", 5)
        proxy._pyroSerializer = order.get("serializer", "serpent")
        proxy._pyroHmacKey = order.get("hmac_key")
        with proxy:
            told = outcome(proxy, order["action"])
            if order.get("again"):
                told["again"] = outcome(proxy, "echo")
            while order.get("more") and sys.stdin.readline() == "more\n":
                print(json.dumps(told), flush=True)
                told = outcome(proxy, "echo")
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
