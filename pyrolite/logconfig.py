"""What ``PYRO_LOGLEVEL`` and ``PYRO_LOGFILE`` do to logging, once when the package is imported ([LOG-2] to [LOG-8])."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from pyrolite import lazily
from pyrolite.configuration import environment_text

if TYPE_CHECKING:
    import pathlib
else:
    pathlib = lazily.module("pathlib", globals())

__all__ = ["configure_logging"]

#: Level of the library's logger that lets nothing pass, when nothing was asked for.
SILENT: Final = 9999
DEFAULT_FILE: Final = "pyro.log"
#: Value of ``PYRO_LOGFILE`` for standard error.
STANDARD_ERROR: Final = "{stderr}"
FORMAT: Final = "[%(asctime)s.%(msecs)03d,%(name)s,%(levelname)s] %(message)s"
DATE_FORMAT: Final = "%Y-%m-%d %H:%M:%S"


def configure_logging() -> None:
    """Set up logging as the environment says; without ``PYRO_LOGLEVEL`` the library is silent.

    A root logger that has handlers belongs to the program and is left alone, as is a level that the program has given
    to the logger ``pyrolite``.

    Raises:
        ValueError: ``PYRO_LOGLEVEL`` is no level.
    """
    logger = logging.getLogger("pyrolite")
    wanted = (environment_text("LOGLEVEL") or "").strip()
    if not wanted:
        if logger.level == logging.NOTSET:
            logger.setLevel(SILENT)
        return
    level = _level(wanted)
    if logging.getLogger().handlers:
        logger.setLevel(level)
    else:
        if logger.level == SILENT:  # from an import without PYRO_LOGLEVEL
            logger.setLevel(logging.NOTSET)
        _configure_root(level, environment_text("LOGFILE") or DEFAULT_FILE)
    logger.info("Pyro log configured using built-in defaults, level=%s", logging.getLevelName(level))


def _level(text: str) -> int:
    if text.isdecimal():
        return int(text)
    level = logging.getLevelName(text.upper())
    if not isinstance(level, int):
        raise ValueError(f"invalid PYRO_LOGLEVEL: {text}")
    return level


def _configure_root(level: int, name: str) -> None:
    if name == STANDARD_ERROR:
        logging.basicConfig(level=level, format=FORMAT, datefmt=DATE_FORMAT)
        return
    path = pathlib.Path(os.path.expanduser(name))  # noqa: PTH111 - that of pathlib raises for unknown users
    try:
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f"cannot write to {path.parent}")
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError:
        logging.basicConfig(level=level)
        logging.getLogger("pyrolite").warning(
            "unable to write to the desired logfile (access rights?), falling back to console logger"
        )
    else:
        logging.basicConfig(level=level, format=FORMAT, datefmt=DATE_FORMAT, handlers=[handler])
