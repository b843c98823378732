"""A server that closes connections on which nothing has happened for half a second."""

import pyrolite

pyrolite.config.COMMTIMEOUT = 0.5


@pyrolite.expose
class Clock:
    def tick(self) -> str:
        return "tock"


class NoticingDaemon(pyrolite.Daemon):
    def clientDisconnect(self, conn: pyrolite.socketutil.SocketConnection) -> None:
        print("a client is gone")


def main() -> None:
    with NoticingDaemon() as daemon:
        print("the clock is ready:", daemon.register(Clock))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
