"""A jukebox that is controlled from elsewhere. It plays nothing, but says what it would play."""

import threading

import pyrolite

RECORDS = ["Blue Danube", "Greensleeves", "La Cucaracha", "Scarborough Fair"]


@pyrolite.expose
class Jukebox:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._position = 0
        self._playing = False
        self._volume = 5

    @property
    def records(self) -> list[str]:
        return RECORDS

    @property
    def current(self) -> str:
        return RECORDS[self._position] if self._playing else "silence"

    @property
    def volume(self) -> int:
        return self._volume

    @volume.setter
    def volume(self, value: int) -> None:
        if not 0 <= value <= 11:
            raise ValueError("the volume goes from 0 to 11")
        self._volume = value
        print(f"volume {value}")

    def play(self) -> str:
        return self._change(0, playing=True)

    def stop(self) -> str:
        return self._change(0, playing=False)

    def next(self) -> str:
        return self._change(1, playing=True)

    def previous(self) -> str:
        return self._change(-1, playing=True)

    def _change(self, step: int, *, playing: bool) -> str:
        with self._lock:
            self._position = (self._position + step) % len(RECORDS)
            self._playing = playing
            print("now:", self.current)
            return self.current


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("the jukebox is ready:", daemon.register(Jukebox(), "example.jukebox"))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
