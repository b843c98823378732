"""Several clients at the same time: are they served side by side?"""

import sys
import threading
import time

import pyrolite

CLIENTS, SECONDS = 4, 0.2


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the worker: ")
    names: list[str] = []

    def work() -> None:
        with pyrolite.Proxy(uri) as worker:
            names.append(worker.work(SECONDS))

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    duration = time.perf_counter() - started
    how = "side by side" if duration < CLIENTS * SECONDS else "one after the other"
    print(f"{CLIENTS} calls of {SECONDS} s each took {duration:.1f} s: {how}, in {len(set(names))} threads")

    with pyrolite.Proxy(uri) as worker:
        for threaded in (True, False):
            worker.set_oneway_threaded(threaded)
            started = time.perf_counter()
            worker.work_oneway(SECONDS)
            worker.work_oneway(SECONDS)
            done = worker.done()
            waited = time.perf_counter() - started
            print(
                f"oneway calls {'with' if threaded else 'without'} threads:",
                "the next call waits for them" if done == 2 and waited > SECONDS else "the next call does not wait",
            )
            while worker.done() < 2:
                time.sleep(0.02)


if __name__ == "__main__":
    main()
