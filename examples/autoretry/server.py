"""A server that closes connections on which nothing has happened for half a second."""

import pyrolite

pyrolite.config.COMMTIMEOUT = 0.5


@pyrolite.expose
class Adder:
    def add(self, a: int, b: int) -> int:
        return a + b


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.autoretry", daemon.register(Adder))
        print("the adder is ready: PYRONAME:example.autoretry")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
