"""The names that programs for Pyro4 use: where they are, what they are, and their signatures (chapter 00)."""

from __future__ import annotations

import dbm
import importlib
import inspect
import sqlite3
import subprocess
import sys
import types
from typing import Any

import pytest

import pyrolite
import pyrolite.core
import pyrolite.errors
import pyrolite.naming
import pyrolite.serializers
import pyrolite.util
from pyrolite.testing import MemoryConnection

#: Modules of the map, and whether they exist already; those of chapter 70 come with their tools.
MODULES = [
    "pyrolite",
    "pyrolite.core",
    "pyrolite.naming",
    "pyrolite.naming_storage",
    "pyrolite.errors",
    "pyrolite.serializers",
    "pyrolite.util",
    "pyrolite.message",
    "pyrolite.futures",
    "pyrolite.socketutil",
    "pyrolite.socketserver",
    "pyrolite.socketserver.threadpool",
    "pyrolite.socketserver.threadpoolserver",
    "pyrolite.socketserver.multiplexserver",
    "pyrolite.socketserver.existingconnectionserver",
    "pyrolite.configuration",
    "pyrolite.constants",
    "pyrolite.nsc",
    "pyrolite.test.echoserver",
    "pyrolite.utils.flame",
    "pyrolite.utils.flameserver",
    "pyrolite.utils.httpgateway",
    "pyrolite.testing",
]


