"""Mistakes in servers; each comment has the code of mypy's error and the rule of pyright's."""

from __future__ import annotations

from shop import Shop

import pyrolite
from pyrolite.socketutil import SocketConnection


@pyrolite.behavior(instance_mode="sesion")  # wrong: arg-type reportArgumentType
class Misspelled:
    pass


@pyrolite.behavior  # wrong: arg-type reportArgumentType
class Bare:
    pass


@pyrolite.behavior("single")  # wrong: arg-type reportArgumentType
def no_class() -> None:
    pass


class Careless(pyrolite.Daemon):
    def validateHandshake(self, conn: SocketConnection) -> str:  # wrong: override reportIncompatibleMethodOverride
        return "welcome"


shop = Shop()
shop.buy(3)  # wrong: arg-type reportArgumentType
shop.audit(True)  # wrong: call-arg reportCallIssue

daemon = pyrolite.Daemon("localhost", port="9090")  # wrong: arg-type reportArgumentType
uri: str = daemon.register(shop)  # wrong: assignment reportAssignmentType
daemon.register(shop, 12)  # wrong: arg-type reportArgumentType
daemon.registr(shop)  # wrong: attr-defined reportAttributeAccessIssue
daemon.requestLoop(daemon)  # wrong: arg-type reportArgumentType
pyrolite.Daemon.serveSimple([shop])  # wrong: arg-type reportArgumentType
