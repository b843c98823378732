"""What the environment does when the package is imported: logging and configuration, in processes of their own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

LINE = (
    r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3},pyrolite,INFO\] Pyro log configured using built-in defaults, level=INFO\n"
)

IMPORT = """
    import logging, pyrolite
    logging.getLogger("pyrolite.core").critical("something happened")
"""


def test_silent_by_default(run_python: Any, tmp_path: Path) -> None:
    """[LOG-7] Nothing is printed, nothing is logged, no file appears."""
    done = run_python(IMPORT, options=("-W", "error"))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_level_of_the_program(run_python: Any, when: str) -> None:
    """[LOG-7] A level that the program sets before or after the import works."""
    setting = "logging.getLogger('pyrolite').setLevel('INFO')"
    code = f"""
import logging
logging.basicConfig(level="WARNING", format="%(name)s %(message)s")
{setting if when == "before" else ""}
import pyrolite
{setting if when == "after" else ""}
logging.getLogger("pyrolite.core").info("something happened")
"""
    assert run_python(code).stderr == "pyrolite.core something happened\n"


def test_log_file(run_python: Any, tmp_path: Path) -> None:
    """[LOG-2], [LOG-3], [LOG-5] The default file is in the current directory."""
    done = run_python("import pyrolite", environment={"PYRO_LOGLEVEL": "INFO"}, options=("-W", "error"))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert re.fullmatch(LINE, (tmp_path / "pyro.log").read_text())


def test_standard_error(run_python: Any, tmp_path: Path) -> None:
    """[LOG-3] ``{stderr}`` is standard error."""
    done = run_python("import pyrolite", environment={"PYRO_LOGLEVEL": "info", "PYRO_LOGFILE": "{stderr}"})
    assert re.fullmatch(LINE, done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_reload(run_python: Any) -> None:
    """[LOG-8] Reloading the package repeats the configuration without error."""
    code = "import importlib, pyrolite; importlib.reload(pyrolite)"
    done = run_python(code, environment={"PYRO_LOGLEVEL": "INFO", "PYRO_LOGFILE": "{stderr}"})
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(LINE * 2, done.stderr)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("PYRO_LOGLEVEL", "LOUD", "ValueError: invalid PYRO_LOGLEVEL: LOUD"),
        ("PYRO_SSL", "maybe", "ValueError: invalid boolean value: PYRO_SSL=maybe"),
        ("PYRO_NS_PORT", "nine", "ValueError: invalid int value: PYRO_NS_PORT=nine"),
        ("PYRO_PICKLE_PROTOCOL_VERSION", "1", "must be 2 or more, not 1: pickle protocol needs to be 2 or higher"),
    ],
)
def test_bad_values(run_python: Any, name: str, value: str, text: str) -> None:
    """[LOG-6], [CFG-3], [CFG-11] A wrong value makes the import fail with the name of the variable."""
    done = run_python("import pyrolite", environment={name: value})
    assert done.returncode == 1
    assert name in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].endswith(text)


def test_items(run_python: Any) -> None:
    """[CFG-3], [CFG-9] Items from the environment."""
    code = "from pyrolite import config; print(config.HOST, config.NS_HOST, config.COMPRESSION, config.COMMTIMEOUT)"
    environment = {"PYRO_HOST": "h", "PYRO_COMPRESSION": "on", "PYRO_COMMTIMEOUT": "1.5", "PYRO_UNKNOWN": "x"}
    assert run_python(code, environment=environment).stdout == "h localhost True 1.5\n"


def test_program(run_python: Any) -> None:
    """[CFG-6], [CFG-7] ``python -m pyrolite.configuration`` prints what is in effect, without passwords."""
    code = """
        import runpy, sys, warnings
        warnings.simplefilter("ignore", RuntimeWarning)  # that the module has been imported with the package
        runpy.run_module("pyrolite.configuration", run_name="__main__")
    """
    environment = {"PYRO_SSL_CLIENTKEYPASSWD": "do not tell", "PYRO_LOGFILE": "some.log"}
    done = run_python(code, environment=environment, options=("-W", "error"))
    lines = done.stdout.splitlines()
    assert "version:" in lines[0]
    assert "LOGFILE = some.log" in lines
    assert "SSL_CLIENTKEYPASSWD = ***" in lines
    assert "do not tell" not in done.stdout
    assert done.stderr == ""


def test_lean_import(run_python: Any) -> None:
    """[BYD-60], [CFG-11] dill's protocol number is known without loading dill."""
    code = (
        "import pyrolite.configuration, sys; print([m for m in ('dill', 'msgpack', 'cloudpickle') if m in sys.modules])"
    )
    assert run_python(code).stdout == "[]\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no permissions of this kind")
def test_no_rights(run_python: Any, tmp_path: Path) -> None:
    """[LOG-3] A directory that does not exist, in a process of its own."""
    environment = {"PYRO_LOGLEVEL": "INFO", "PYRO_LOGFILE": str(tmp_path / "no" / "x.log")}
    done = run_python("import pyrolite", environment=environment)
    assert done.stderr.startswith("WARNING:pyrolite:unable to write to the desired logfile")
