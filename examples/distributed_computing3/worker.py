"""One worker of many: python worker.py [NAME]. All of them are alike, so they are found by what they can do."""

import os
import sys

import pyrolite


@pyrolite.expose
class Worker:
    def is_prime(self, number: int) -> bool:
        if number < 2:
            return False
        divisor = 2
        while divisor * divisor <= number:
            if number % divisor == 0:
                return False
            divisor += 1
        return True


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else f"worker{os.getpid()}"
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        uri = daemon.register(Worker, name)
        nameserver.register(f"example.primes.{name}", uri, metadata={"example.primes", "cpu:any"})
        print(f"{name} is ready")
        daemon.requestLoop()
        nameserver.remove(f"example.primes.{name}")


if __name__ == "__main__":
    main()
