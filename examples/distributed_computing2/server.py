"""Several counters of words, registered under names with a common beginning: python server.py [HOW_MANY]."""

import re
import sys
from collections import Counter

import pyrolite


@pyrolite.expose
class WordCounter:
    def __init__(self, number: int) -> None:
        self._number = number

    def count(self, lines: list[str]) -> dict[str, int]:
        words = Counter(re.findall(r"[a-z']+", " ".join(lines).lower()))
        print(f"counter {self._number}: {len(lines)} lines")
        return dict(words)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        for number in range(1, count + 1):
            nameserver.register(f"example.wordcount.{number}", daemon.register(WordCounter(number)))
        print(f"{count} counters are ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
