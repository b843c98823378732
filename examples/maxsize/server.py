"""Takes messages of up to 5000 bytes."""

import pyrolite

pyrolite.config.MAX_MESSAGE_SIZE = 5000


@pyrolite.expose
class Box:
    def put(self, text: str) -> int:
        return len(text)

    def get(self, size: int) -> str:
        return "*" * size


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("the box is ready:", daemon.register(Box))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
