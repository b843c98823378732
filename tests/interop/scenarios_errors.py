"""Exceptions and their tracebacks.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

from peer_common import attempt, describe, stable
from scenario_registry import scenario

NON_PICKLE = ("serpent", "json", "marshal", "msgpack")
PICKLES = ("pickle", "cloudpickle", "dill")

#: Builtin exceptions that take any arguments.
BUILTINS = (
    "ArithmeticError AssertionError AttributeError BufferError EOFError Exception FileNotFoundError IndexError "
    "KeyError LookupError MemoryError NameError NotImplementedError PermissionError RuntimeError StopIteration "
    "TypeError ValueError ZeroDivisionError ConnectionResetError TimeoutError Warning UserWarning "
    "DeprecationWarning"
).split()

LIBRARY = "PyroError NamingError DaemonError".split()
#: In Pyro4, a method that raises one of these leaves its caller without an answer ([WIRE-83]).
COMMUNICATION = "CommunicationError ConnectionClosedError ProtocolError MessageTooLargeError PyroTimeout".split()


def _raised(proxy, what):
    try:
        proxy.fail(what)
    except Exception as error:
        return [stable(describe(error)), bool(getattr(error, "_pyroTraceback", None))]
    return ["nothing"]


@scenario(
    "WIRE-80 SER-52",
    [["%s('builtin error', 42)" % name, True] for name in BUILTINS],
    serializers=NON_PICKLE + PICKLES,
)
def builtin_exceptions(env):
    with env.proxy() as proxy:
        return [_raised(proxy, what) for what in BUILTINS]


@scenario(
    "SER-52 OV-5",
    [["%s('library error', 42)" % name, True] for name in LIBRARY],
    serializers=NON_PICKLE + PICKLES,
)
def library_exceptions(env):
    with env.proxy() as proxy:
        return [_raised(proxy, what) for what in LIBRARY]


@scenario(
    "WIRE-83 WIRE-84 DMN-57",
    [
        "ConnectionClosedError",
        "ConnectionClosedError",
        "ConnectionClosedError",
        "ConnectionClosedError",
        "ConnectionClosedError",
    ],
    pyrolite_server=[
        "CommunicationError",
        "ConnectionClosedError",
        "ProtocolError",
        "MessageTooLargeError",
        "TimeoutError",
    ],
    serializers=("serpent", "pickle"),
)
def communication_errors_of_methods(env):
    """Pyro4 hangs up without an answer; a pyrolite server reports them like any other exception."""
    with env.proxy() as proxy:
        found = []
        for what in COMMUNICATION:
            try:
                proxy.fail(what)
            except env.lib.errors.CommunicationError as error:
                found.append(type(error).__name__)
        return found


@scenario(
    "DMN-57 WIRE-84 WIRE-123",
    [["SecurityError", "SerializeError"], 1],
)
def refusals_of_methods(env):
    """A method's SecurityError or SerializeError arrives, and calls go on afterwards over the same proxy."""
    with env.proxy() as proxy:
        found = []
        for what in ("SecurityError", "SerializeError"):
            try:
                proxy.fail(what)
            except env.lib.errors.PyroError as error:
                found.append(type(error).__name__)
            proxy._pyroRelease()
        return [found, proxy.echo(1)]


@scenario(
    "SER-50",
    ["ValueError('with attributes')dict('code': 17, 'details': dict('why': list('because', None)))", True],
    serializers=NON_PICKLE + PICKLES,
)
def exception_attributes(env):
    with env.proxy() as proxy:
        return _raised(proxy, "attributes")


@scenario(
    "SER-51",
    ["FileNotFoundError", 2, "No such file", None],
    pyrolite_server=["FileNotFoundError", 2, "No such file", "/tmp/nowhere"],
    serializers=NON_PICKLE,
)
def os_error(env):
    with env.proxy() as proxy:
        try:
            proxy.fail("OSError")
        except OSError as error:
            return [type(error).__name__, error.errno, error.strerror, error.filename]


@scenario(
    "SER-52",
    [
        ["ValueError('caf\\xe9 \\u20ac \\U0001f600')", True],
        ["KeyError()", True],
        ["RuntimeError('a', 1, None, list(2.5), dict('k': 'v'))", True],
        ["OperationalError('no such table')", True],
    ],
    serializers=NON_PICKLE + PICKLES,
)
def special_exceptions(env):
    with env.proxy() as proxy:
        return [_raised(proxy, what) for what in ("unicode", "noargs", "manyargs", "sqlite")]


@scenario(
    "SER-32",
    "a dict",
    pyrolite_client="an exception",
    serializers=("serpent", "json"),
)
def exception_in_exception(env):
    return _argument_of_nested(env)


@scenario("SER-54 WIRE-80", "an exception", serializers=("msgpack", *PICKLES))
def exception_in_exception_that_arrives(env):
    return _argument_of_nested(env)


