"""Agrees on a key with the server, and uses it to sign messages."""

import sys

from keyexchange import KeyExchange

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the agreement: ")
    mine = KeyExchange()
    with pyrolite.Proxy(uri) as agreement:
        public, vault_uri = agreement.exchange(f"{mine.public:x}")
    key = mine.shared_key(int(public, 16))
    print("agreed on a key of", len(key), "bytes")

    with pyrolite.Proxy(vault_uri) as vault:
        try:
            print(vault.secret())
        except pyrolite.errors.CommunicationError as error:
            print("without the key:", str(error).rpartition(": ")[2])
        vault._pyroHmacKey = key
        print("with the key:", vault.secret())


if __name__ == "__main__":
    main()
