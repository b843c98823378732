"""The remote control: python remote.py [URI]; then type commands."""

import contextlib
import sys

import pyrolite

HELP = "commands: play, stop, next, previous, louder, softer, list, quit"


def obey(jukebox: pyrolite.Proxy, command: str) -> str:
    if command in {"play", "stop", "next", "previous"}:
        return f"now: {getattr(jukebox, command)()}"
    if command in {"louder", "softer"}:
        jukebox.volume += 1 if command == "louder" else -1
        return f"volume: {jukebox.volume}"
    if command == "list":
        return "records: " + ", ".join(jukebox.records)
    return HELP


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the jukebox: ")
    with pyrolite.Proxy(uri) as jukebox:
        print(HELP)
        for line in sys.stdin:
            command = line.strip()
            if command == "quit":
                break
            try:
                print(obey(jukebox, command))
            except ValueError as error:
                print("not possible:", error)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it, too
        main()