@scenario(
    "SER-32 SER-33",
    "!PyroError: Error serializing exception: unmarshallable object. Original exception: <class 'ValueError'>: 'inner'",
    pyrolite_server="a dict",
    both="an exception",
    serializers=("marshal",),
)
def exception_in_exception_with_marshal(env):
    """Pyro4 cannot send it; what pyrolite sends is a dict for a Pyro4 client."""
    return _argument_of_nested(env)


def _argument_of_nested(env):
    with env.proxy() as proxy:
        try:
            return proxy.fail("nested")
        except ValueError as error:
            kind = type(error.args[0])
            return "a dict" if kind is dict else "an exception" if kind is KeyError else repr(error)
        except env.lib.errors.PyroError as error:
            return "!PyroError: %s" % error.args


@scenario(
    "SER-55 BYD-40",
    "!SerializeError: unsupported serialized class: peer_objects.UnknownError",
    pyrolite_client=["SerializeError", True, True],
    serializers=NON_PICKLE,
)
def unknown_exception(env):
    """The receiver does not know the class; pyrolite's error says more."""
    with env.proxy() as proxy:
        try:
            proxy.fail("unknown")
        except env.lib.errors.SerializeError as error:
            text = "unsupported serialized class: peer_objects.UnknownError"
            if env.lib.__name__ == "Pyro4":
                return "!SerializeError: %s" % error
            traced = "UnknownError" in "".join(getattr(error, "_pyroTraceback", None) or ())
            return ["SerializeError", str(error).startswith(text), traced]


@scenario(
    "WIRE-81 DMN-56",
    ["PyroError", True, True],
    serializers=(*NON_PICKLE, "pickle", "cloudpickle"),
)
def unserializable_exception(env):
    with env.proxy() as proxy:
        try:
            proxy.fail("unserializable")
        except env.lib.errors.PyroError as error:
            text = str(error)
            return [
                type(error).__name__,
                text.startswith("Error serializing exception: "),
                "Original exception: <class 'peer_objects.Unpicklable'>" in text,
            ]


@scenario("WIRE-80 ERR-10", [True, True, True], serializers=("serpent", "msgpack", "pickle"))
def remote_traceback(env):
    with env.proxy() as proxy:
        try:
            proxy.fail("ValueError")
        except ValueError as error:
            lines = error._pyroTraceback
            text = "".join(env.lib.util.getPyroTraceback())
            return [isinstance(lines, list), "raise raisable(lib, what)" in "".join(lines), "Remote traceback" in text]


@scenario("DMN-57 DMN-7", ["!ValueError: in callback", "1"])
def exception_in_callback_method(env):
    """The caller gets the exception; whether the server stays connected does not show after a reconnect."""
    with env.proxy() as proxy:
        first = attempt(proxy.fail_in_callback)
        proxy._pyroRelease()
        return [first, attempt(proxy.echo, 1)]


@scenario(
    "WIRE-72",
    [
        "!AttributeError: attempt to access unexposed attribute 'hidden'",
        "!AttributeError: attempt to access private attribute '_private'",
        "!AttributeError: 'Target' object has no attribute 'missing'",
        "!AttributeError: attempt to access private attribute '__init__'",
        "!TypeError",
    ],
)
def refused_names(env):
    env.lib.config.METADATA = False
    with env.proxy() as proxy:
        wrong = attempt(proxy.echo, 1, 2, 3)
        names = ("hidden", "_private", "missing", "__init__")
        return [attempt(proxy._pyroInvoke, name, (), {}) for name in names] + [wrong.partition(":")[0]]


@scenario(
    "WIRE-63 PRX-32",
    ["!CommunicationError: connection to ADDRESS rejected: unknown object", "!DaemonError: unknown object"],
)
def unknown_object(env):
    first = attempt(env.lib.Proxy(env.uris["target"].replace("target@", "nobody@"))._pyroBind)
    env.lib.config.METADATA = False
    with env.lib.Proxy(env.uris["target"].replace("target@", "nobody@")) as proxy:
        return [first, attempt(proxy.echo, 1)]


@scenario("PRX-31", "!CommunicationError: cannot connect to ADDRESS: [Errno 111] Connection refused")
def connection_refused(env):
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return attempt(env.lib.Proxy("PYRO:target@127.0.0.1:%d" % sock.getsockname()[1])._pyroBind)


@scenario("PRX-30 PRX-38", ["!TimeoutError: receiving: timeout", False, "1"])
def timeout(env):
    with env.proxy(Timeout=0.2) as proxy:
        first = attempt(proxy.sleep, 0.4)
        connected = proxy._pyroConnection is not None
        proxy._pyroTimeout = 5
        return [first, connected, attempt(proxy.echo, 1)]
