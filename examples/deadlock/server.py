"""Calls back while its caller is still waiting for the answer."""

import pyrolite


@pyrolite.expose
class Bob:
    def greet(self, message: str, caller: pyrolite.Proxy) -> str:
        """Greet, but only after having asked the caller what to say."""
        with caller:
            answer = caller.ask(f"what shall I answer to {message!r}?")
        return f"{message}, {answer}"

    def opinion(self) -> str:
        return "fine weather"

    @pyrolite.oneway
    def greet_later(self, message: str, caller: pyrolite.Proxy) -> None:
        """The same, for callers that do not wait."""
        with caller:
            caller.answered(f"{message}, {caller.ask('and what now?')}")


def main() -> None:
    with pyrolite.Daemon() as daemon:
        print("Bob is ready:", daemon.register(Bob()))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
