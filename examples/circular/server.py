"""One station of a circle: python server.py [NAME NEXT]."""

import sys

import pyrolite


class Station:
    def __init__(self, name: str, following: str) -> None:
        self._name = name
        self._following = following

    @pyrolite.expose
    def pass_on(self, route: list[str]) -> list[str]:
        """Add this station to the route and pass it on, until it is back where it has been already."""
        if self._name in route:
            print(f"{self._name}: the circle is closed")
            return [*route, self._name]
        print(f"{self._name}: passing on to {self._following}")
        # a proxy of its own for each call, since several calls may be here at the same time
        with pyrolite.Proxy(f"PYRONAME:example.circular.{self._following}") as station:
            result: list[str] = station.pass_on([*route, self._name])
        print(f"{self._name}: the answer came back")
        return result


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else input("Name of this station: ")
    following = sys.argv[2] if len(sys.argv) > 2 else input("Name of the next one: ")
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register(f"example.circular.{name}", daemon.register(Station(name, following)))
        print(f"station {name} is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
