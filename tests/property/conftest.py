"""Settings of hypothesis for all property tests."""

from __future__ import annotations

from hypothesis import settings

# how long one example takes depends on what else the machine does; every test has its timeout anyway
settings.register_profile("pyrolite", deadline=None)
settings.load_profile("pyrolite")
