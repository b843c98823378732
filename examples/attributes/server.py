"""An oven with properties that are read and set from outside."""

import pyrolite


class Oven:
    def __init__(self) -> None:
        self._temperature = 20.0
        self._notes: list[str] = []
        self.colour = "white"  # a plain attribute: never visible from outside

    @property
    @pyrolite.expose
    def temperature(self) -> float:
        return self._temperature

    @temperature.setter
    def temperature(self, degrees: float) -> None:
        if not 0 <= degrees <= 250:
            raise ValueError(f"{degrees} degrees are out of range")
        self._temperature = degrees

    @property
    @pyrolite.expose
    def is_hot(self) -> bool:
        return self._temperature > 60

    @property
    @pyrolite.expose
    def notes(self) -> list[str]:
        return self._notes

    @property
    def serial_number(self) -> str:
        return "not exposed"

    @pyrolite.expose
    def note(self, text: str) -> None:
        self._notes.append(text)

    @pyrolite.expose
    def __len__(self) -> int:
        return len(self._notes)


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("the oven is ready:", daemon.register(Oven()))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
