"""What the windows publish: clients send texts, which appear in the window."""

import queue

import pyrolite


@pyrolite.expose
class MessageBoard:
    """Only puts texts into a queue: the calls may come in any thread, but only one may touch the window."""

    def __init__(self) -> None:
        self.incoming: queue.Queue[str] = queue.Queue()

    def show(self, text: str) -> int:
        self.incoming.put(text)
        return len(text)
