"""Something that takes a little time, such as a database would."""

import time

import pyrolite


@pyrolite.expose
class Database:
    def query(self, question: str) -> str:
        time.sleep(0.03)
        return question.upper()


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.proxysharing", daemon.register(Database))
        print("the database is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
