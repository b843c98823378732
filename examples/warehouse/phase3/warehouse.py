"""Phase 3: the warehouse is found in the name server."""

import threading

import pyrolite


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Warehouse:
    def __init__(self) -> None:
        self._lock = threading.Lock()  # visitors come at the same time now
        self._things = ["chair", "bike", "flashlight", "laptop", "couch"]

    def content(self) -> list[str]:
        return list(self._things)

    def store(self, name: str, thing: str) -> None:
        with self._lock:
            self._things.append(thing)
        print(f"{name} stored the {thing}")

    def take(self, name: str, thing: str) -> None:
        with self._lock:
            if thing not in self._things:
                raise ValueError(f"there is no {thing}")
            self._things.remove(thing)
        print(f"{name} took the {thing}")


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.warehouse", daemon.register(Warehouse))
        print("the warehouse is ready: PYRONAME:example.warehouse")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
