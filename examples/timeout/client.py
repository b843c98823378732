"""Does not wait for ever."""

import time
from collections.abc import Callable

import pyrolite


def attempt(what: str, call: Callable[[], object]) -> None:
    started = time.perf_counter()
    try:
        result = str(call())
    except pyrolite.errors.TimeoutError:
        result = "TimeoutError"
    print(f"{what}: {result}, after {time.perf_counter() - started:.1f} s")


def main() -> None:
    with pyrolite.Proxy("PYRONAME:example.timeout.sleeper") as sleeper:
        attempt("no timeout", lambda: sleeper.answer_after(0.5))
        sleeper._pyroTimeout = 0.2  # also for a proxy that is connected already
        attempt("timeout of the proxy", lambda: sleeper.answer_after(0.5))
        attempt("quick enough", lambda: sleeper.answer_after(0.0))
        sleeper._pyroTimeout = None
        attempt("no timeout again", lambda: sleeper.answer_after(0.5))

    pyrolite.config.COMMTIMEOUT = 0.3  # for all proxies that are made from now on
    with pyrolite.Proxy("PYRONAME:example.timeout.sleeper") as sleeper:
        attempt("timeout from the configuration", lambda: sleeper.answer_after(0.5))
    with pyrolite.Proxy("PYRONAME:example.timeout.dead") as dead:
        attempt("a server that is not responding", lambda: dead.anything())  # noqa: PLW0108 - connecting fails


if __name__ == "__main__":
    main()
