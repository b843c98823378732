"""A window that is a server: the daemon has a thread of its own, and Tk looks into the queue. Needs a display."""

import threading
import tkinter

from messages import MessageBoard

import pyrolite

INTERVAL = 20  # milliseconds


def main() -> None:
    board = MessageBoard()
    window = tkinter.Tk()
    window.title("with threads")
    text = tkinter.Text(window, width=60, height=12)
    text.pack()
    with pyrolite.Daemon() as daemon:
        print("the window is ready:", daemon.register(board))
        threading.Thread(target=daemon.requestLoop, name="daemon").start()

        def look() -> None:
            while not board.incoming.empty():
                text.insert(tkinter.END, board.incoming.get() + "\n")
            window.after(INTERVAL, look)

        look()
        window.mainloop()
        daemon.shutdown()


if __name__ == "__main__":
    main()
