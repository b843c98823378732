"""Settings that are dangerous, and what to do about them: what the tools warn of (chapter 80)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pyrolite.configuration import Configuration

__all__ = ["CODE_CARRIERS", "SHORTEST_KEY", "Risk", "is_reachable", "risks"]

#: Serializers whose data runs code in the receiver ([SEC-20]).
CODE_CARRIERS: Final = frozenset({"pickle", "cloudpickle", "dill"})
#: Keys of fewer bytes can be found by trying.
SHORTEST_KEY: Final = 16

_IDENTIFY: Final = (
    "use TLS with client certificates (SSL, SSL_SERVERCERT, SSL_REQUIRECLIENTCERT, SSL_CACERTS) or an HMAC key "
    "(PYRO_HMAC_KEY for the tools, daemon._pyroHmacKey in programs)"
)


class Risk(NamedTuple):
    """A dangerous setting: the configuration item, what can happen, and the remedy."""

    item: str
    text: str
    remedy: str


def is_reachable(host: str | None) -> bool:
    """Whether others than this machine can reach a server on ``host``; names other than localhost count as such."""
    if not host:
        return host is not None  # the empty name is all interfaces
    name = host.strip("[]").partition("%")[0].lower()
    if name == "localhost" or name.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(name).is_loopback
    except ValueError:
        return True


def risks(config: Configuration, key: bytes | None = None) -> Iterator[Risk]:
    """What is dangerous in a configuration, the worst first; nothing in the default one.

    Args:
        config: the settings, as a server and a client would use them.
        key: the HMAC key that both use, None for none.
    """
    reachable = is_reachable(config.HOST) or bool(config.NATHOST)
    identified = bool(key) or (config.SSL and config.SSL_REQUIRECLIENTCERT)
    yield from _code(config, reachable=reachable, identified=identified)
    if reachable:
        yield from _network(config, identified=identified)
    yield from _exposure(config)
    yield from _tls(config)
    if config.HMAC_STRENGTHENED:
        yield Risk(
            "HMAC_STRENGTHENED",
            "has no effect in this version: signed messages can still be replayed, and headers are not covered",
            "use TLS",
        )
    if key and len(key) < SHORTEST_KEY:
        yield Risk(
            "HMAC key",
            f"the key has {len(key)} bytes: one recorded message is enough to find it by trying",
            "take a random one: python3 -c 'import secrets; print(secrets.token_hex(32))'",
        )


def _code(config: Configuration, *, reachable: bool, identified: bool) -> Iterator[Risk]:
    """Settings that let others run code here ([SEC-20], [SEC-61])."""
    accepted = sorted(CODE_CARRIERS & set(config.SERIALIZERS_ACCEPTED))
    if accepted and not identified:
        who = f"whoever reaches {_place(config)}" if reachable else "every user of this machine"
        yield Risk(
            "SERIALIZERS_ACCEPTED",
            f"{', '.join(accepted)} accepted without TLS client certificates or an HMAC key: {who} can run code in the "
            "server",
            f"accept serpent, json or msgpack only; or {_IDENTIFY}",
        )
    elif accepted:
        yield Risk(
            "SERIALIZERS_ACCEPTED",
            f"{', '.join(accepted)} accepted: whoever has the key or a client certificate can run code in the server",
            "accept serpent, json or msgpack only, unless all clients may do everything that the server may",
        )
    if config.SERIALIZER in CODE_CARRIERS:
        yield Risk(
            "SERIALIZER",
            f"{config.SERIALIZER} decodes the answers of servers: a server can run code in this client",
            "use another one, unless you trust all servers that you call"
            + ("" if config.SSL else ", and switch on TLS"),
        )
    if config.FLAME_ENABLED:
        yield Risk(
            "FLAME_ENABLED",
            "Flame gives full control of this process and its user's files to its clients, on purpose",
            f"switch it off, or {_IDENTIFY}",
        )


def _network(config: Configuration, *, identified: bool) -> Iterator[Risk]:
    """Servers that others can reach ([SEC-1], [SEC-25], [SEC-24], [SEC-30])."""
    item = "HOST" if is_reachable(config.HOST) else "NATHOST"
    if not identified:
        what = "messages are encrypted, but " if config.SSL else ""
        yield Risk(
            item,
            f"{what}whoever reaches {_place(config)} can call all exposed objects, and change a name server",
            _IDENTIFY if item == "NATHOST" else f"bind to one address or to localhost; {_IDENTIFY}",
        )
    if not config.SSL:
        yield Risk(
            "SSL",
            f"off, and {_place(config)} is for the network: calls and results can be read on the way, an HMAC key does "
            "not hide them",
            "switch on TLS (SSL, SSL_SERVERCERT)",
        )
    if not config.MAX_MESSAGE_SIZE:
        yield Risk(
            "MAX_MESSAGE_SIZE",
            "0: a client can make the server use as much memory as it sends",
            "set it to the largest message that you expect, in bytes",
        )
    if "marshal" in config.SERIALIZERS_ACCEPTED and not identified:
        yield Risk(
            "SERIALIZERS_ACCEPTED",
            "marshal accepted from everybody: its format was not made for data of strangers",
            "leave it out: PYRO_SERIALIZERS_ACCEPTED=serpent,json,msgpack",
        )


def _exposure(config: Configuration) -> Iterator[Risk]:
    """Settings that tell or offer more than is meant ([SEC-12], [SEC-50], [SEC-52])."""
    if not config.REQUIRE_EXPOSE:
        yield Risk(
            "REQUIRE_EXPOSE",
            "off: every public method and property of registered objects can be called",
            "switch it on, and mark with @expose what clients may use",
        )
    if config.DETAILED_TRACEBACK:
        yield Risk(
            "DETAILED_TRACEBACK",
            "the values of local variables, passwords among them, are sent to every caller of a method that fails",
            "switch it off where others can call",
        )
    if config.LOGWIRE:
        yield Risk("LOGWIRE", "contents of messages, secrets among them, get into the log", "switch it off after use")


def _tls(config: Configuration) -> Iterator[Risk]:
    """TLS settings that do not do what they seem to ([SEC-36])."""
    given = [
        item
        for item in ("SSL_SERVERCERT", "SSL_CLIENTCERT", "SSL_CACERTS", "SSL_REQUIRECLIENTCERT")
        if getattr(config, item)
    ]
    if given and not config.SSL:
        yield Risk("SSL", f"off, although {', '.join(given)} is set: nothing is encrypted", "PYRO_SSL=1 switches it on")
    if config.SSL and config.SSL_REQUIRECLIENTCERT and not config.SSL_CACERTS:
        yield Risk(
            "SSL_REQUIRECLIENTCERT",
            "without SSL_CACERTS, certificates of all authorities that the system knows are good enough",
            "set SSL_CACERTS to the authority of your clients, or look at the certificate in Daemon.validateHandshake",
        )


def _place(config: Configuration) -> str:
    host = config.HOST if is_reachable(config.HOST) else config.NATHOST
    return "this machine on any of its networks" if host in {"", "0.0.0.0", "::"} else str(host)  # noqa: S104
