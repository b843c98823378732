"""What peer programs share: the command loop, and a description of values that does not depend on library or process.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import json
import re
import sys
import traceback
import uuid
import zlib

#: Types whose repr says everything, when the type is exactly this one.
_PLAIN = (
    type(None),
    bool,
    int,
    complex,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
)


def describe(value):
    """Text of a value and its type, at any depth; the same for equal values of Pyro4 and pyrolite."""
    kind = type(value)
    if kind in _PLAIN or kind is uuid.UUID:
        return repr(value) if kind is not int or abs(value) < 10**40 else "int of %d bits" % value.bit_length()
    if kind is float:
        return "nan" if value != value else repr(value)
    if kind is str:
        return ascii(value) if len(value) < 300 else "str of %d: %08x" % (len(value), zlib.crc32(value.encode()))
    if kind in (bytes, bytearray, memoryview):
        data = bytes(value)
        text = data.hex() if len(data) < 300 else "%d: %08x" % (len(data), zlib.crc32(data))
        return "%s(%s)" % (kind.__name__, text)
    if kind in (list, tuple, collections.deque):
        return "%s(%s)" % (kind.__name__, ", ".join(describe(item) for item in value))
    if kind in (set, frozenset):
        return "%s(%s)" % (kind.__name__, ", ".join(sorted(describe(item) for item in value)))
    if isinstance(value, dict):
        items = ["%s: %s" % (describe(key), describe(item)) for key, item in value.items()]
        items = items if kind is collections.OrderedDict else sorted(items)
        return "%s(%s)" % (kind.__name__, ", ".join(items))
    return _describe_object(value, kind)


def _describe_object(value, kind):
    if isinstance(value, enum.Enum):
        return "%s.%s.%s" % (kind.__module__, kind.__name__, value.name)
    if isinstance(value, tuple):  # namedtuples
        return "%s.%s(%s)" % (kind.__module__, kind.__name__, ", ".join(map(describe, value)))
    if isinstance(value, BaseException):
        shown = {k: v for k, v in vars(value).items() if k not in ("_pyroTraceback", "_pyroAutoTraceback", "__notes__")}
        return "%s(%s)%s" % (kind.__name__, ", ".join(map(describe, value.args)), describe(shown) if shown else "")
    if kind.__name__ in ("URI", "Proxy") and kind.__module__ in ("Pyro4.core", "pyrolite.core"):
        if kind.__name__ == "URI":
            parts = (value.protocol, value.object, value.sockname, value.host, value.port)
            return "URI(%s)" % ", ".join(map(describe, parts))
        known = (sorted(value._pyroMethods), sorted(value._pyroAttrs), sorted(value._pyroOneway))
        own = (value._pyroHandshake, value._pyroSerializer, value._pyroHmacKey)
        return "Proxy(%s, %s)" % (value._pyroUri, ", ".join(map(describe, known + own)))
    if kind.__name__ == "Daemon":
        return "Daemon(%s)" % ("unusable" if "unusable" in repr(value) else "usable")
    if hasattr(value, "__dict__") and kind.__module__ != "builtins":
        return "%s.%s(%s)" % (kind.__module__, kind.__name__, describe(vars(value)))
    return "%s.%s %r" % (kind.__module__, kind.__name__, value)


#: Parts of texts that differ from run to run or from library to library.
_VARYING = (
    (re.compile(r"\('?(127\.0\.0\.1|::1|localhost)'?, \d+(, 0, 0)?\)"), "ADDRESS"),
    (re.compile(r"(127\.0\.0\.1|\[::1\]|localhost):\d+"), "ADDRESS"),
    (re.compile(r"obj_[0-9a-f]{32}"), "OBJ"),
    (re.compile(r"/\S*?/interop-[^/\s]+/[^/\s@]+"), "PATH"),
    (re.compile(r"0x[0-9a-f]+"), "0xID"),
    (re.compile(r"\b(Pyro4|pyrolite)\b"), "LIBRARY"),
)


def stable(text):
    """The text with addresses, ids and library names replaced."""
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return text


def like(pattern, text):
    """``pattern`` when the text matches it entirely, else the text: for comparing what is not constant."""
    return pattern if re.fullmatch(pattern, text, re.DOTALL) else text


def attempt(function, *args, **kwargs):
    """``describe`` of what the function returns, or ``!CLASS: TEXT`` of what it raises."""
    try:
        return stable(describe(function(*args, **kwargs)))
    except Exception as error:
        return stable("!%s: %s" % (type(error).__name__, error))


def forget_tls_contexts(lib):
    """Pyro4 makes its contexts once in a process, so other certificates would not be used ([TLS-4])."""
    for name in ("__ssl_server_context", "__ssl_client_context"):
        if name in vars(lib.socketutil):
            setattr(lib.socketutil, name, None)


def serve_commands(handle, ready):
    """Answer the commands on standard input with ``handle(op, **arguments)`` until it ends."""
    output = sys.stdout
    sys.stdout = sys.stderr  # prints of a library must not get between the answers

    def answer(message):
        output.write(json.dumps(message) + "\n")
        output.flush()

    answer({"answer": ready})
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer({"answer": handle(command.pop("op"), **command)})
        except Exception:
            answer({"failure": traceback.format_exc()})
