"""The drivers of the instruments. They are simulated, but programs use them as they would use real ones.

Each process of the laboratory has one of them, and everything in here may be called from any thread.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterator
from typing import TypedDict

import pyrolite


class Reading(TypedDict):
    """One measured value; plain data, so that every serializer can send it."""

    number: int
    value: float


class Description(TypedDict):
    name: str
    kind: str
    quantity: str
    unit: str
    process: int


@pyrolite.expose
class Instrument:
    """What all instruments have in common: they say what they are, and measure."""

    quantity = ""
    unit = ""

    def __init__(self, name: str, process: int) -> None:
        self._name = name
        self._process = process
        self._lock = threading.Lock()  # protects the counter and the state of the simulation
        self._number = 0
        self._noise = random.Random(name)

    def describe(self) -> Description:
        return {
            "name": self._name,
            "kind": type(self).__name__.lower(),
            "quantity": self.quantity,
            "unit": self.unit,
            "process": self._process,
        }

    def read(self) -> Reading:
        """Measure once."""
        with self._lock:
            self._number += 1
            return {"number": self._number, "value": round(self._measure(), 3)}

    def measurements(self, interval: float = 0.5) -> Iterator[Reading]:
        """Measure every so many seconds, without end: a stream, which lasts as long as its reader wants."""
        due = time.monotonic()
        while True:
            yield self.read()
            due += interval
            time.sleep(max(0.0, due - time.monotonic()))

    def _measure(self) -> float:
        raise NotImplementedError


@pyrolite.expose
class Oven(Instrument):
    """Has a target, and slowly gets there."""

    quantity = "temperature"
    unit = "°C"

    def __init__(self, name: str, process: int) -> None:
        super().__init__(name, process)
        self._temperature = 20.0
        self._target = 120.0
        self._changed = time.monotonic()

    @property
    def target(self) -> float:
        return self._target

    @target.setter
    def target(self, celsius: float) -> None:
        self.heat_to(celsius)

    def heat_to(self, celsius: float) -> None:
        """Set the target; for clients that can only call methods, as web pages."""
        if not 0 <= celsius <= 300:
            raise ValueError(f"{self._name} cannot go to {celsius} °C, only from 0 to 300 °C")
        with self._lock:
            self._warm_up()
            self._target = celsius

    def _measure(self) -> float:
        self._warm_up()
        return self._temperature + self._noise.gauss(0, 0.05)

    def _warm_up(self) -> None:
        now = time.monotonic()
        gone = math.exp((self._changed - now) / 20.0)
        self._temperature = self._target + (self._temperature - self._target) * gone
        self._changed = now


@pyrolite.expose
class Balance(Instrument):
    """Something evaporates on it; can be set to zero."""

    quantity = "mass"
    unit = "g"

    def __init__(self, name: str, process: int) -> None:
        super().__init__(name, process)
        self._began = time.monotonic()
        self._zero = 0.0

    def tare(self) -> None:
        with self._lock:
            self._zero = self._mass()

    def _measure(self) -> float:
        return self._mass() - self._zero + self._noise.gauss(0, 0.002)

    def _mass(self) -> float:
        return 50.0 * math.exp((self._began - time.monotonic()) / 300.0)


@pyrolite.expose
class Spectrometer(Instrument):
    """Measures the brightness; a scan is a stream of points, which are sent while it goes on."""

    quantity = "intensity"
    unit = "a.u."

    def scan(self, first: float, last: float, points: int) -> Iterator[tuple[float, float]]:
        """Wavelengths in nm, and the intensity at each of them."""
        for point in range(points):
            wavelength = first + (last - first) * point / (points - 1)
            yield round(wavelength, 2), round(self._intensity(wavelength), 4)

    def _measure(self) -> float:
        return self._intensity(589.3 + 0.2 * math.sin(time.monotonic())) + self._noise.gauss(0, 0.002)

    @staticmethod
    def _intensity(wavelength: float) -> float:
        """The two lines of sodium."""
        return sum(
            height / (1 + ((wavelength - centre) / 0.15) ** 2) for centre, height in ((589.0, 1.0), (589.6, 0.5))
        )


KINDS: dict[str, type[Instrument]] = {"oven": Oven, "balance": Balance, "spectrometer": Spectrometer}
