"""What both servers publish."""

import threading

import pyrolite


@pyrolite.expose
class Greeter:
    def greet(self, name: str) -> str:
        in_main_thread = threading.current_thread() is threading.main_thread()
        return f"hello {name}, from {'the main thread' if in_main_thread else 'a thread of the pool'}"
