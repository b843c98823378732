"""An experiment: a program that uses the instruments, found by what they are and not by where they are."""

from __future__ import annotations

import pyrolite


def main() -> None:
    with pyrolite.Proxy("PYROMETA:kind:oven") as oven:
        oven.target = 150.0
        print("the oven goes to", oven.target, "°C")
        try:
            oven.target = 1000.0
        except ValueError as error:
            print("refused:", error)

    with pyrolite.Proxy("PYROMETA:kind:balance") as balance:
        before = balance.read()["value"]
        balance.tare()
        print("the balance went from more than 40 g to zero:", before > 40 and abs(balance.read()["value"]) < 0.1)

    with pyrolite.Proxy("PYROMETA:kind:spectrometer") as spectrometer:
        # the points come while the scan goes on
        brightest = max(spectrometer.scan(585.0, 593.0, 401), key=lambda point: point[1])
        print("the brightest line is at", brightest[0], "nm")


if __name__ == "__main__":
    main()
