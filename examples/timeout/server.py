"""Answers after a while; and a port that never answers at all."""

import socket
import time

import pyrolite


@pyrolite.expose
class Sleeper:
    def answer_after(self, seconds: float) -> str:
        time.sleep(seconds)
        return f"slept for {seconds} s"


def main() -> None:
    with (
        socket.create_server(("localhost", 0)) as silent,  # takes connections and does nothing with them
        pyrolite.Daemon() as daemon,
        pyrolite.locateNS() as nameserver,
    ):
        host, port = silent.getsockname()[:2]
        nameserver.register("example.timeout.sleeper", daemon.register(Sleeper))
        nameserver.register("example.timeout.dead", f"PYRO:dead@{host}:{port}")
        print("the sleeper is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