def module(name: str) -> types.ModuleType:
    """A module of the map; not all tools are there yet."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not there yet")
    return importlib.import_module(name)


def parameters(function: Any) -> str:
    """Names, order and defaults, without annotations and keyword-only parameters, which are new."""
    shown = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            continue
        default = parameter.default
        if default is parameter.empty:
            shown.append(("**" if parameter.kind is parameter.VAR_KEYWORD else "") + parameter.name)
        else:
            shown.append(f"{parameter.name}={getattr(default, '__name__', repr(default))}")
    return ", ".join(shown)


# ---- where names are


@pytest.mark.parametrize("name", MODULES)
def test_star_import(name: str) -> None:
    """[OV-36]"""
    found = module(name)
    namespace: dict[str, Any] = {}
    exec(f"from {name} import *", namespace)
    for public in getattr(found, "__all__", ()):
        assert namespace[public] is getattr(found, public)


@pytest.mark.parametrize("name", ["pyrolite.core", "pyrolite.naming", "pyrolite.message", "pyrolite.futures"])
def test_all(name: str) -> None:
    """[OV-13], [OV-17], [OV-24], [OV-26]: what ``import *`` brings is what it brings in Pyro4."""
    expected = {
        "pyrolite.core": "URI Proxy Daemon current_context callback batch asyncproxy expose behavior oneway "
        "SerializedBlob _resolve _locateNS",
        "pyrolite.naming": "locateNS resolve type_meta startNSloop startNS",
        "pyrolite.message": "Message secure_compare",
        "pyrolite.futures": "Future FutureResult _ExceptionWrapper",
    }
    assert sorted(module(name).__all__) == sorted(expected[name].split())


def test_package() -> None:
    """[OV-10], [BLOB-1]: the same objects everywhere."""
    assert pyrolite.__version__ == pyrolite.constants.VERSION
    for (
        name
    ) in "URI Proxy Daemon callback batch asyncproxy oneway expose behavior current_context SerializedBlob".split():
        assert getattr(pyrolite, name) is getattr(pyrolite.core, name)
    assert pyrolite.locateNS is pyrolite.core._locateNS is pyrolite.naming.locateNS
    assert pyrolite.resolve is pyrolite.core._resolve is pyrolite.naming.resolve
    assert pyrolite.Future is pyrolite.futures.Future
    assert pyrolite.config is pyrolite.configuration.config


def test_submodules_come_with_the_package(run_python: Any) -> None:
    """[OV-11], [OV-3], [BYD-60]: without another import, and nothing that is not needed."""
    code = (
        "import sys, pyrolite\n"
        "for n in 'core configuration constants errors futures message socketutil util serializers'.split():\n"
        "    assert getattr(pyrolite, n) is sys.modules['pyrolite.' + n], n\n"
        "pyrolite.util.excepthook; pyrolite.errors.NamingError\n"
        "for n in 'msgpack cloudpickle dill sqlite3 dbm xml http asyncio'.split():\n"
        "    assert n not in sys.modules, n\n"
    )
    done = run_python(code, options=("-W", "error"))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.parametrize(("selected", "found"), [("json", "json"), ("marshal", "marshal"), ("non.sense", "json")])
def test_json_module(run_python: Any, selected: str, found: str) -> None:
    """[OV-22]: the module that JSON_MODULE selects."""
    code = "import pyrolite; print(pyrolite.util.json.__name__)"
    done = run_python(code, environment={"PYRO_JSON_MODULE": selected})
    assert (done.stdout, done.returncode) == (found + "\n", 0)


@pytest.mark.parametrize("missing", ["msgpack", "cloudpickle", "dill"])
def test_optional_packages(run_python: Any, missing: str) -> None:
    """[OV-3]: each of them may be absent; then its serializer is."""
    code = (
        f"import sys; sys.modules['{missing}'] = None\n"
        "import pyrolite, pyrolite.naming\n"
        "try:\n"
        f"    pyrolite.util.get_serializer('{missing}')\n"
        "except pyrolite.errors.SerializeError as error:\n"
        "    print(error)\n"
    )
    done = run_python(code, options=("-W", "error"))
    assert done.stderr == ""
    assert done.stdout == f"serializer '{missing}' is unknown or not available\n"


def test_errors() -> None:
    """[OV-21]"""
    for name in (
        "PyroError CommunicationError ConnectionClosedError TimeoutError ProtocolError MessageTooLargeError "
        "NamingError DaemonError SecurityError SerializeError"
    ).split():
        error = getattr(pyrolite.errors, name)
        assert issubclass(error, pyrolite.errors.PyroError)
        assert error.__module__ == "pyrolite.errors"


def test_util() -> None:
    """[OV-22], [OV-23]: the serializers are the same objects as in their own room."""
    for name in (
        "SerializerBase PickleSerializer MarshalSerializer JsonSerializer SerpentSerializer MsgpackSerializer "
        "CloudpickleSerializer DillSerializer get_serializer get_serializer_by_id _serializers _serializers_by_id "
        "all_exceptions"
    ).split():
        assert getattr(pyrolite.util, name) is getattr(pyrolite.serializers, name)
    assert pyrolite.util.json.dumps([1]) == "[1]"
    assert set(pyrolite.util._serializers_by_id.values()) == set(pyrolite.util._serializers.values())
    assert pyrolite.util.get_serializer("serpent") is pyrolite.util._serializers["serpent"]
    assert pyrolite.util.get_serializer_by_id(1) is pyrolite.util._serializers_by_id[1]
    assert pyrolite.util.all_exceptions["ValueError"] is ValueError
    assert not hasattr(pyrolite.util, "fixIronPythonExceptionForPickle")


def test_message_constants() -> None:
    """[OV-24], [WIRE-10], [WIRE-11]"""
    message = pyrolite.message
    names = "CONNECT CONNECTOK CONNECTFAIL INVOKE RESULT PING".split()
    assert [getattr(message, f"MSG_{name}") for name in names] == [1, 2, 3, 4, 5, 6]
    names = "EXCEPTION COMPRESSED ONEWAY BATCH META_ON_CONNECT ITEMSTREAMRESULT KEEPSERIALIZED".split()
    assert [getattr(message, f"FLAGS_{name}") for name in names] == [1, 2, 4, 8, 16, 32, 64]


def test_constants() -> None:
    """[OV-30]"""
    constants = pyrolite.constants
    assert (constants.DAEMON_NAME, constants.NAMESERVER_NAME, constants.FLAME_NAME, constants.PROTOCOL_VERSION) == (
        "Pyro.Daemon",
        "Pyro.NameServer",
        "Pyro.Flame",
        48,
    )


def test_protocol_version_is_read_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """[OV-30], [WIRE-133]: programs patch it."""
    monkeypatch.setattr(pyrolite.constants, "PROTOCOL_VERSION", 47)
    data = pyrolite.message.Message(6, b"ping", 42, 0, 0).to_bytes()
    assert data[4:6] == b"\x00\x2f"
    assert pyrolite.message.Message.recv(MemoryConnection(data)).data == b"ping"
    monkeypatch.undo()
    with pytest.raises(pyrolite.errors.ProtocolError, match="unsupported protocol version"):
        pyrolite.message.Message.recv(MemoryConnection(data))


def test_storages() -> None:
    """[OV-20]"""
    storage = module("pyrolite.naming_storage")
    assert storage.sqlite3 is sqlite3
    assert storage.dbm is dbm
    assert storage.SqlStorage.__module__.startswith("pyrolite.")


def test_socket_servers() -> None:
    """[OV-28]"""
    threadpool = module("pyrolite.socketserver.threadpool")
    assert issubclass(threadpool.NoFreeWorkersError, threadpool.PoolError)
    assert issubclass(threadpool.PoolError, Exception)
    assert threadpool.Pool
    assert threadpool.Worker
    for place, names in (
        ("threadpoolserver", ["SocketServer_Threadpool", "ClientConnectionJob", "Housekeeper"]),
        ("multiplexserver", ["SocketServer_Multiplex"]),
        ("existingconnectionserver", ["SocketServer_ExistingConnection"]),
    ):
        for name in names:
            assert hasattr(module(f"pyrolite.socketserver.{place}"), name)


def test_texts_of_classes() -> None:
    """[OV-6]: classes say that they are pyrolite's, where users find them."""
    for cls in (pyrolite.URI, pyrolite.Proxy, pyrolite.Daemon, pyrolite.SerializedBlob, pyrolite.core.DaemonObject):
        assert cls.__module__ == "pyrolite.core"
    assert pyrolite.message.Message.__module__ == "pyrolite.message"
    assert pyrolite.Future.__module__ == "pyrolite.futures"


