"""Objects that the HTTP gateway makes available: their names begin with ``http.``."""

import pyrolite


@pyrolite.expose
class Calculator:
    def __init__(self) -> None:
        self._precision = 2

    @property
    def precision(self) -> int:
        return self._precision

    def add(self, a: str, b: str) -> float:
        """Add two numbers; from a query they come as text."""
        return round(float(a) + float(b), self._precision)

    def statistics(self, values: list[float]) -> dict[str, float]:
        """From a body in JSON, arguments come with their types."""
        return {"smallest": min(values), "largest": max(values), "mean": sum(values) / len(values)}

    def divide(self, a: str, b: str) -> float:
        return float(a) / float(b)

    @pyrolite.oneway
    def note(self, text: str) -> None:
        print("noted:", text)


class Hidden:
    """Registered, too, but under a name that the gateway does not serve."""

    @pyrolite.expose
    def secret(self) -> str:
        return "not for the web"


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("http.calculator", daemon.register(Calculator()))
        nameserver.register("example.hidden", daemon.register(Hidden()))
        print("the calculator is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
