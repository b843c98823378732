"""All scenarios: importing this module fills the register.

Runs under Python 3.8 and later.
"""

from __future__ import annotations

import scenarios_calls
import scenarios_connection
import scenarios_errors
import scenarios_naming
import scenarios_objects
import scenarios_streams
import scenarios_transports
from scenario_registry import SCENARIOS, Scenario

__all__ = [
    "SCENARIOS",
    "Scenario",
    "scenarios_calls",
    "scenarios_connection",
    "scenarios_errors",
    "scenarios_naming",
    "scenarios_objects",
    "scenarios_streams",
    "scenarios_transports",
]
