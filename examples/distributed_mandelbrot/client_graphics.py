"""Draws the Mandelbrot set in a window (needs a display): python client_graphics.py [WIDTH HEIGHT]."""

import sys
import tkinter

from fractal import ITERATIONS
from picture import calculate, calculators


def colour(steps: int) -> str:
    if steps == ITERATIONS:
        return "#000000"
    shade = 255 * steps // ITERATIONS
    return f"#{shade:02x}{shade // 2:02x}{255 - shade:02x}"


def main() -> None:
    width, height = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (500, 400)
    picture = calculate(calculators(), width, height)
    window = tkinter.Tk()
    window.title("Mandelbrot, calculated elsewhere")
    image = tkinter.PhotoImage(width=width, height=height)
    for row, line in enumerate(picture):
        image.put("{" + " ".join(map(colour, line)) + "}", to=(0, row))
    tkinter.Label(window, image=image).pack()
    window.mainloop()


if __name__ == "__main__":
    main()
