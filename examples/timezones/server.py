"""Returns the times it is given, and tells what they are."""

import pyrolite

pyrolite.config.SERIALIZERS_ACCEPTED = {"serpent", "json", "marshal", "msgpack", "pickle"}


@pyrolite.expose
class Times:
    def echo(self, moment: object) -> object:
        return moment

    def kind(self, moment: object) -> str:
        return type(moment).__name__


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("the times are ready:", daemon.register(Times))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
