"""A factory for counters that live in this process. With --no-autoproxy it tries to send the counters themselves."""

import sys

import pyrolite


@pyrolite.expose
class Counter:
    def __init__(self, name: str) -> None:
        self._name = name
        self._value = 0

    def increment(self) -> int:
        self._value += 1
        print(f"counter {self._name} is at {self._value}")
        return self._value


@pyrolite.expose
class Factory:
    def counter(self, name: str) -> Counter:
        counter = Counter(name)
        self._pyroDaemon.register(counter)  # type: ignore[attr-defined]  # the daemon was set by its own register()
        return counter  # a registered object: with AUTOPROXY, the caller gets a proxy for it

    def counters(self, names: list[str]) -> dict[str, Counter]:
        return {name: self.counter(name) for name in names}  # nested in other data works as well


def main() -> None:
    if "--no-autoproxy" in sys.argv:
        pyrolite.config.AUTOPROXY = False
    with pyrolite.Daemon() as daemon:
        print("the factory is ready:", daemon.register(Factory()))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
