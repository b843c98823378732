"""Sends texts to a window: python client.py [URI [TEXT...]]."""

import sys

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the window: ")
    with pyrolite.Proxy(uri) as board:
        for text in sys.argv[2:] or ["hello", "from another program", "bye"]:
            print("sent", board.show(text), "letters")


if __name__ == "__main__":
    main()
