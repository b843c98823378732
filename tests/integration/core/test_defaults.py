"""What a program gets that configures nothing, and what the environment changes (chapters 60, 80)."""

from __future__ import annotations

import json
from typing import Any

import pytest

import pyrolite
from pyrolite import naming
from pyrolite.utils import flame


def test_nothing_is_open_by_default(pyro_config: Any) -> None:
    """[SEC-1], [CFG-14]: loopback only, safe serializers only, exposed members only, no Flame, no limits set."""
    pyro_config.reset(useenvironment=False)
    with pyrolite.Daemon() as daemon:
        assert daemon.sock.getsockname()[0] in ("127.0.0.1", "::1")
        accepted = {type(s).__name__ for s in daemon._pyroDispatcher.serializers.values()}
        assert accepted == {"SerpentSerializer", "JsonSerializer", "MarshalSerializer"}
        assert daemon._pyroHmacKey is None
    assert not pyro_config.FLAME_ENABLED
    assert pyro_config.REQUIRE_EXPOSE
    assert not pyro_config.SSL
    assert pyro_config.MAX_MESSAGE_SIZE == 0
    with pyrolite.Daemon() as daemon, pytest.raises(pyrolite.errors.SecurityError):
        flame.start(daemon)


def test_name_server_is_local_by_default(pyro_config: Any) -> None:
    """[SEC-1]: a name server without arguments listens on loopback and answers no broadcasts."""
    pyro_config.reset(useenvironment=False)
    uri, daemon, responder = naming.startNS(port=0)
    with daemon:
        assert uri.host == "localhost"
        assert daemon.sock.getsockname()[0] in ("127.0.0.1", "::1")
        assert responder is None


def test_environment_that_cannot_be_trusted(run_python: Any) -> None:
    """[SEC-3]: `reset(useenvironment=False)` gives the safe defaults back."""
    done = run_python(
        """
        import json, pyrolite
        before = pyrolite.config.HOST, sorted(pyrolite.config.SERIALIZERS_ACCEPTED), pyrolite.config.REQUIRE_EXPOSE
        pyrolite.config.reset(useenvironment=False)
        after = pyrolite.config.HOST, sorted(pyrolite.config.SERIALIZERS_ACCEPTED), pyrolite.config.REQUIRE_EXPOSE
        print(json.dumps([before, after]))
        """,
        environment={"PYRO_HOST": "0.0.0.0", "PYRO_SERIALIZERS_ACCEPTED": "pickle", "PYRO_REQUIRE_EXPOSE": "no"},
    )
    before, after = json.loads(done.stdout)
    assert before == ["0.0.0.0", ["pickle"], False]
    assert after == ["localhost", ["json", "marshal", "serpent"], True]


def test_import_configures(run_python: Any) -> None:
    """[OV-12]: importing the package sets up logging and reads the environment."""
    done = run_python(
        "import pyrolite; print(pyrolite.config.NS_PORT)",
        environment={"PYRO_NS_PORT": "12345", "PYRO_LOGLEVEL": "INFO", "PYRO_LOGFILE": "{stderr}"},
    )
    assert done.stdout == "12345\n"
    assert "Pyro log configured using built-in defaults, level=" in done.stderr


def test_items_of_later_protocols_are_there(pyro_config: Any) -> None:
    """[SEC-80], [CFG-11]: every new item has its default, and is shown."""
    pyro_config.reset(useenvironment=False)
    expected = {
        "SERPENT_BYTES_REPR": False,
        "PROXY_SEND_HMAC_KEY": True,
        "SEND_TRACEBACKS": True,
        "PROTOCOL": 0,
        "PROTOCOLS_ACCEPTED": {48, 502},
        "HMAC_STRENGTHENED": False,
    }
    assert {name: pyro_config.asDict()[name] for name in expected} == expected
    shown = pyro_config.dump()
    assert all(f"{name} = " in shown for name in expected)


def test_json_module_that_is_missing(run_python: Any) -> None:
    """[CFG-15]: a warning, no json serializer, and a daemon that accepts it cannot be made."""
    done = run_python(
        """
        import pyrolite
        print("json" in pyrolite.util._serializers)
        try:
            pyrolite.Daemon()
        except pyrolite.errors.SerializeError as error:
            print(error)
        """,
        environment={"PYRO_JSON_MODULE": "no_such_module", "PYRO_LOGLEVEL": "WARNING", "PYRO_LOGFILE": "{stderr}"},
    )
    assert done.stdout == "False\nserializer 'json' is unknown or not available\n"
    assert "json serializer is not available: there is no module 'no_such_module'" in done.stderr
