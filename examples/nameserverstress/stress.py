"""Many threads use the name server at the same time: python stress.py [THREADS [ROUNDS]]."""

import random
import sys
import threading
import time
from collections import Counter

import pyrolite


class Stress:
    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._lock = threading.Lock()  # protects what follows
        self.calls: Counter[str] = Counter()
        self.errors: list[Exception] = []

    def run(self, number: int) -> None:
        try:
            with pyrolite.locateNS() as nameserver:
                for turn in range(self._rounds):
                    self._turn(nameserver, f"example.stress.{number}.{turn}")
        except Exception as error:
            with self._lock:
                self.errors.append(error)

    def _turn(self, nameserver: pyrolite.Proxy, name: str) -> None:
        uri = f"PYRO:{name}@localhost:{random.randrange(1, 65536)}"
        nameserver.register(name, uri, metadata={"stress"})
        assert str(nameserver.lookup(name)) == uri
        assert name in nameserver.list(prefix=name)
        assert name in nameserver.list(metadata_any={"stress"})
        assert nameserver.remove(name) == 1
        try:
            nameserver.lookup(name)
        except pyrolite.errors.NamingError:
            pass
        else:
            raise AssertionError(f"{name} should be gone")
        with self._lock:
            self.calls.update({"register": 1, "lookup": 2, "list": 2, "remove": 1})


def main() -> None:
    threads_wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    stress = Stress(int(sys.argv[2]) if len(sys.argv) > 2 else 100)
    with pyrolite.locateNS() as nameserver:
        before = nameserver.count()
        threads = [threading.Thread(target=stress.run, args=(number,)) for number in range(threads_wanted)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        duration = time.perf_counter() - started
        total = sum(stress.calls.values())
        print(f"{total} calls from {len(threads)} threads, {total / duration:.0f} a second")
        print("calls:", dict(sorted(stress.calls.items())))
        print("errors:", stress.errors or "none")
        print("as many names as before:", nameserver.count() == before)


if __name__ == "__main__":
    main()
