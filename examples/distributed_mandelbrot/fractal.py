"""The Mandelbrot set, one line at a time."""

ITERATIONS = 60


def escape_time(c: complex) -> int:
    """After how many steps the point is known to be outside; `ITERATIONS` when it seems to be inside."""
    z = 0j
    for step in range(ITERATIONS):
        if abs(z) > 2:
            return step
        z = z * z + c
    return ITERATIONS


def line_of(y: float, left: float, right: float, width: int) -> list[int]:
    step = (right - left) / (width - 1)
    return [escape_time(complex(left + column * step, y)) for column in range(width)]
