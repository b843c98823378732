"""Two users, each with a token that goes along with all their calls."""

from __future__ import annotations

from typing import Any

import pyrolite


class UserProxy(pyrolite.Proxy):
    """Sends the token of its user with every message, also while connecting."""

    def __init__(self, uri: Any, token: bytes = b"") -> None:
        super().__init__(uri)
        self.__dict__["_token"] = token  # state of the proxy itself, not of the remote object

    def _pyroAnnotations(self) -> dict[str, Any]:
        return {**super()._pyroAnnotations(), "USER": self.__dict__["_token"]}


def main() -> None:
    ada, bob, eve = b"token-of-ada", b"token-of-bob", b"stolen"
    name = "PYRONAME:example.usersession.basket"
    with UserProxy(name, ada) as adas, UserProxy(name, bob) as bobs, UserProxy(name, eve) as eves:
        print(adas.add("apples"))
        print(bobs.add("books"))
        print(adas.add("almonds"))
        try:
            print(eves.add("everything"))
        except PermissionError as error:
            print("refused:", error)

    name = "PYRONAME:example.usersession.wall"
    with UserProxy(name, ada) as adas, UserProxy(name, bob) as bobs:
        adas.write("hello")
        print("the wall:", "; ".join(bobs.write("hi")))


if __name__ == "__main__":
    main()
