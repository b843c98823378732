"""Kinds of sockets: Unix, IPv6, TLS, connected sockets, behind NAT.

Runs under Python 3.8 and later, with Pyro4 or pyrolite.
"""

from __future__ import annotations

import socket
import ssl

from peer_common import attempt, describe
from scenario_registry import scenario

ALL = ("serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill")
#: What `_everything` finds.
EVERYTHING = ["'call'", [0, 1, 2], "!ValueError: ('builtin error', 42)", [1, "two"], ["oneway"], True]


def _everything(env, proxy):
    """A call, a stream, an exception, a batch, a oneway call and a big result over one connection."""
    first = [attempt(proxy.echo, "call"), list(proxy.count_up(3)), attempt(proxy.fail, "ValueError")]
    calls = env.lib.batch(proxy)
    calls.echo(1)
    calls.echo("two")
    first.append(list(calls()))
    proxy.notes(0)
    proxy.note("oneway")
    big = "big " * 100000
    return [*first, proxy.notes(1), proxy.echo(big) == big]


# ---- Unix sockets and IPv6


@scenario("DMN-5 PRX-29 SOC", [EVERYTHING, "./u:", "connected Unix"], needs="unix", serializers=("serpent", "pickle"))
def unix_socket(env):
    with env.proxy() as proxy:
        found = _everything(env, proxy)
        state = "connected Unix" if "connected Unix" in repr(proxy) else repr(proxy)
        return [found, str(proxy._pyroUri).partition("@")[2][:4], state]


@scenario("PRX-31", "!CommunicationError: cannot connect to PATH: [Errno 2] No such file or directory", needs="unix")
def unix_socket_that_is_not_there(env):
    location = env.uris["target"] + "-gone"
    return attempt(env.lib.Proxy(location)._pyroBind).replace("PATH [", "PATH: [")


@scenario("CTX-2 SOC", [True, "None"], needs="unix")
def unix_socket_of_the_context(env):
    with env.proxy() as proxy:
        return [proxy.context()[3], attempt(proxy.peer_certificate)]


@scenario("DMN-5 PRX-29", [EVERYTHING, "@[::1]:", "connected IPv6"], needs="ipv6", serializers=("serpent", "pickle"))
def ipv6(env):
    with env.proxy() as proxy:
        found = _everything(env, proxy)
        state = "connected IPv6" if "connected IPv6" in repr(proxy) else repr(proxy)
        return [found, "@" + str(proxy._pyroUri).partition("@")[2][:6], state]


# ---- TLS


def _secured(env, **items):
    """A proxy for the daemon under the name in its certificate, with the client's TLS switched on."""
    config, files = env.lib.config, env.extra["certificates"]
    config.SSL, config.SSL_CACERTS = True, files["ca"]
    for item, value in items.items():
        setattr(config, item, value)
    return env.lib.Proxy(env.uris["target"].replace("@127.0.0.1:", "@localhost:"))


def _name(certificate):
    """The common name in a certificate as the ssl module shows it."""
    return dict(entry[0] for entry in certificate["subject"])["commonName"]


def _refusal(function):
    """Which kind of error, as its text depends on who notices first."""
    try:
        return describe(function())
    except Exception as error:
        return "refused" if any(cls.__name__ == "CommunicationError" for cls in type(error).__mro__) else repr(error)


@scenario(
    "TLS-1 TLS-8 TLS-9",
    [EVERYTHING, ["localhost", {"CA": "Test CA"}], "None"],
    needs="tls",
    serializers=ALL[:2] + ALL[3:],
)
def tls(env):
    """The client checks the server's certificate; the server asks for none."""
    with _secured(env) as proxy:
        found = _everything(env, proxy)
        certificate = proxy._pyroConnection.getpeercert()
        issuer = dict(entry[0] for entry in certificate["issuer"])["commonName"]
        return [found, [_name(certificate), {"CA": issuer}], attempt(proxy.peer_certificate)]


@scenario("TLS-9 WIRE-40", [True, True], needs="tls")
def tls_with_compression(env):
    text = "compress me " * 50000
    env.lib.config.COMPRESSION = True
    with _secured(env) as proxy:
        return [proxy.echo(text) == text, list(proxy.count_up(2)) == [0, 1]]


@scenario("TLS-7", [True, True], needs="tls")
def tls_untrusted(env):
    """Without the CA certificate, the client does not trust the server."""
    with _secured(env, SSL_CACERTS="") as proxy:
        try:
            proxy._pyroBind()
        except env.lib.errors.CommunicationError as error:
            text = str(error)
            verifies = "CERTIFICATE_VERIFY_FAILED" in text and "cannot connect to ('localhost', " in text
            return [verifies, isinstance(error.__cause__, ssl.SSLError)]


