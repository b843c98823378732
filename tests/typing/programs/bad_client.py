"""Mistakes in clients; each comment has the code of mypy's error and the rule of pyright's."""

from __future__ import annotations

import pyrolite
from pyrolite.testing import running_daemon

pyrolite.config.SERIALISER = "json"  # wrong: attr-defined reportAttributeAccessIssue
pyrolite.config.SERIALIZER = 3  # wrong: assignment reportAttributeAccessIssue
pyrolite.config.COMMTIMEOUT = "3"  # wrong: assignment reportAttributeAccessIssue

pyrolite.Proxy()  # wrong: call-arg reportCallIssue
pyrolite.Proxy(12)  # wrong: arg-type reportArgumentType
pyrolite.locateNs()  # wrong: attr-defined reportAttributeAccessIssue
pyrolite.URI("PYRO:x@localhost:9").port.bit_length()  # wrong: union-attr reportOptionalMemberAccess

proxy = pyrolite.Proxy("PYRO:x@localhost:9")
proxy._pyroTimeout = "3"  # wrong: assignment reportAttributeAccessIssue
proxy._pyroMaxRetries = None  # wrong: assignment reportAttributeAccessIssue
proxy._pyroReconnect(attempts=3)  # wrong: call-arg reportCallIssue
print(proxy + 1)  # wrong: operator reportOperatorIssue
pyrolite.batch("PYRO:x@localhost:9")  # wrong: arg-type reportArgumentType

try:
    proxy.call()
except pyrolite.errors.CommunicationsError:  # wrong: attr-defined reportAttributeAccessIssue
    pass

with running_daemon() as running:
    running.uri  # wrong: attr-defined reportAttributeAccessIssue
