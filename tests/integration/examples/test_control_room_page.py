"""The live page of the control room gets what it shows, also after an instrument has crashed."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from _processes import Program, Stage

pytest.importorskip("werkzeug")
pytest.importorskip("jinja2")
pytest.importorskip("waitress")


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def value_of(page: str, call: str) -> Any:
    status, text = get(page + "pyro/" + call)
    assert status == 200, text
    return json.loads(text)


def wait_until_ready(supervisor: Program, count: int) -> None:
    for name in ("oven", "balance", "spectrometer"):
        supervisor.wait_for(f"^{name} is ready", count if name == "oven" else 1)


def test_page_survives_a_crash(tmp_path: Path) -> None:
    """[HTTP-3], [HTTP-5], [EX-30]: the gateway as a part of another WSGI application, with names of its own choice."""
    with Stage("control_room", tmp_path, timeout=40) as stage:
        nameserver = stage.nameserver()
        supervisor = stage.server("supervisor.py")
        server = stage.server("page.py", 0)
        page = server.wait_for("ready").rpartition(" ")[2]
        wait_until_ready(supervisor, 1)

        status, text = get(page)
        assert status == 200
        assert "<title>Control room</title>" in text
        # everything that the page calls is there, and nothing else
        for name, method in re.findall(r'call\("(lab\.\w+)", "(\w+)"', text):
            assert method in value_of(page, f"{name}/$meta")["methods"]
        assert get(page + "pyro/Pyro.NameServer/list")[0] == 403

        before = value_of(page, "lab.supervisor/status")
        assert sorted(before) == ["balance", "oven", "spectrometer"]
        assert value_of(page, "lab.instrument.oven/describe")["unit"] == "°C"
        assert value_of(page, "lab.instrument.oven/read")["number"] == 1
        assert value_of(page, "lab.instrument.oven/read")["number"] == 2

        assert value_of(page, "lab.supervisor/crash?name=oven") == before["oven"]["process"]
        wait_until_ready(supervisor, 2)
        assert value_of(page, "lab.instrument.oven/read")["number"] == 1
        after = value_of(page, "lab.supervisor/status")
        assert after["oven"]["starts"] == 2
        assert after["balance"] == before["balance"]

        for program in (server, supervisor):
            program.terminate()
        nameserver.interrupt()
