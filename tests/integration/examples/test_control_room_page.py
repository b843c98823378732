"""The live page of the control room shows and does what it should, also after an instrument has crashed."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _processes import Stage

from ..tools.browser import INSTALLATION_TIME, running_browser

pytest.importorskip("werkzeug")
pytest.importorskip("jinja2")
pytest.importorskip("waitress")

INSTRUMENTS = ["balance", "oven", "spectrometer"]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """The address of the page of a laboratory."""
    with Stage("control_room", tmp_path, timeout=50) as stage:
        nameserver = stage.nameserver()
        supervisor = stage.server("supervisor.py")
        server = stage.server("page.py", 0)
        for name in INSTRUMENTS:
            supervisor.wait_for(f"^{name} is ready")
        yield server.wait_for("ready").rpartition(" ")[2]
        for program in (server, supervisor):
            program.terminate()
        nameserver.interrupt()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def call(page: str, method: str, **arguments: Any) -> Any:
    """As the page calls remote objects."""
    body = json.dumps(arguments).encode()
    request = urllib.request.Request(f"{page}pyro/{method}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())


def watch(page: str, condition: Callable[[dict[str, Any], list[str]], object]) -> dict[str, Any]:
    """Read what is pushed to the page until something is so; the instruments then."""
    with urllib.request.urlopen(page + "live", timeout=10) as live:
        assert live.headers["Content-Type"] == "text/event-stream"
        for line in live:
            if line.startswith(b"data: "):
                state = json.loads(line[6:])
                instruments = {each["name"]: each for each in state["instruments"]}
                if condition(instruments, state["events"]):
                    return instruments
    raise AssertionError("the server has closed the stream")


def test_page_survives_a_crash(page: str) -> None:
    """[HTTP-3], [HTTP-5], [EX-30]: the gateway as a part of another WSGI application, with names of its own choice."""
    status, text = get(page)
    assert status == 200
    assert "<title>Control room</title>" in text
    assert get(page + "pyro/Pyro.NameServer/list")[0] == 403

    before = watch(page, lambda now, _: len(now) == 3 and all(len(each["values"]) > 2 for each in now.values()))
    assert sorted(before) == INSTRUMENTS
    assert (before["oven"]["kind"], before["oven"]["unit"]) == ("oven", "°C")
    assert call(page, "lab.instrument.balance/tare") is None
    assert call(page, "lab.instrument.oven/heat_to", celsius=250) is None
    watch(page, lambda now, _: abs(now["balance"]["values"][-1]) < 1)

    process = before["oven"]["process"]
    assert call(page, "lab.supervisor/crash", name="oven") == process
    watch(page, lambda now, events: not now["oven"]["connected"] and "oven: connection lost" in events[0])
    after = watch(page, lambda now, _: now["oven"]["connected"] and now["oven"]["values"][-1] is not None)
    assert after["oven"]["process"] not in {0, process}
    assert after["oven"]["values"].count(None) == after["oven"]["lost"] == 1
    assert after["balance"]["process"] == before["balance"]["process"]
    assert after["balance"]["lost"] == 0


@pytest.mark.slow
@pytest.mark.timeout(INSTALLATION_TIME * 2)
def test_page_in_a_browser(page: str, tmp_path: Path) -> None:
    """[EX-30]: as a person sees it; with ``PYROLITE_SCREENSHOTS=directory`` the picture of the readme is made."""
    with running_browser(tmp_path) as browser:
        from selenium.webdriver.support.ui import WebDriverWait

        def wait_for(selector: str, text: str) -> None:
            # asked in one step, since the page is drawn anew all the time
            script = "return [...document.querySelectorAll(arguments[0])].some(e => e.innerText.includes(arguments[1]))"
            WebDriverWait(browser, 20, poll_frequency=0.05).until(
                lambda _: browser.execute_script(script, selector, text), f"{text!r} in {selector}"
            )

        browser.get(page)
        wait_for("#state", "3 of 3 instruments connected")
        cards = {card.text.split()[0]: card for card in browser.find_elements("tag name", "article")}
        assert sorted(cards) == INSTRUMENTS
        wait_for("output", "°C")
        cards["balance"].find_element("xpath", ".//button[text()='Tare']").click()
        wait_for("output", "0.0")
        oven = cards["oven"]
        oven.find_element("xpath", ".//button[text()='250 °C']").click()
        oven.find_element("css selector", "button.crash").click()
        wait_for(".gone output", "GONE")
        wait_for("#state", "2 of 3 instruments connected")
        wait_for("#events", "oven: back in process")
        wait_for("#state", "3 of 3 instruments connected")
        assert len(oven.find_elements("css selector", "svg line")) == 1
        if directory := os.environ.get("PYROLITE_SCREENSHOTS"):
            time.sleep(8)  # a curve to look at
            browser.set_window_size(1000, 700)
            browser.save_screenshot(str(Path(directory) / "page.png"))
        assert browser.get_log("browser") == []
