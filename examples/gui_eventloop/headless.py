"""The loop of the window without threads, for terminals: other things go on, and the daemon is served as well."""

import itertools

from messages import MessageBoard
from pump import pump

import pyrolite


def main() -> None:
    pyrolite.config.SERVERTYPE = "multiplex"
    board = MessageBoard()
    with pyrolite.Daemon() as daemon:
        print("the loop is ready:", daemon.register(board))
        for turn in itertools.count(1):  # as if these were the turns of the event loop of a window
            pump(daemon, 0.02)
            while not board.incoming.empty():
                text = board.incoming.get()
                print("shown:", text)
                if text == "bye":
                    print("the loop went on all the time:", turn > 1)
                    return


if __name__ == "__main__":
    main()
