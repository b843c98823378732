"""First agrees on a key with one client, then serves those who have it."""

from keyexchange import KeyExchange

import pyrolite

pyrolite.config.POLLTIMEOUT = 0.1  # how soon the first loop notices that the key is there


@pyrolite.expose
class Vault:
    def secret(self) -> str:
        return "the treasure is under the oak"


class Agreement:
    """Open to everybody, once."""

    def __init__(self, vault_uri: pyrolite.URI) -> None:
        self._vault_uri = vault_uri
        self.key: bytes | None = None

    @pyrolite.expose
    def exchange(self, public: str) -> tuple[str, pyrolite.URI]:
        """Take the public number of the client (in hexadecimal); returns that of the server, and where the vault is."""
        if self.key is not None:
            raise ValueError("the key has been agreed upon already")
        mine = KeyExchange()
        self.key = mine.shared_key(int(public, 16))
        return f"{mine.public:x}", self._vault_uri


def main() -> None:
    with pyrolite.Daemon() as vault_daemon:
        vault_uri = vault_daemon.register(Vault)
        agreement = Agreement(vault_uri)
        with pyrolite.Daemon() as daemon:
            print("the agreement is ready:", daemon.register(agreement))
            daemon.requestLoop(lambda: agreement.key is None)
        if agreement.key is None:  # ended by Ctrl-C
            return
        vault_daemon._pyroHmacKey = agreement.key
        print("a key has been agreed upon; serving its owner")
        vault_daemon.requestLoop()


if __name__ == "__main__":
    main()
