"""What servers do."""

from __future__ import annotations

from typing import Any

from shop import Shop

import pyrolite
from pyrolite.configuration import Configuration
from pyrolite.socketutil import SocketConnection


class Guest:
    @property
    @pyrolite.expose
    def name(self) -> str:
        return "guest"

    @pyrolite.expose
    @pyrolite.callback
    def called_back(self, text: str) -> None:
        print(pyrolite.current_context.client_sock_addr, text)

    @staticmethod
    @pyrolite.expose
    def version() -> str:
        return pyrolite.__version__


def make_guest(cls: type[Any]) -> Guest:
    guest: Guest = cls()
    return guest


@pyrolite.behavior("session", instance_creator=make_guest)
class SessionGuest(Guest):
    pass


class GuardedDaemon(pyrolite.Daemon):
    def validateHandshake(self, conn: SocketConnection, data: object) -> str:
        if data != "let me in":
            raise pyrolite.errors.SecurityError("who are you?")
        return "welcome"

    def clientDisconnect(self, conn: SocketConnection) -> None:
        print("gone:", conn.objectId, conn.tracked_resources, conn.timeout)

    def annotations(self) -> dict[str, bytes]:
        return {"TIME": b"now"}

    def leave(self) -> None:
        self.shutdown()


def to_dict(guest: Guest) -> dict[str, Any]:
    return {"__class__": "Guest", "name": guest.name}


def from_dict(classname: str, data: dict[str, Any]) -> Guest:
    return Guest()


def register_hooks() -> None:
    pyrolite.util.SerializerBase.register_class_to_dict(Guest, to_dict)
    pyrolite.util.SerializerBase.register_dict_to_class("Guest", from_dict)


def serve() -> None:
    settings: Configuration = pyrolite.config.copy(SERVERTYPE="multiplex", COMMTIMEOUT=3)
    with GuardedDaemon(host="localhost", port=0, config=settings) as daemon, pyrolite.locateNS() as nameserver:
        uri: pyrolite.URI = daemon.register(Shop, "shop")
        nameserver.register("example.shop", uri, metadata={"class:Shop"})
        bought: int = Shop().buy("apple", count=3)  # the decorators keep the types
        daemon.requestLoop(lambda: bought > 0)
        daemon.leave()
    pyrolite.Daemon.serveSimple({Shop: "example.shop", Guest(): None}, ns=False)
