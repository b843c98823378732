"""A warehouse that keeps things for people. Nothing remote yet."""


class Warehouse:
    def __init__(self) -> None:
        self._things = ["chair", "bike", "flashlight", "laptop", "couch"]

    def content(self) -> list[str]:
        return list(self._things)

    def store(self, name: str, thing: str) -> None:
        self._things.append(thing)
        print(f"{name} stored the {thing}")

    def take(self, name: str, thing: str) -> None:
        if thing not in self._things:
            raise ValueError(f"there is no {thing}")
        self._things.remove(thing)
        print(f"{name} took the {thing}")
