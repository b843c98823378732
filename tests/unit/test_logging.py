"""How logging is configured, inside of this process ([LOG-2] to [LOG-8])."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrolite import logconfig
from pyrolite.logconfig import SILENT, configure_logging

MESSAGE = "Pyro log configured using built-in defaults, level=%s"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The library's logger, as before anything was configured."""
    logger = logging.getLogger("pyrolite")
    level = logger.level
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(level)


@contextlib.contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """Take away the root logger's handlers for a while; those that it gets are closed.

    That is no fixture, because pytest adds its own handlers after fixtures have been set up.
    """
    root = logging.getLogger()
    level, handlers = root.level, root.handlers
    root.handlers = []
    try:
        yield root
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers = handlers
        root.setLevel(level)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYRO_LOGLEVEL", raising=False)
    monkeypatch.delenv("PYRO_LOGFILE", raising=False)


@pytest.mark.parametrize("value", [None, "", "  "])
def test_silent(monkeypatch: pytest.MonkeyPatch, logger: logging.Logger, value: str | None) -> None:
    """[LOG-7], [LOG-2] Without a level nothing is logged."""
    if value is not None:
        monkeypatch.setenv("PYRO_LOGLEVEL", value)
    configure_logging()
    assert logger.level == SILENT
    assert not logging.getLogger("pyrolite.core").isEnabledFor(logging.CRITICAL)


def test_level_of_the_program(logger: logging.Logger) -> None:
    """[LOG-7] A level that the program has set before stays."""
    logger.setLevel(logging.INFO)
    configure_logging()
    assert logger.level == logging.INFO


def test_handlers_of_the_program(
    monkeypatch: pytest.MonkeyPatch, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """[LOG-4], [LOG-5] A root logger with handlers is left alone; the library's logger gets the level."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    monkeypatch.setenv("PYRO_LOGLEVEL", "INFO")
    configure_logging()
    assert logger.level == logging.INFO
    assert (root.level, root.handlers) == before
    assert (caplog.records[-1].name, caplog.records[-1].msg) == ("pyrolite", MESSAGE)
    assert caplog.messages[-1] == MESSAGE % "INFO"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("DEBUG", logging.DEBUG),
        ("INFO", logging.INFO),
        ("WARNING", logging.WARNING),
        ("WARN", logging.WARNING),
        ("ERROR", logging.ERROR),
        ("CRITICAL", logging.CRITICAL),
        ("debug", logging.DEBUG),
        (" Info ", logging.INFO),
        ("15", 15),
    ],
)
def test_levels(monkeypatch: pytest.MonkeyPatch, logger: logging.Logger, text: str, level: int) -> None:
    """[LOG-2], [LOG-6] Names in any case, and numbers."""
    monkeypatch.setenv("PYRO_LOGLEVEL", text)
    configure_logging()
    assert logger.level == level


@pytest.mark.parametrize("text", ["LOUD", "-1", "1.5", "D E"])
def test_unknown_level(monkeypatch: pytest.MonkeyPatch, logger: logging.Logger, text: str) -> None:
    """[LOG-6] Anything else is an error that names the variable."""
    monkeypatch.setenv("PYRO_LOGLEVEL", text)
    with pytest.raises(ValueError, match=f"^invalid PYRO_LOGLEVEL: {text}$"):
        configure_logging()
    assert logger.level == logging.NOTSET


def test_file(monkeypatch: pytest.MonkeyPatch, logger: logging.Logger, tmp_path: Path) -> None:
    """[LOG-3], [LOG-5] A root logger without handlers writes to the file, in our format."""
    path = tmp_path / "there.log"
    monkeypatch.setenv("PYRO_LOGLEVEL", "WARNING")
    monkeypatch.setenv("PYRO_LOGFILE", str(path))
    with bare_root() as root:
        configure_logging()
        assert root.level == logging.WARNING
        logging.getLogger("pyrolite.core").info("not this")
        logging.getLogger("pyrolite.core").warning("this: \u20ac \udcff")
    text = path.read_text(encoding="utf-8")
    assert text.endswith(",pyrolite.core,WARNING] this: \u20ac \\udcff\n")
    assert text.count("\n") == 1


def test_home_directory(monkeypatch: pytest.MonkeyPatch, logger: logging.Logger, tmp_path: Path) -> None:
    """[LOG-3] ``~`` is the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("PYRO_LOGLEVEL", "INFO")
    monkeypatch.setenv("PYRO_LOGFILE", "~/home.log")
    with bare_root():
        configure_logging()
    assert (tmp_path / "home.log").exists()


@pytest.mark.parametrize("where", ["missing directory", "directory"])
def test_not_writable(
    monkeypatch: pytest.MonkeyPatch,
    logger: logging.Logger,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    where: str,
) -> None:
    """[LOG-3] What cannot be written to is replaced by the console, with a warning."""
    monkeypatch.setenv("PYRO_LOGLEVEL", "INFO")
    path = tmp_path / "missing" / "x.log" if where == "missing directory" else tmp_path
    monkeypatch.setenv("PYRO_LOGFILE", str(path))
    with bare_root():
        configure_logging()
    assert capsys.readouterr().err == (
        "WARNING:pyrolite:unable to write to the desired logfile (access rights?), falling back to console logger\n"
        f"INFO:pyrolite:{MESSAGE % 'INFO'}\n"
    )


def test_again(monkeypatch: pytest.MonkeyPatch, logger: logging.Logger, tmp_path: Path) -> None:
    """[LOG-8] Configuring again, in any order, is no error and adds no handlers."""
    configure_logging()
    assert logger.level == SILENT
    monkeypatch.setenv("PYRO_LOGLEVEL", "INFO")
    monkeypatch.setenv("PYRO_LOGFILE", str(tmp_path / "x.log"))
    with bare_root() as root:
        configure_logging()
        assert logger.getEffectiveLevel() == logging.INFO
        configure_logging()
        assert len(root.handlers) == 1
    assert (tmp_path / "x.log").read_text().count(MESSAGE % "INFO") == 2


def test_format() -> None:
    """[LOG-3] The format of lines and times."""
    assert logconfig.FORMAT == "[%(asctime)s.%(msecs)03d,%(name)s,%(levelname)s] %(message)s"
    assert logconfig.DATE_FORMAT == "%Y-%m-%d %H:%M:%S"


def test_logger_names() -> None:
    """[LOG-1] The library logs with the logger `pyrolite` and these children of it only."""
    children = {
        "core",
        "util",
        "message",
        "futures",
        "naming",
        "naming_storage",
        "threadpool",
        "threadpoolserver",
        "multiplexserver",
        "existingconnectionserver",
        "serializers",
    }
    package = Path(logconfig.__file__).parent
    found = {
        name
        for path in package.rglob("*.py")
        for name in re.findall(r"""getLogger\(["']?([^"')]*)""", path.read_text(encoding="utf-8"))
    }
    assert "pyrolite.core" in found
    foreign = {"waitress.queue"}  # the HTTP gateway quietens the server that it runs on
    assert found <= {"", "pyrolite"} | foreign | {f"pyrolite.{child}" for child in children}