def test_names_on_the_wire_stay() -> None:
    """[OV-5]"""
    assert pyrolite.util.SerializerBase.class_to_dict(pyrolite.URI("PYRO:a@b:1"))["__class__"] == "Pyro4.core.URI"
    assert pyrolite.util.SerializerBase.class_to_dict(pyrolite.Proxy("PYRO:a@b:1"))["__class__"] == "Pyro4.core.Proxy"
    error = pyrolite.util.SerializerBase.class_to_dict(pyrolite.errors.NamingError("x"))
    assert error["__class__"] == "Pyro4.errors.NamingError"
    wrapper = pyrolite.util.SerializerBase.class_to_dict(pyrolite.futures._ExceptionWrapper(ValueError()))
    assert wrapper["__class__"] == "Pyro4.futures._ExceptionWrapper"


# ---- signatures


SIGNATURES = {
    "core.URI": "uri",
    "core.Proxy": "uri, connected_socket=None",
    "core.Daemon": "host=None, port=0, unixsocket=None, nathost=None, natport=None, interface=DaemonObject, "
    "connected_socket=None",
    "core.DaemonObject": "daemon",
    "core.SerializedBlob": "info, data, is_blob=False",
    "core._BatchProxyAdapter": "proxy",
    "core._BatchedRemoteMethod": "calls, name",
    "core._AsyncRemoteMethod": "proxy, name, max_retries",
    "core._StreamResultIterator": "streamId, proxy",
    "core._CallContext": "",
    "core.batch": "proxy",
    "core.asyncproxy": "proxy, asynchronous=True",
    "core.callback": "method",
    "core.oneway": "method",
    "core.expose": "method_or_class",
    "core.behavior": "instance_mode='session', instance_creator=None",
    "core.pyroObjectToAutoProxy": "obj",
    "core._locateNS": "host=None, port=None, broadcast=True, hmac_key=None",
    "core._resolve": "uri, hmac_key=None",
    "core.Proxy._pyroInvoke": "self, methodname, vargs, kwargs, flags=0, objectId=None",
    "core.Proxy._pyroAnnotations": "self",
    "core.Proxy._pyroResponseAnnotations": "self, annotations, msgtype",
    "core.Proxy._pyroValidateHandshake": "self, response",
    "core.Proxy._pyroReconnect": "self, tries=100000000",
    "core.Proxy._pyroGetMetadata": "self, objectId=None, known_metadata=None",
    "core.Proxy._pyroInvokeBatch": "self, calls, oneway=False",
    "core.Proxy._pyroAsync": "self, asynchronous=True",
    "core.Daemon.annotations": "self",
    "core.Daemon.validateHandshake": "self, conn, data",
    "core.Daemon.clientDisconnect": "self, conn",
    "core.Daemon.housekeeping": "self",
    "core.Daemon.handleRequest": "self, conn",
    "core.Daemon._handshake": "self, conn, denied_reason=None",
    "core.Daemon.register": "self, obj_or_class, objectId=None, force=False",
    "core.Daemon.unregister": "self, objectOrId",
    "core.Daemon.uriFor": "self, objectOrId, nat=True",
    "core.Daemon.proxyFor": "self, objectOrId, nat=True",
    "core.Daemon.resetMetadataCache": "self, objectOrId, nat=True",
    "core.Daemon.serveSimple": "objects, host=None, port=0, daemon=None, ns=True, verbose=True",
    "core.DaemonObject.get_metadata": "self, objectId, as_lists=False",
    "message.Message": "msgType, databytes, serializer_id, flags, seq, annotations=None, hmac_key=None",
    "message.Message.from_header": "headerData",
    "message.Message.recv": "connection, requiredMsgTypes=None, hmac_key=None",
    "message.Message.ping": "pyroConnection, hmac_key=None",
    "util.getPyroTraceback": "ex_type=None, ex_value=None, ex_tb=None",
    "util.formatTraceback": "ex_type=None, ex_value=None, ex_tb=None, detailed=False",
    "util.excepthook": "ex_type, ex_value, ex_tb",
    "util.get_exposed_members": "obj, only_exposed=True, as_lists=False, use_cache=True",
    "util.reset_exposed_members": "obj, only_exposed=True, as_lists=False",
    "util.get_exposed_property_value": "obj, propname, only_exposed=True",
    "util.set_exposed_property_value": "obj, propname, value, only_exposed=True",
    "util.is_private_attribute": "attr_name",
    "util.get_serializer": "name",
    "util.get_serializer_by_id": "sid",
    "naming.startNS": "host=None, port=None, enableBroadcast=True, bchost=None, bcport=None, unixsocket=None, "
    "nathost=None, natport=None, storage=None, hmac=None",
    "naming.startNSloop": "host=None, port=None, enableBroadcast=True, bchost=None, bcport=None, unixsocket=None, "
    "nathost=None, natport=None, storage=None, hmac=None",
    "naming.type_meta": "class_or_object, prefix='class:'",
    "naming.main": "args=None",
    "naming.NameServer": "storageProvider=None",
    "naming.NameServerDaemon": "host=None, port=None, unixsocket=None, nathost=None, natport=None, storage=None",
    "naming.AutoCleaner": "nameserver",
    "naming.BroadcastServer": "nsUri, bchost=None, bcport=None, ipv6=False",
    "naming_storage.SqlStorage": "dbfile",
    "naming_storage.DbmStorage": "dbmfile",
    "socketutil.getIpVersion": "hostnameOrAddress",
    "socketutil.getIpAddress": "hostname, workaround127=False, ipVersion=None",
    "socketutil.getInterfaceAddress": "ip_address",
    "socketutil.receiveData": "sock, size",
    "socketutil.sendData": "sock, data",
    "socketutil.setReuseAddr": "sock",
    "socketutil.setNoDelay": "sock",
    "socketutil.setKeepalive": "sock",
    "socketutil.setNoInherit": "sock",
    "socketutil.family_str": "sock",
    "socketutil.bindOnUnusedPort": "sock, host='localhost'",
    "socketutil.interruptSocket": "address",
    "socketutil.getSSLcontext": "servercert='', serverkey='', clientcert='', clientkey='', cacerts='', keypassword=''",
    "configuration.Configuration": "",
    "configuration.main": "",
    "nsc.main": "args=None",
    "nsc.handleCommand": "nameserver, options, args",
    "test.echoserver.startNameServer": "host, hmac=None",
    "test.echoserver.NameServer": "hostname, hmac=None",
    "test.echoserver.main": "args=None, returnWithoutLooping=False",
    "utils.flame.exec_function": "source, filename, global_map",
    "utils.flame.fixExecSourceNewlines": "source",
    "utils.flameserver.main": "args=None, returnWithoutLooping=False",
    "utils.httpgateway.get_nameserver": "hmac=None",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name: str) -> None:
    """[OV-14], [OV-15], [OV-16], [OV-18], [OV-19], [OV-20], [OV-23], [OV-25], [OV-27], [OV-29], [OV-31] to [OV-34],
    [OV-40]: names, order and defaults of the parameters. What is new can only be given by keyword.
    """
    parts = name.split(".")
    length = 2 if parts[0] in ("utils", "test") else 1
    thing: Any = module("pyrolite." + ".".join(parts[:length]))
    for part in parts[length:]:
        thing = getattr(thing, part)
    assert parameters(thing) == SIGNATURES[name]


