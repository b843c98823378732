"""Deals the lines of a text out to all counters there are: python client.py [FILE]."""

import sys
import threading
from collections import Counter
from pathlib import Path

import pyrolite

RHYME = """\
This is the farmer sowing his corn,
that kept the cock that crowed in the morn,
that waked the priest all shaven and shorn,
that married the man all tattered and torn,
that kissed the maiden all forlorn,
that milked the cow with the crumpled horn,
that tossed the dog, that worried the cat,
that killed the rat, that ate the malt
that lay in the house that Jack built.
"""


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8") if len(sys.argv) > 1 else RHYME * 20
    with pyrolite.locateNS() as nameserver:
        uris = sorted(nameserver.list(prefix="example.wordcount.").values())
    lines = text.splitlines()
    print(f"{len(lines)} lines for {len(uris)} counters")

    total: Counter[str] = Counter()
    lock = threading.Lock()  # protects the total

    def count(uri: str, part: list[str]) -> None:
        with pyrolite.Proxy(uri) as counter:  # each thread has a proxy of its own
            words = counter.count(part)
        with lock:
            total.update(words)

    threads = [
        threading.Thread(target=count, args=(uri, lines[number :: len(uris)]), name=uri)
        for number, uri in enumerate(uris)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for word, number in total.most_common(3):
        print(f"{number:6} {word}")


if __name__ == "__main__":
    main()
