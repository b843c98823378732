"""Every scenario with both libraries on both ends and both server types; see `scenario_registry`."""

from __future__ import annotations

from typing import Any

import pytest
from peer_services import DIRECTIONS, Peers
from scenarios import SCENARIOS, Scenario

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

CASES = [
    pytest.param(scenario, serializer, id=f"{scenario.name}-{serializer}")
    for scenario in SCENARIOS.values()
    for serializer in scenario.serializers
]


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("scenario", "serializer"), CASES)
def test_scenario(peers: Peers, scenario: Scenario, serializer: str, direction: str, servertype: str) -> None:
    """The client finds what Pyro4 finds with Pyro4, or what the specification asks for instead."""
    if scenario.needs == "connected" and servertype == "multiplex":
        pytest.skip("a daemon on a connected socket has no server type")
    client, server = DIRECTIONS[direction]
    service = peers.service(server, servertype, scenario.needs)
    uris: dict[str, Any] = dict(service["uris"])
    if scenario.needs == "daemon":  # a second server, of the other library, that the first one can call
        other = "pyrolite" if (client, server) == ("pyrolite", "Pyro4") else "Pyro4"
        uris["other"] = peers.service(other, servertype, "other")["uris"]["target"]
    extra = {key: value for key, value in service.items() if key not in ("uris", "uri")}
    found = peers.client(client)("run", scenario=scenario.name, uris=uris, serializer=serializer, **extra)
    assert found == scenario.expected(client, server), scenario.requirements
