"""What attacks need: the server process, raw clients, the well-behaved client, and what a process uses up."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pyrolite import Proxy, config
from pyrolite.errors import ConnectionClosedError
from pyrolite.serializers import get_serializer
from pyrolite.wire import v48
from pyrolite.wire.message import (
    FLAGS_EXCEPTION,
    FLAGS_ONEWAY,
    MSG_CONNECT,
    MSG_CONNECTOK,
    MSG_INVOKE,
    MSG_PING,
    MSG_RESULT,
    Frame,
)

HERE = Path(__file__).resolve().parent
#: What a server process may use: address space and descriptors.
MEMORY = 1 << 30
DESCRIPTORS = 512
MEGABYTE = 1 << 20


def python_process(program: str, *arguments: str, errors: Any, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A program of this folder, without the settings of whoever runs the tests; ``prefix`` runs it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYRO_")}
    # one arena instead of one per thread: each would reserve 64 MB of the address space, which is limited here
    environment |= {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
    return subprocess.Popen(
        [*prefix, sys.executable, "-W", "error", str(HERE / program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=environment,
    )


class Usage(NamedTuple):
    """What a process uses at one moment; ``resident`` in bytes, ``cpu`` in seconds."""

    threads: int
    descriptors: int
    resident: int
    cpu: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Of the process ``pid``."""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        return cls(
            int(status["Threads"]),
            len(os.listdir(f"/proc/{pid}/fd")),
            int(status["VmRSS"].split()[0]) * 1024,
            (int(times[11]) + int(times[12])) / ticks,
        )


