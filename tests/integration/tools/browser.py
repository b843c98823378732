"""A headless Chromium, steered through its driver; installed from Debian's packages when that is possible."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PACKAGES = ("chromium", "chromium-driver")
#: Seconds that the installation may take.
INSTALLATION_TIME = 400
#: Nothing is fetched from anywhere, and nothing is kept.
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
    " --no-first-run --disable-default-apps --disable-extensions --disable-dev-shm-usage --hide-scrollbars"
    " --window-size=1000,900 --force-color-profile=srgb"
).split()


def programs() -> tuple[str, str]:
    """Paths of browser and driver; skips the test with the reason when they are neither there nor to be had."""
    with (Path(tempfile.gettempdir()) / "pyrolite-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test runs install it once
        found = _found()
        if found is None:
            _install()
            found = _found()
    if found is None:
        pytest.skip(f"needs the programs chromium and chromedriver (Debian: {' '.join(PACKAGES)})")
    return found


def _found() -> tuple[str, str] | None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver") or shutil.which("chromium.chromedriver")
    return (browser, driver) if browser and driver else None


def _install() -> None:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        pytest.skip(f"needs Chromium and its driver; install them as root: apt-get install {' '.join(PACKAGES)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES],)
    for command in (*commands, ["apt-get", "update"], *commands):
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=INSTALLATION_TIME, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"{' '.join(command)} took too long")
        if done.returncode == 0 and command[1] == "install":
            return
    pytest.skip(f"apt-get could not install Chromium: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")


@contextlib.contextmanager
def running_browser(directory: Path) -> Iterator[Any]:
    """A browser with a profile of its own below ``directory``."""
    webdriver = pytest.importorskip("selenium.webdriver")
    browser, driver = programs()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for option in (*OPTIONS, f"--user-data-dir={directory}/profile"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    steered = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    try:
        yield steered
    finally:
        steered.quit()
