"""Draws the Mandelbrot set with letters: python client_text.py [WIDTH HEIGHT]."""

import sys
import time

from fractal import ITERATIONS
from picture import calculate, calculators

SHADES = " .:-=+*#%@"


def main() -> None:
    width, height = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (78, 36)
    uris = calculators()
    print(f"{len(uris)} calculators")
    started = time.perf_counter()
    picture = calculate(uris, width, height)
    duration = time.perf_counter() - started
    for line in picture:
        print("".join(SHADES[min(steps * len(SHADES) // ITERATIONS, len(SHADES) - 1)] for steps in line).rstrip())
    print(f"{width} x {height} in {duration:.2f} s")


if __name__ == "__main__":
    main()
