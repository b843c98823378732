"""Two ways to publish a class that one cannot change."""

import weatherlib

import pyrolite

# First way: mark the class from outside. This publishes all public methods of it.
ExposedStation = pyrolite.expose(weatherlib.Station)


# Second way: an adapter, which publishes what it chooses, and returns what can be sent.
@pyrolite.expose
class StationAdapter:
    def __init__(self, station: weatherlib.Station) -> None:
        self._station = station

    def temperature(self) -> float:
        return self._station.temperature()

    def describe(self) -> dict[str, object]:
        report = self._station.describe()
        return {"place": report.place, "celsius": report.celsius}


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("exposed:", daemon.register(ExposedStation("pier")))
        print("adapter is ready:", daemon.register(StationAdapter(weatherlib.Station("hill"))))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
