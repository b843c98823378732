"""The well-behaved client, a process of its own: calls without a break and writes down how long each call takes.

Commands, one JSON object a line: ``{"uri": ...}`` begins to call, ``{"phase": name}`` files what follows under another
name, ``{"stop": true}`` ends it. Each one is answered with a line of JSON, the last one with the figures of all phases.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pyrolite import Proxy, config

#: Seconds between two calls.
INTERVAL = 0.002
#: Calls in a phase before another one begins and before the end, if they do not take too long.
ENOUGH, LAST = 30, 5
PATIENCE = 10.0


class Prober:
    """Calls in a thread of its own until stopped."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._uri = order["uri"]
        self._hmac_key = order.get("hmac_key")
        self.phase = "quiet"
        self._stopped = False
        self._times: dict[str, list[float]] = {}
        self.begun = 0.0  # of the call in progress
        self._errors: list[str] = []
        for name, value in order.get("config", {}).items():
            setattr(config, name, value)
        self._waited_before = self.waited = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)  # ends with the tests, however they end
        self._thread.start()

    def _run(self) -> None:
        number = 0
        with self._proxy() as proxy:
            while not self._stopped:
                number += 1
                begin = self.begun = time.perf_counter()
                try:
                    if proxy.echo(number) != number:
                        self._errors.append(f"{self.phase}: wrong answer to {number}")
                    # every fortieth call needs a new connection
                    if number % 40 == 0:
                        proxy._pyroRelease()
                except Exception as error:
                    self._errors.append(f"{self.phase}: {type(error).__name__}: {error}"[:300])
                self._times.setdefault(self.phase, []).append(time.perf_counter() - begin)
                time.sleep(INTERVAL)
        self.waited = waited() - self._waited_before

    def _proxy(self) -> Proxy:
        proxy = Proxy(self._uri)
        proxy._pyroTimeout = 20
        if self._hmac_key:
            proxy._pyroHmacKey = self._hmac_key
        return proxy

    def change_to(self, phase: str) -> None:
        """File what follows under another name, after enough calls of the phase before."""
        self._await_calls(ENOUGH)
        self._waited_before = waited(self._thread.native_id)
        self.phase = phase

    def _await_calls(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(self._times.get(self.phase, ())) < count and time.monotonic() < deadline:
            time.sleep(INTERVAL)

    def stop(self) -> dict[str, Any]:
        self._await_calls(LAST)
        self._stopped = True
        self._thread.join(25)
        figures = {phase: summary(times) for phase, times in self._times.items()}
        return {"errors": self._errors[:5], "failures": len(self._errors), "waited": self.waited, **figures}


def waited(thread: int | None = None) -> float:
    """Seconds that a thread of this process, by default the current one, has waited for a processor."""
    try:
        text = Path(f"/proc/self/task/{thread or threading.get_native_id()}/schedstat").read_text()
    except OSError:  # the kernel does not tell
        return 0.0
    return int(text.split()[1]) / 1e9


def summary(times: list[float]) -> dict[str, float]:
    """Number, median, 99th percentile and maximum in seconds."""
    times = sorted(times)
    count = len(times)
    return {
        "calls": count,
        "p50": times[count // 2],
        "p99": times[min(count - 1, int(count * 0.99))],
        "max": times[-1],
    }


def main() -> None:
    prober: Prober | None = None
    for line in sys.stdin:
        order = json.loads(line)
        answer: Any = None
        if "uri" in order:
            prober = Prober(order)
        elif "phase" in order:
            assert prober is not None
            prober.change_to(order["phase"])
        else:
            assert prober is not None
            answer = prober.stop()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