def test_more_signatures() -> None:
    """[OV-14], [OV-15], [OV-25], [OV-27]: with defaults that have no name."""
    assert parameters(pyrolite.core._RemoteMethod).startswith("send, name, max_retries")
    assert parameters(pyrolite.socketutil.createSocket).startswith(
        "bind=None, connect=None, reuseaddr=False, keepalive=True, timeout="
    )
    assert parameters(pyrolite.socketutil.createSocket).endswith(
        "noinherit=False, ipv6=False, nodelay=True, sslContext=None"
    )
    assert parameters(pyrolite.socketutil.createBroadcastSocket).startswith("bind=None, reuseaddr=False, timeout=")
    assert parameters(pyrolite.socketutil.SocketConnection).startswith("sock, objectId=None, keep_open=False")
    assert parameters(pyrolite.socketutil.findProbablyUnusedPort).startswith("family=")
    assert parameters(pyrolite.util.getAttribute).startswith("obj, attr")


def test_tools_exports() -> None:
    """[OV-32], [OV-33], [OV-34]"""
    for name, exported in (
        ("pyrolite.test.echoserver", {"EchoServer"}),
        ("pyrolite.utils.flame", {"connect", "start", "createModule", "Flame"}),
        ("pyrolite.utils.httpgateway", {"pyro_app", "main"}),
    ):
        if importlib.util.find_spec(name) is not None:
            assert set(importlib.import_module(name).__all__) == exported


@pytest.mark.parametrize(
    "name",
    [
        "pyrolite.naming",
        "pyrolite.nsc",
        "pyrolite.configuration",
        "pyrolite.test.echoserver",
        "pyrolite.utils.flameserver",
        "pyrolite.utils.httpgateway",
    ],
)
def test_executable_modules(name: str) -> None:
    """[OV-35], [OV-11]: without a warning about modules that are loaded already."""
    module(name)
    command = [sys.executable, "-W", "error", "-m", name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout


def test_testing() -> None:
    """[OV-37]"""
    for name in pyrolite.testing.__all__:
        assert getattr(pyrolite.testing, name).__doc__
