"""A shop: each customer gets a cart, an object that lives in the server until it is paid."""

import threading

import pyrolite

PRICES = {"apple": 0.5, "bread": 3.0, "cheese": 7.5, "lamp": 25.0}


@pyrolite.expose
class Cart:
    def __init__(self, customer: str) -> None:
        self.customer = customer
        self._things: list[str] = []

    def put(self, thing: str) -> None:
        if thing not in PRICES:
            raise ValueError(f"there is no {thing} here")
        self._things.append(thing)

    def content(self) -> list[str]:
        return sorted(self._things)


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Shop:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._carts: dict[str, Cart] = {}

    def enter(self, customer: str) -> Cart:
        cart = Cart(customer)
        with self._lock:
            if customer in self._carts:
                raise ValueError(f"{customer} has a cart already")
            self._carts[customer] = cart
        self._pyroDaemon.register(cart)  # type: ignore[attr-defined]  # the daemon that serves the shop
        print(f"{customer} comes in")
        return cart  # arrives as a proxy

    def pay(self, customer: str) -> float:
        with self._lock:
            cart = self._carts.pop(customer)
        self._pyroDaemon.unregister(cart)  # type: ignore[attr-defined]
        total = sum(PRICES[thing] for thing in cart.content())
        print(f"{customer} pays {total:.2f}")
        return total

    def customers(self) -> list[str]:
        with self._lock:
            return sorted(self._carts)


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.shop", daemon.register(Shop))
        print("the shop is ready for customers")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
