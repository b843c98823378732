"""What the tools warn of ([CLI-31], [SEC-1], [SEC-12], [SEC-20], [SEC-24], [SEC-25], [SEC-30], [SEC-36], [SEC-50])."""

from __future__ import annotations

from typing import Any

import pytest

from pyrolite import configuration
from pyrolite.configuration import Configuration
from pyrolite.configuration.risks import is_reachable, risks

KEY = b"0123456789abcdef0123456789abcdef"
SAFE = {
    "HOST": "192.0.2.1",
    "SSL": True,
    "SSL_REQUIRECLIENTCERT": True,
    "SSL_CACERTS": "ca.pem",
    "MAX_MESSAGE_SIZE": 1_000_000,
}


def found(key: bytes | None = None, **settings: Any) -> dict[str, str]:
    config = Configuration().copy(**settings)
    told = list(risks(config, key))
    assert all(risk.text and risk.remedy for risk in told)
    return {risk.item: risk.text for risk in reversed(told)}  # of several about one item, the first


def test_default_configuration() -> None:
    """[SEC-1]: nothing to warn of, with a key or without."""
    assert found() == {}
    assert found(KEY) == {}
    assert found(**SAFE) == {}


@pytest.mark.parametrize("name", ["pickle", "cloudpickle", "dill"])
def test_code_carriers(name: str) -> None:
    """[SEC-20]: whoever may send them runs code; worse where strangers can connect."""
    accepted = {"serpent", name}
    text = found(SERIALIZERS_ACCEPTED=accepted)["SERIALIZERS_ACCEPTED"]
    assert f"{name} accepted without TLS" in text
    assert "every user of this machine" in text
    text = found(SERIALIZERS_ACCEPTED=accepted, HOST="0.0.0.0")["SERIALIZERS_ACCEPTED"]
    assert f"{name} accepted without TLS" in text
    assert "on any of its networks" in text
    # TLS alone tells nobody who the client is
    assert "without TLS client certificates" in found(SERIALIZERS_ACCEPTED=accepted, SSL=True)["SERIALIZERS_ACCEPTED"]
    for identified in (
        found(KEY, SERIALIZERS_ACCEPTED=accepted, HOST="0.0.0.0"),
        found(**{**SAFE, "SERIALIZERS_ACCEPTED": accepted}),
    ):
        assert "whoever has the key" in identified["SERIALIZERS_ACCEPTED"]
    assert f"{name} decodes the answers" in found(SERIALIZER=name)["SERIALIZER"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "server.example.com", "2001:db8::1"])
def test_reachable_hosts(host: str) -> None:
    """[SEC-1], [SEC-30]"""
    assert is_reachable(host)
    told = found(HOST=host)
    assert "can call all exposed objects" in told["HOST"]
    assert "can be read on the way" in told["SSL"]
    assert set(told) == {"HOST", "SSL", "MAX_MESSAGE_SIZE", "SERIALIZERS_ACCEPTED"}
    assert set(found(KEY, HOST=host)) == {"SSL", "MAX_MESSAGE_SIZE"}
    assert "encrypted, but" in found(HOST=host, SSL=True)["HOST"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "a.localhost", None]
)
def test_local_hosts(host: str | None) -> None:
    """[SEC-1]"""
    assert not is_reachable(host)
    if host is not None:
        assert found(HOST=host) == {}


def test_address_for_others() -> None:
    """A server behind NAT is reachable, although it is bound to the loopback address."""
    told = found(NATHOST="www.example.com")
    assert "whoever reaches www.example.com" in told["NATHOST"]
    assert "SSL" in told


@pytest.mark.parametrize(
    ("item", "value", "text"),
    [
        ("DETAILED_TRACEBACK", True, "local variables"),
        ("FLAME_ENABLED", True, "full control"),
        ("REQUIRE_EXPOSE", False, "every public method"),
        ("LOGWIRE", True, "into the log"),
        ("HMAC_STRENGTHENED", True, "no effect"),
    ],
)
def test_items_that_tell_or_offer_too_much(item: str, value: object, text: str) -> None:
    """[SEC-12], [SEC-50], [SEC-52], [SEC-61]"""
    assert text in found(**{item: value})[item]
    assert text in found(**{**SAFE, item: value})[item]


def test_tls_that_is_not_what_it_seems() -> None:
    """[SEC-36]"""
    for item in ("SSL_SERVERCERT", "SSL_CLIENTCERT", "SSL_CACERTS"):
        assert f"although {item} is set" in found(**{item: "file.pem"})["SSL"]
    assert "although SSL_REQUIRECLIENTCERT" in found(SSL_REQUIRECLIENTCERT=True)["SSL"]
    assert "SSL_REQUIRECLIENTCERT" in found(SSL=True, SSL_REQUIRECLIENTCERT=True)


def test_short_keys() -> None:
    """[SEC-30]: what is signed with them can be tried out without asking anybody."""
    assert "3 bytes" in found(b"abc")["HMAC key"]
    assert "HMAC key" not in found(b"x" * 16)


def test_warnings_of_the_dump(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """[CLI-26]: on the error output, so that the dump is what it was."""
    monkeypatch.setattr("sys.argv", ["pyrolite-check-config"])
    monkeypatch.delenv("PYRO_HMAC_KEY", raising=False)
    with configuration.config.override(HOST="0.0.0.0", SERIALIZERS_ACCEPTED={"pickle"}, DETAILED_TRACEBACK=True):
        configuration.main()
        told = capsys.readouterr()
        assert told.out == configuration.config.dump() + "\n"
        assert "warning: SERIALIZERS_ACCEPTED: pickle accepted without TLS" in told.err
        assert "warning: HOST: " in told.err
        assert "warning: DETAILED_TRACEBACK: " in told.err
        monkeypatch.setenv("PYRO_HMAC_KEY", KEY.decode())
        configuration.main()
        assert "warning: HOST: " not in capsys.readouterr().err
    configuration.main()
    assert capsys.readouterr().err == ""
