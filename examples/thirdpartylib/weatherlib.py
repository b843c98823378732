"""Stands for a library of somebody else: it knows nothing of remote objects, and cannot be changed."""


class Station:
    def __init__(self, place: str) -> None:
        self.place = place

    def temperature(self) -> float:
        return 12.5

    def describe(self) -> "Report":
        return Report(self.place, self.temperature())

    def reset(self) -> None:
        raise RuntimeError("nobody should be able to do this from outside")


class Report:
    """A result that is no plain data."""

    def __init__(self, place: str, celsius: float) -> None:
        self.place, self.celsius = place, celsius
