"""Registers printers with metadata, which says what they are and what they can do."""

import pyrolite
from pyrolite.naming import type_meta


@pyrolite.expose
class Printer:
    def __init__(self, where: str) -> None:
        self._where = where

    def print_text(self, text: str) -> str:
        return f"{text!r} comes out of the {type(self).__name__} in the {self._where}"


@pyrolite.expose
class ColourPrinter(Printer):
    def print_colour(self, text: str, colour: str) -> str:
        return f"{text!r} in {colour} comes out in the {self._where}"


def main() -> None:
    printers = {
        "example.printer.hall": (Printer("hall"), {"room:hall", "paper:a4"}),
        "example.printer.cellar": (Printer("cellar"), {"room:cellar", "paper:a4", "paper:a3"}),
        "example.printer.studio": (ColourPrinter("studio"), {"room:studio", "paper:a3", "colour"}),
    }
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        for name, (printer, metadata) in printers.items():
            # type_meta gives the classes of the object, as "class:module.name"
            nameserver.register(name, daemon.register(printer), metadata=metadata | type_meta(printer))
        print("the printers are ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
