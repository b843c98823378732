"""Ten threads: with one proxy for all of them, and with a proxy for each."""

import copy
import threading
import time
from collections.abc import Callable

import pyrolite

THREADS, CALLS = 10, 3


def in_threads(work: Callable[[int], None]) -> float:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def main() -> None:
    wrong: list[str] = []

    def check(proxy: pyrolite.Proxy, number: int) -> None:
        for call in range(CALLS):
            answer = proxy.query(f"thread {number} call {call}")
            if answer != f"THREAD {number} CALL {call}":
                wrong.append(answer)

    with pyrolite.Proxy("PYRONAME:example.proxysharing") as shared:
        together = in_threads(lambda number: check(shared, number))
        print(f"one proxy for all threads: {together:.2f} s")

        def with_own_proxy(number: int) -> None:
            with copy.copy(shared) as own:
                check(own, number)

        separate = in_threads(with_own_proxy)
        print(f"a proxy for each thread: {separate:.2f} s")
    print("wrong answers:", wrong or "none")
    print("own proxies are faster:", separate < together)


if __name__ == "__main__":
    main()
