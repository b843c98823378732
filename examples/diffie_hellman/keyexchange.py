"""Diffie-Hellman: two parties agree on a secret although everything that they say is overheard.

For learning only. It does not tell who the other one is; TLS does (see the example ``ssl``).
"""

import hashlib
import secrets

#: The 2048 bit group of RFC 3526, number 14.
PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05"
    "98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB"
    "9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718"
    "3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)
GENERATOR = 2


class KeyExchange:
    """One side of an exchange: publish `public`, and give the public number of the other side to `shared_key`."""

    def __init__(self) -> None:
        self._private = secrets.randbelow(2**256) + 2**255
        self.public = pow(GENERATOR, self._private, PRIME)

    def shared_key(self, other_public: int) -> bytes:
        """The secret of both, as 32 bytes.

        Raises:
            ValueError: the number of the other side is not acceptable.
        """
        if not 1 < other_public < PRIME - 1:
            raise ValueError("this number would give the secret away")
        secret = pow(other_public, self._private, PRIME)
        return hashlib.sha256(secret.to_bytes(256, "big")).digest()