def waits(pid: int) -> dict[str, float]:
    """Seconds that each thread of a process has waited for a processor, where the kernel tells."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            found[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e9
    return found


class CommandedProcess:
    """A process that answers each line with a line of JSON, and has to be silent on stderr and end by itself."""

    def __init__(self, program: str, *arguments: str, prefix: Sequence[str] = ()) -> None:
        self._errors = tempfile.TemporaryFile("w+")
        self.process = python_process(program, *arguments, errors=self._errors, prefix=prefix)
        self.pid = self.process.pid
        self._complaints = ""
        self._lock = threading.Lock()

    def receive(self, timeout: float = 30.0) -> Any:
        """The next line that the process prints."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise AssertionError(f"no answer from process {self.pid}, {self.ended()}:\n{self.complaints()}")
        return json.loads(line)

    def command(self, line: str, timeout: float = 30.0) -> Any:
        """Have a command carried out."""
        assert self.process.stdin is not None
        with self._lock:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            return self.receive(timeout)

    def ended(self) -> str:
        code = self.process.poll()
        return "which is running" if code is None else f"which has ended with {code}"

    def complaints(self) -> str:
        """What it has written to stderr."""
        if not self._errors.closed:
            self._errors.seek(0)
            self._complaints = self._errors.read()
        return self._complaints

    def usage(self) -> Usage:
        return Usage.of(self.pid)

    def stop(self, patience: float = 20.0) -> int:
        """Let it end; gives its exit status."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # ended already
            self.process.stdin.close()
        try:
            return self.process.wait(patience)
        finally:
            self.release()

    def release(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        self.complaints()
        self._errors.close()


class Server(CommandedProcess):
    """A server process of the given type, see ``served.py``."""

    def __init__(
        self,
        servertype: str,
        *,
        daemon: str = "Daemon",
        memory: int = MEMORY,
        descriptors: int = DESCRIPTORS,
        stack: int = 512 << 10,
        hmac_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        unixsocket: str | None = None,
        log: bool = False,
        prefix: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        self.servertype = servertype
        self.hmac_key = hmac_key
        self._clients: list[RawClient] = []
        #: what it used before and after the latest attack, for the table
        self.settled: dict[str, Any] = {}
        chosen = {
            "servertype": servertype,
            "daemon": daemon,
            "memory": memory,
            "descriptors": descriptors,
            "stack": stack,
            "hmac_key": hmac_key,
            "host": host,
            "port": port,
            "unixsocket": unixsocket,
            "log": log,
            "config": {"POLLTIMEOUT": 0.5, **settings},
        }
        super().__init__("served.py", json.dumps(chosen), prefix=prefix)
        try:
            self.location: str = self.receive()["location"]
        except BaseException:
            self.release()
            raise
        host, _, text = self.location.rpartition(":")
        self.address: Any = unixsocket or (host, int(text))
        self.tls = bool(settings.get("SSL"))

    def uri(self, name: str = "target") -> str:
        return f"PYRO:{name}@{self.location}"

    def proxy(self, name: str = "target", *, serializer: str | None = None, timeout: float = 20.0) -> Proxy:
        """A proxy for one of the objects."""
        proxy = Proxy(self.uri(name))
        proxy._pyroTimeout = timeout
        proxy._pyroHmacKey = self.hmac_key
        proxy._pyroSerializer = serializer
        return proxy

    def connect(self, *, receive_buffer: int = 0) -> RawClient:
        """A raw client, without handshake; closed with the server."""
        sock = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET)
        try:
            sock.settimeout(10)
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.connect(self.address)
        except BaseException:
            sock.close()
            raise
        client = RawClient(sock)
        self._clients.append(client)
        return client

    def client(self, **options: Any) -> RawClient:
        """A raw client, after the handshake."""
        return self.connect(**options).handshake()

    def forget(self, client: RawClient) -> None:
        """Not care for a raw client any more, which has been closed."""
        self._clients.remove(client)

    def check(self) -> None:
        """It lives and has complained of nothing."""
        assert self.process.poll() is None, f"server has ended with {self.process.poll()}:\n{self.complaints()}"
        assert not self.complaints(), self.complaints()

    def hang_up(self) -> None:
        """Close all raw clients."""
        clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    def is_well(self) -> None:
        """Calls are answered, also those of a new client."""
        with self.proxy() as proxy:
            assert proxy.echo("are you well?") == "are you well?"

    def forget_peak(self) -> None:
        """Let `peak` begin anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """The most memory that the server had resident, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def settle(
        self, before: Usage, *, threads: int = 0, descriptors: int = 0, megabytes: float = 8.0, patience: float = 12.0
    ) -> Usage:
        """Wait until what the server uses is back to what it was ``before``, apart from the given surplus."""
        deadline = time.monotonic() + patience
        while True:
            now = self.usage()
            if (
                now.threads <= before.threads + threads
                and now.descriptors <= before.descriptors + descriptors
                and now.resident <= before.resident + megabytes * MEGABYTE
            ):
                self.settled = {"before": before._asdict(), "after": now._asdict()}
                return now
            if time.monotonic() > deadline:
                names = self.command("threads")
                raise AssertionError(f"not back to where it was: {before} -> {now}, threads {names}")
            time.sleep(0.02)

    def stop(self, patience: float = 20.0) -> int:
        """End the server, which must have nothing to complain of."""
        self.hang_up()
        code = super().stop(patience)
        complaints = self.complaints()
        assert code == 0, f"server ended with {code}:\n{complaints}"
        assert not complaints, complaints
        return code

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.hang_up()
        self.release()


class RawClient:
    """A client made of a plain socket, that can do everything wrong."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        self._sock = sock
        self.seq = 0

    @property
    def sock(self) -> socket.socket:
        assert self._sock is not None
        return self._sock

    # ---- what a client says

    def message(
        self,
        kind: int,
        payload: bytes = b"",
        *,
        flags: int = 0,
        serializer: str | int = "serpent",
        annotations: dict[str, Any] | None = None,
        key: bytes | None = None,
    ) -> bytes:
        """A message with the next sequence number."""
        self.seq = (self.seq + 1) & 0xFFFF
        number = serializer if isinstance(serializer, int) else get_serializer(serializer).serializer_id
        return b"".join(v48.encode(kind, flags, self.seq, number, payload, annotations, key))

    def invocation(
        self, method: str, *arguments: Any, target: str = "target", flags: int = 0, serializer: str = "serpent"
    ) -> bytes:
        payload = get_serializer(serializer).dumpsCall(target, method, arguments, {})
        return self.message(MSG_INVOKE, bytes(payload), flags=flags, serializer=serializer)

    def greeting(self, data: Any = "hello", serializer: str = "serpent") -> bytes:
        payload = get_serializer(serializer).dumps({"handshake": data})
        return self.message(MSG_CONNECT, bytes(payload), serializer=serializer)

    def send(self, data: bytes) -> RawClient:
        self.sock.sendall(data)
        return self

    def handshake(self) -> RawClient:
        self.send(self.greeting())
        answer = self.receive()
        assert answer.type == MSG_CONNECTOK, bytes(answer.data)
        return self

    # ---- what it hears

    def receive(self) -> Frame:
        """The next message of the server."""
        header = v48.parse_header(self._exactly(v48.HEADER_SIZE))
        annotations = v48.parse_annotations(self._exactly(header[5]))
        return Frame(header[0], header[1], header[2], header[4], annotations, self._exactly(header[3]))

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(min(size - len(data), 1 << 20))
            if not piece:
                raise ConnectionClosedError("closed by server")
            data += piece
        return bytes(data)

    def result(self) -> Any:
        """The value of the next message, which may be an exception."""
        frame = self.receive()
        assert (frame.type, frame.seq) == (MSG_RESULT, self.seq)
        return get_serializer("serpent").loads(frame.data)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        self.send(self.invocation(method, *arguments, **options))
        return self.result()

    def pinged(self) -> bool:
        """Whether the server still answers on this connection; what it sent before is skipped."""
        try:
            self.send(self.message(MSG_PING, b"ping", serializer=42))
            while True:
                frame = self.receive()
                if frame.type == MSG_PING and frame.seq == self.seq:
                    return True
        except (OSError, ConnectionClosedError):
            return False

    def closed_by_server(self, timeout: float = 10.0) -> bool:
        """Wait for the end of the stream."""
        self.sock.settimeout(timeout)
        try:
            while self.sock.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def is_closed(self) -> bool:
        """Whether the server has closed the connection; for clients that expect no answer."""
        self.sock.setblocking(False)
        try:
            return not self.sock.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.sock.settimeout(10)

    # ---- how it goes

    def vanish(self) -> None:
        """Close with a reset."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


ONEWAY, EXCEPTION = FLAGS_ONEWAY, FLAGS_EXCEPTION


# ---- the well-behaved client


class Figures(NamedTuple):
    """Latency of the well-behaved client in one phase, in seconds."""

    calls: int
    p50: float
    p99: float
    max: float

    def __str__(self) -> str:
        return f"p50 {self.p50 * 1e3:.2f} p99 {self.p99 * 1e3:.1f} max {self.max * 1e3:.0f} ms, {self.calls} calls"


#: Without a call finished in a phase: the server stood still, which whoever watches wants to see.
STANDSTILL = Figures(0, 99.0, 99.0, 99.0)


class Probe:
    """The well-behaved client calling one server: a quiet phase, then the attack."""

    def __init__(self, prober: CommandedProcess, server: Server) -> None:
        self._prober = prober
        prober.command(json.dumps({"uri": server.uri(), "hmac_key": server.hmac_key}))
        self.quiet = self.attack = Figures(0, 0.0, 0.0, 0.0)
        self.failures = 0
        self.errors: list[str] = []

    def begin_attack(self) -> None:
        """The quiet phase is over, after some calls at least."""
        self._prober.command(json.dumps({"phase": "attack"}))

    def end(self) -> None:
        answer = self._prober.command(json.dumps({"stop": True}), timeout=50)
        self.quiet, self.attack = (
            Figures(**answer[phase]) if phase in answer else STANDSTILL for phase in ("quiet", "attack")
        )
        self.errors, self.failures = answer["errors"], answer["failures"]
        self.waited: float = answer["waited"]


class Watch:
    """The well-behaved client watching one server under attack, and another one the ``reference``, which is not.

    What delays calls there as well, at the same time and on the same machine, is not the attack; nor is the time in
    which server and client wanted to run and had no processor.
    """

    def __init__(
        self, prober: CommandedProcess, server: Server, quiet: float, reference: tuple[CommandedProcess, Server]
    ) -> None:
        server.forget_peak()
        self.before = server.usage()
        self._server = server
        self._probe, self._elsewhere = self._probes = Probe(prober, server), Probe(*reference)
        time.sleep(quiet)
        for probe in self._probes:
            probe.begin_attack()
        self._waits = waits(server.pid)
        self.starved = 0.0
        self.begun = time.monotonic()
        self.peak = 0

    def at_least(self, seconds: float) -> None:
        """Let the attack last so long."""
        time.sleep(max(0.0, self.begun + seconds - time.monotonic()))

    def end(self) -> None:
        """The attack is over."""
        self.seconds = time.monotonic() - self.begun
        alive = self._server.process.poll() is None
        if alive:
            self.peak = self._server.peak()
        for probe in self._probes:
            probe.end()
        self.starved = self._probe.waited
        if alive:
            now = waits(self._server.pid)
            self.starved += sum(seconds - self._waits.get(thread, 0.0) for thread, seconds in now.items())
        self.quiet, self.attack = self._probe.quiet, self._probe.attack
        self.failures, self.errors = self._probe.failures, self._probe.errors
        self.elsewhere = self._elsewhere.attack

    def figures(self) -> dict[str, Any]:
        """For the table."""
        return {
            "seconds": round(self.seconds, 2),
            "quiet": self.quiet._asdict(),
            "attack": self.attack._asdict(),
            "elsewhere": self.elsewhere._asdict(),
            "starved": round(self.starved, 3),
            "failures": self.failures,
            "before": self.before._asdict(),
            "peak": self.peak,
        }

    def was_undisturbed(self, *, p99: float = 0.25, longest: float = 2.0) -> None:
        """No call failed, and the calls took no longer than they do in quiet, or elsewhere at the same time.

        That is 3 times as long at most for the 99th percentile, or ``p99`` seconds; ``longest`` for the longest one.
        These two only tell delays from standstills: a machine that has more to do than this test delays everything.
        On top of that comes the time without a processor, and as long again for what has piled up: for so many
        seconds, a call may have taken longer, or a hundredth of the calls all together.
        """
        assert not self.failures, self.errors
        felt = (self.quiet, self.attack, self.elsewhere, self.starved)
        limit = max(3 * self.quiet.p99, 3 * self.elsewhere.p99, p99)
        starved = 2 * self.starved
        assert self.attack.p99 <= limit + starved / max(1.0, self.attack.calls / 100), felt
        assert self.attack.max <= max(3 * self.elsewhere.max, longest) + starved, felt


@contextlib.contextmanager
def changed_config(**values: Any) -> Iterator[None]:
    """The global configuration of this process, changed for a while."""
    before = {name: getattr(config, name) for name in values}
    for name, value in values.items():
        setattr(config, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


def eventually(condition: Callable[[], object], patience: float = 10.0, what: str = "did not happen in time") -> None:
    """Wait for something that tells nobody when it happens."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def in_threads(tasks: Sequence[Callable[[], None]], patience: float = 50.0) -> None:
    """Run the tasks in threads of their own and wait for them; the first error is raised."""
    errors: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        assert not thread.is_alive(), "a thread of the test hangs"
    if errors:
        raise errors[0]
