"""A window that is a server, all in one thread: Tk calls the daemon every now and then. Needs a display."""

import tkinter

from messages import MessageBoard
from pump import pump

import pyrolite

INTERVAL = 20  # milliseconds


def main() -> None:
    pyrolite.config.SERVERTYPE = "multiplex"
    board = MessageBoard()
    window = tkinter.Tk()
    window.title("without threads")
    text = tkinter.Text(window, width=60, height=12)
    text.pack()
    with pyrolite.Daemon() as daemon:
        print("the window is ready:", daemon.register(board))

        def serve() -> None:
            while pump(daemon):
                pass
            while not board.incoming.empty():
                text.insert(tkinter.END, board.incoming.get() + "\n")
            window.after(INTERVAL, serve)

        serve()
        window.mainloop()


if __name__ == "__main__":
    main()
