"""Two banks in one server, registered in the name server."""

import threading

import pyrolite


@pyrolite.expose
class Bank:
    """Keeps accounts; no account may be overdrawn by more than the bank's limit."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._accounts: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    def open(self, owner: str) -> None:
        with self._lock:
            if owner in self._accounts:
                raise ValueError(f"{owner} has an account already")
            self._accounts[owner] = 0

    def deposit(self, owner: str, amount: int) -> int:
        return self._book(owner, amount)

    def withdraw(self, owner: str, amount: int) -> int:
        return self._book(owner, -amount)

    def _book(self, owner: str, amount: int) -> int:
        with self._lock:
            if owner not in self._accounts:
                raise KeyError(owner)
            balance = self._accounts[owner] + amount
            if balance < -self._limit:
                raise ValueError(f"that would overdraw the account of {owner} by {-balance}")
            self._accounts[owner] = balance
            return balance


def main() -> None:
    banks = {"example.bank.village": Bank("Village Bank", 0), "example.bank.harbour": Bank("Harbour Bank", 500)}
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        for name, bank in banks.items():
            nameserver.register(name, daemon.register(bank))
        print("the banks are ready:", ", ".join(banks))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
