"""The page of the HTTP gateway in a real browser ([HTTP-13], [HTTP-18], [HRD-40], [HRD-42]).

With ``PYROLITE_SCREENSHOTS=directory`` the pictures of the documentation are made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pyrolite
from pyrolite.testing.services import restored_config

from .browser import INSTALLATION_TIME, running_browser
from .gatewaysite import HOSTILE, Site, running_site

pytest.importorskip("waitress")
pytestmark = [pytest.mark.timeout(INSTALLATION_TIME * 2), pytest.mark.slow]

MODULE = "pyrolite.utils.httpgateway"


@pytest.fixture
def site() -> Iterator[Site]:
    with restored_config(), running_site() as running:
        yield running


@pytest.fixture
def gateway(site: Site, start_tool: Any) -> Any:
    """Start the gateway for the site; its address."""

    def start(**environment: str) -> str:
        uri = site.nameserver._pyroUri
        settings = {"PYRO_NS_HOST": uri.host, "PYRO_NS_PORT": str(uri.port), **environment}
        tool = start_tool(MODULE, "-p", "0", **settings)
        url: str = tool.wait_for("Pyro HTTP gateway running on ")
        return url

    return start


class Page:
    """What one does with a page."""

    def __init__(self, browser: Any) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        self.browser = browser
        self._wait = WebDriverWait(browser, 20, poll_frequency=0.05)

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.browser.find_elements("css selector", selector)
        return found

    def one(self, selector: str) -> Any:
        return self._wait.until(lambda _: next((found for found in self.all(selector) if found.is_displayed()), None))

    def wait_for_text(self, selector: str, text: str) -> str:
        self._wait.until(lambda _: any(text in found.text for found in self.all(selector)))
        shown: str = self.one(selector).text
        return shown

    def fill(self, selector: str, text: str) -> None:
        field = self.one(selector)
        field.clear()
        field.send_keys(text)

    def wait_for_new_page(self, action: Any) -> None:
        from selenium.common.exceptions import WebDriverException

        self.browser.execute_script("window.pageBefore = true")

        def is_new(_: Any) -> bool:
            try:
                new: bool = self.browser.execute_script(
                    "return !window.pageBefore && document.readyState === 'complete'"
                )
            except WebDriverException:  # in the middle of it
                return False
            return new

        action()
        self._wait.until(is_new)

    def errors(self) -> list[str]:
        """What the browser complains about; answers that are errors on purpose are left out."""
        entries = [entry for entry in self.browser.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
        return [entry["message"] for entry in entries if "status of " not in entry["message"]]

    def picture(self, name: str) -> None:
        directory = os.environ.get("PYROLITE_SCREENSHOTS")
        if directory:
            # where this checkout is, is of no interest
            hide = (
                "for (const shown of document.querySelectorAll('pre'))"
                " shown.textContent = shown.textContent.replaceAll(arguments[0], '...');"
            )
            self.browser.execute_script(hide, str(Path(pyrolite.__file__).resolve().parents[1]))
            self.browser.save_screenshot(str(Path(directory) / name))


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with running_browser(tmp_path) as browser:
        yield Page(browser)


def test_explorer(page: Page, gateway: Any, site: Site) -> None:
    """[HTTP-13] [HTTP-18] [HRD-40] List, search, members, calls, errors; a hostile name is text."""
    page.browser.get(gateway())
    assert page.browser.title == "Pyro HTTP gateway"
    names = [row.get_attribute("data-object") for row in page.all("tr[data-object]")]
    assert names == sorted(["http.a/b", "http.calculator", HOSTILE, "http.gone"])
    assert [link.text for link in page.all("tr[data-object] a")] == names
    assert "??error:CommunicationError" in page.one("tr[data-object='http.gone']").text
    assert page.all("table script") == []

    # search
    page.fill("input[name=search]", "CALC")
    page.wait_for_new_page(page.one("#list button").click)
    assert [link.text for link in page.all("tr[data-object] a")] == ["http.calculator"]
    assert "1 of 1 object " in page.one("#count").text

    # members, with signatures and docstrings
    page.one("tr[data-object='http.calculator'] a").click()
    shown = page.wait_for_text("[data-member=divide]", "Divide <one> by another.")
    assert "divide(a: int, b: int) -> float" in shown
    assert "oneway" in page.one("[data-member=note]").text
    assert page.one("[data-member=add] input[name=b]").get_attribute("placeholder") == "2"
    assert page.all("[data-member=__dunder__]") == []

    # a call, whose arguments are numbers and texts
    page.browser.execute_script("scrollTo(0, 0)")
    page.picture("gateway-members.png")
    page.fill("[data-member=divide] input[name=a]", "7")
    page.fill("[data-member=divide] input[name=b]", "2")
    page.one("[data-member=divide] button").click()
    answer = page.wait_for_text("#result", "200 OK")
    assert 'POST /pyro/http.calculator/divide {"a":7,"b":2}' in answer
    assert "correlation id" in answer
    assert page.one("#result pre").text == "3.5"
    page.fill("[data-member=echo] input[name=message]", "<b>not bold</b>")
    page.one("[data-member=echo] button").click()
    page.wait_for_text("#result pre", '"<b>not bold</b>"')
    assert page.all("#result b") == []

    # an error, with the traceback of the remote object
    page.fill("[data-member=divide] input[name=b]", "0")
    page.one("[data-member=divide] button").click()
    answer = page.wait_for_text("#result", "500 Internal Server Error")
    assert "builtins.ZeroDivisionError: division by zero" in answer
    assert "return a / b" in page.one("#result pre.traceback").text
    page.picture("gateway-error.png")

    # attributes, oneway methods, arguments that are not known, values that are no JSON
    page.one("[data-member=precision] button").click()
    page.wait_for_text("#result pre", "3")
    page.fill("[data-member=note] input[name=text]", "hello")
    page.one("[data-member=note] button").click()
    page.wait_for_text("#result", "No result")
    page.fill("[data-member=whatever] textarea", "x = [1, 2]\ny = text")
    page.one("[data-member=whatever] button").click()
    page.wait_for_text("#result", '{"x":[1,2],"y":"text"}')
    page.wait_for_text("#result pre", '"text"')
    page.one("[data-member=not_finite] button").click()
    page.wait_for_text("#result pre", "NaN")

    # links of the examples are calls as well
    page.one("#examples a[href$='list']").click()
    page.wait_for_text("#result pre", "403 Forbidden - access to the requested object has been denied")
    assert site.calculator.seen == ["hello"]
    assert page.errors() == []


def test_hostile_name(page: Page, gateway: Any, site: Site) -> None:
    """[HTTP-13] [HRD-40] What another client registers does nothing in the page, also when it is used."""
    page.browser.get(gateway())
    row = next(row for row in page.all("tr[data-object]") if row.get_attribute("data-object") == HOSTILE)
    link = row.find_element("css selector", "a")
    link.click()
    page.wait_for_text("[data-member=echo]", "Return the message.")
    assert page.one("#object h2").text == HOSTILE
    page.fill("[data-member=echo] input[name=message]", "1")
    page.one("[data-member=echo] button").click()
    page.wait_for_text("#result pre", "1")
    assert page.browser.title == "Pyro HTTP gateway"
    # the policy stops what would be put into the page by other means
    page.browser.execute_script(
        "const made = document.createElement('script'); made.textContent = \"document.title = 'taken'\";"
        "document.body.append(made);"
    )
    assert page.browser.title == "Pyro HTTP gateway"
    assert any("Content Security Policy" in text for text in page.errors())


def test_key(page: Page, gateway: Any) -> None:
    """[HTTP-5] [HTTP-18] [HRD-42] Asked for, refused when wrong, used for searches and calls, never in an address."""
    url = gateway(PYRO_HTTPGATEWAY_KEY="s\xe9 & <cret>")
    page.browser.get(url)
    for key in ("wrong", "s\xe9 & <cret>"):
        assert "incorrect gateway api key" in page.one("[role=alert]").text
        assert page.all("tr[data-object]") == []
        page.fill("input[name='$key']", key)
        page.wait_for_new_page(page.one("button").click)
    assert page.one("tr[data-object='http.calculator']")
    page.fill("input[name=search]", "calc")
    page.wait_for_new_page(page.one("#list button").click)
    page.one("tr[data-object='http.calculator'] a").click()
    page.fill("[data-member=add] input[name=a]", "40")
    page.one("[data-member=add] button").click()
    page.wait_for_text("#result", "200 OK")
    assert page.one("#result pre").text == "42"
    assert page.browser.current_url == url
    assert page.errors() == []