@scenario("TLS-7", True, needs="tls_elsewhere")
def tls_wrong_host(env):
    """The certificate is that of another host."""
    with _secured(env) as proxy:
        return "CERTIFICATE_VERIFY_FAILED" in attempt(proxy._pyroBind)


@scenario("TLS-7", "refused", needs="tls")
def tls_plain_client(env):
    with env.proxy() as proxy:
        return _refusal(proxy._pyroBind)


@scenario("TLS-7", "refused")
def tls_client_of_a_plain_server(env):
    env.lib.config.SSL = True
    with env.lib.Proxy(env.uris["target"].replace("@127.0.0.1:", "@localhost:")) as proxy:
        return _refusal(proxy._pyroBind)


@scenario("TLS-1 TLS-8", [EVERYTHING, "client", "localhost"], needs="tls_mutual", serializers=("serpent", "msgpack"))
def tls_mutual(env):
    """Both sides show a certificate, and both can look at the other's."""
    seen = []
    library = env.lib

    class Checking(library.Proxy):
        def _pyroValidateHandshake(self, response):
            seen.append(_name(self._pyroConnection.getpeercert()))

    uri = _secured(env, SSL_CLIENTCERT=env.extra["certificates"]["client"])._pyroUri
    with Checking(uri) as proxy:
        found = _everything(env, proxy)
        return [found, _name(proxy.peer_certificate()), *seen]


@scenario("TLS-7", ["refused", "refused"], needs="tls_mutual")
def tls_mutual_refused(env):
    """A client without a certificate, and one with that of a stranger, are refused."""
    found = []
    for certificate in ("", env.extra["certificates"]["stranger"]):
        env.forget_tls_contexts()
        with _secured(env, SSL_CLIENTCERT=certificate) as proxy:
            found.append(_refusal(lambda proxy=proxy: proxy.echo("never")))
    return found


@scenario("TLS-8 DMN-43", "!CommunicationError: connection to ADDRESS rejected: client", needs="tls_mutual")
def tls_certificate_in_handshake(env):
    """The daemon's validator sees the certificate (and rejects, with its name, when asked to)."""
    certificate = env.extra["certificates"]["client"]
    with _secured(env, SSL_CLIENTCERT=certificate) as proxy:
        proxy._pyroHandshake = {"refuse certificate": True}
        return attempt(proxy._pyroBind)


# ---- connected sockets


@scenario(
    "PRX-40 WIRE-125",
    ["PYRO:target@<<connected-socket>>:0", EVERYTHING, True, "2"],
    needs="connected",
    serializers=("serpent", "pickle"),
)
def connected_socket(env):
    with socket.create_connection(("127.0.0.1", env.extra["port"]), 8) as sock:
        return _over(env, sock)


@scenario(
    "PRX-40 WIRE-125 SRV",
    ["PYRO:target@<<connected-socket>>:0", EVERYTHING, True, "2"],
    needs="pair",
    serializers=ALL[:2] + ALL[3:],
)
def connected_socketpair(env):
    """One end of a pair that the server has made comes through another socket as a file descriptor."""
    with socket.socket(socket.AF_UNIX) as carrier:
        carrier.settimeout(8)
        carrier.connect(env.extra["path"])
        _, (descriptor, *_), _, _ = socket.recv_fds(carrier, 1, 1)
    with socket.socket(fileno=descriptor) as sock:
        return _over(env, sock)


def _over(env, sock):
    proxy = env.lib.Proxy("target", connected_socket=sock)
    found = [str(proxy._pyroUri), _everything(env, proxy)]
    proxy._pyroRelease()
    return [*found, proxy._pyroConnection is not None, attempt(proxy.echo, 2)]


@scenario("PRX-40 WIRE-125", "!DaemonError: unknown object", needs="pair")
def connected_socket_unknown_object(env):
    with socket.socket(socket.AF_UNIX) as carrier:
        carrier.settimeout(8)
        carrier.connect(env.extra["path"])
        _, (descriptor, *_), _, _ = socket.recv_fds(carrier, 1, 1)
    with socket.socket(fileno=descriptor) as sock:
        return attempt(env.lib.Proxy, "nobody", connected_socket=sock)


# ---- behind NAT


@scenario("DMN-6 DMN-20", ["localhost", "localhost", "localhost", EVERYTHING], needs="nat", serializers=("serpent",))
def nat(env):
    """Everything that the server hands out has the address that it is known by outside."""
    with env.proxy() as proxy:
        uri = proxy.uri_of_me()
        with proxy.proxy_of_me() as me, proxy.make_object() as part:
            part.name()
            return [uri.host, me._pyroUri.host, part._pyroUri.host, _everything(env, me)]


@scenario("DMN-80 DMN-6", [True, True], needs="nat")
def nat_information(env):
    with env.lib.Proxy(env.uris["target"].replace("target@", "Pyro.Daemon@")) as daemon:
        info = daemon.info()
        return ["bound on 127.0.0.1:" in info, ", NAT localhost:" in info]
