"""Takes and gives large data."""

from collections.abc import Iterator

import serpent

import pyrolite

PIECE = 250_000


@pyrolite.expose
class Heap:
    def put(self, data: object) -> int:
        # serpent and json send bytes as a dictionary with base64 text, which this turns back into bytes
        return len(serpent.tobytes(data)) if isinstance(data, dict) else len(data)  # type: ignore[arg-type]

    def get(self, size: int) -> str:
        return "*" * size

    def pieces(self, size: int) -> Iterator[str]:
        for begin in range(0, size, PIECE):
            yield "*" * min(PIECE, size - begin)


def main() -> None:
    pyrolite.config.SERIALIZERS_ACCEPTED = {"serpent", "json", "marshal", "msgpack"}
    with pyrolite.Daemon() as daemon:
        print("the heap is ready:", daemon.register(Heap))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
