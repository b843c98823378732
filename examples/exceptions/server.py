"""An object that fails in all kinds of ways."""

import threading

import pyrolite


class UnknownHereError(Exception):
    """Only this program knows the class."""


class Unsendable(ValueError):
    """Cannot be sent, because of what it holds."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


@pyrolite.expose
class Trouble:
    def divide(self, a: float, b: float) -> float:
        return a / b

    def lookup(self, key: str) -> str:
        return {"one": "eins"}[key]

    def open(self, path: str) -> str:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - it is about the exception
            return file.read()

    def communication(self) -> None:
        raise pyrolite.errors.CommunicationError("as if the server could not reach another one")

    def own_class(self) -> None:
        raise UnknownHereError("something special")

    def unsendable_error(self) -> None:
        raise Unsendable("with a lock inside")

    def unsendable_result(self) -> object:
        return threading.Lock()

    def returned(self) -> Exception:
        return KeyError("a value like others")

    def nested(self, depth: int) -> float:
        return self.divide(1, 0) if depth == 0 else self.nested(depth - 1)


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.exceptions", daemon.register(Trouble))
        print("ready for trouble")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
