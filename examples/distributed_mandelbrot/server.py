"""Calculates lines of the picture: python server.py [NAME]. Start as many of them as there are processors."""

import os
import sys

from fractal import line_of

import pyrolite


class Calculator:
    @pyrolite.expose
    def line(self, y: float, left: float, right: float, width: int) -> list[int]:
        return line_of(y, left, right, width)


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else str(os.getpid())
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register(
            f"example.mandelbrot.{name}", daemon.register(Calculator), metadata={"example:mandelbrot-calculator"}
        )
        print(f"calculator {name} is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
