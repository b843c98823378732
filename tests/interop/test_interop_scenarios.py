"""Every scenario with both libraries on both ends and both server types; see `scenario_registry`."""

from __future__ import annotations

from typing import Any

import pytest
from peer_services import CONNECTED, DIRECTIONS, Peers
from scenarios import SCENARIOS, Scenario

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

CASES = [
    pytest.param(scenario, serializer, servertype, id=f"{scenario.name}-{serializer}-{servertype}")
    for scenario in SCENARIOS.values()
    for serializer in scenario.serializers
    for servertype in (["thread"] if scenario.needs in CONNECTED else ["thread", "multiplex"])
]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("scenario", "serializer", "servertype"), CASES)
def test_scenario(
    peers: Peers,
    request: pytest.FixtureRequest,
    scenario: Scenario,
    serializer: str,
    direction: str,
    servertype: str,
) -> None:
    """The client finds what Pyro4 finds with Pyro4, or what the specification asks for instead."""
    client, server = DIRECTIONS[direction]
    certificates = None
    if scenario.needs.startswith("tls"):
        files = request.getfixturevalue("certificates")._asdict()
        certificates = {name: str(path) for name, path in files.items()}
    uris: dict[str, Any] = {}
    if scenario.needs == "daemon":  # more servers, of both libraries, that the first one can call
        for library in ("Pyro4", "pyrolite"):
            uris["other_" + library] = peers.service(library, servertype, "other")["uris"]["target"]
    service = peers.service(server, servertype, scenario.needs, certificates)
    uris.update(service["uris"])
    extra = {key: value for key, value in service.items() if key != "uris"}
    found = peers.client(client)("run", scenario=scenario.name, uris=uris, serializer=serializer, **extra)
    assert found == scenario.expected(client, server), scenario.requirements
