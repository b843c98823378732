"""The register of scenarios: what a client does with a server, and what it finds.

A scenario runs in a client process with either library, against a server process with either library, and returns
something made of JSON types. ``expected`` is what Pyro4 finds with Pyro4 - this is tested as well - and what pyrolite
has to find too, unless ``pyrolite_server`` (whenever the server is pyrolite), ``pyrolite_client`` or ``both`` say
otherwise; those name the deviations that the specification asks for.

Runs under Python 3.8 and later.
"""

from __future__ import annotations

SCENARIOS = {}
#: Stands for "no deviation", as None is a possible outcome.
_SAME = object()


class Scenario:
    """One scenario and its expected outcome."""

    def __init__(self, function, requirements, expected, deviations, serializers, needs):
        self.function = function
        self.name = function.__name__
        self.requirements = requirements
        self.serializers = serializers
        self.needs = needs
        self._expected = expected
        self._deviations = deviations

    def expected(self, client, server):
        """What a client of library ``client`` finds with a server of library ``server``."""
        keys = []
        if client == server == "pyrolite":
            keys.append("both")
        if server == "pyrolite":
            keys.append("pyrolite_server")
        if client == "pyrolite":
            keys.append("pyrolite_client")
        for key in keys:
            if self._deviations[key] is not _SAME:
                return self._deviations[key]
        return self._expected


def scenario(
    requirements,
    expected,
    pyrolite_server=_SAME,
    pyrolite_client=_SAME,
    both=_SAME,
    serializers=("serpent",),
    needs="daemon",
):
    """Register the decorated function; ``needs`` names the kind of server that it runs against."""
    deviations = {"pyrolite_server": pyrolite_server, "pyrolite_client": pyrolite_client, "both": both}

    def register(function):
        SCENARIOS[function.__name__] = Scenario(function, requirements, expected, deviations, serializers, needs)
        return function

    return register
