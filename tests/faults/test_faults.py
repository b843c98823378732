"""Processes that are killed, signals, forks, threads, garbage, shutdown in the middle ([HRD-32] to [HRD-34])."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyrolite import batch
from pyrolite.errors import CommunicationError, ConnectionClosedError, PyroError

from .harness import CommandedProcess, RawClient, Server, eventually, in_threads


def full(count: int) -> Any:
    """The number of rounds on demand only (``-m slow``)."""
    return pytest.param(count, marks=[pytest.mark.slow, pytest.mark.timeout(300)])


# ---- kill -9


@pytest.mark.parametrize("action", ["slow", "slow stream", "slow batch"])
def test_client_is_killed(start_server: Callable[..., Server], servertype: str, action: str) -> None:
    """In a call, while it fetches from a stream, in a batch: the server forgets it, and goes on."""
    server = start_server(ITER_STREAM_LINGER=0.1, POLLTIMEOUT=0.1, THREADPOOL_SIZE=4, THREADPOOL_SIZE_MIN=2)
    server.is_well()
    before = server.usage()
    victim = CommandedProcess("victim.py")
    try:
        assert victim.process.stdin is not None
        order = {"port": server.address[1], "action": action, "timeout": 0}
        victim.process.stdin.write(json.dumps(order) + "\n")
        victim.process.stdin.flush()
        eventually(lambda: server.command("stats")["connections_open"] == 1)
        if action == "slow stream":
            eventually(lambda: server.command("stats")["streams"] == 1)
    finally:
        victim.process.kill()
        victim.process.wait()
        victim.release()
    server.is_well()
    eventually(lambda: server.command("stats")["connections_open"] == 0)
    eventually(lambda: server.command("stats")["streams"] == 0)
    server.settle(before, threads=4, descriptors=6)


@pytest.mark.parametrize("retries", [0, 3])
def test_server_is_killed(start_server: Callable[..., Server], retries: int) -> None:
    """In calls, batches, streams, with and without a server that takes its place; nobody hangs."""
    server = start_server()
    port = server.address[1]
    outcomes: list[BaseException] = []
    proxies = [server.proxy() for _ in range(4)]
    for proxy in proxies:
        proxy._pyroMaxRetries = retries
        assert proxy.echo(1) == 1
    numbers = proxies[3].numbers(1000)
    assert next(numbers) == 0

    def use(action: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            try:
                action()
            except Exception as error:
                outcomes.append(error)

        return run

    def in_batch() -> None:
        calls = batch(proxies[1])
        calls.wait_at_gate()
        list(calls())

    tasks = [use(proxies[0].wait_at_gate), use(in_batch)]
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    eventually(lambda: server.command("stats")["connections_open"] == 4)
    time.sleep(0.1)
    server.kill()
    begin = time.monotonic()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert time.monotonic() - begin < 10
    assert [isinstance(outcome, CommunicationError) for outcome in outcomes] == [True, True], outcomes
    with pytest.raises(CommunicationError):
        next(numbers)
    with pytest.raises(CommunicationError):
        proxies[2].echo(2)

    successor = start_server(port=port)
    for proxy in proxies:
        assert proxy.echo("again") == "again"
        proxy._pyroRelease()
    assert successor.command("stats")["connections_total"] >= 4


def test_socket_of_a_killed_server(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """[HRD-34]: its file is replaced; that of a server that lives is not."""
    path = str(tmp_path / "socket")
    server = start_server(unixsocket=path)
    server.is_well()
    with pytest.raises(AssertionError, match="in use"):
        start_server(unixsocket=path)
    server.is_well()
    server.kill()
    assert Path(path).exists()
    successor = start_server(unixsocket=path)
    successor.is_well()
    successor.stop()
    assert not Path(path).exists()


# ---- signals


@pytest.mark.parametrize("calls", [150, full(5000)])
def test_server_under_signals(start_server: Callable[..., Server], watch: Any, calls: int) -> None:
    """System calls that are interrupted all the time, in all threads, lose nothing."""
    server = start_server()
    stop = threading.Event()

    def storm() -> None:
        threads = [int(name) for name in os.listdir(f"/proc/{server.pid}/task")]
        while not stop.is_set():
            for _ in range(10):
                for thread in threads:  # on Linux a thread is signalled like a process
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(thread, signal.SIGUSR1)
            time.sleep(0.001)

    shooter = threading.Thread(target=storm)
    with watch(server) as watched, server.proxy() as proxy:
        shooter.start()
        try:
            for number in range(calls):
                assert proxy.echo(number) == number
            assert len(proxy.text(3_000_000)) == 3_000_000
            assert proxy.echo("x" * 300_000) == "x" * 300_000
            assert list(proxy.numbers(30)) == list(range(30))
        finally:
            stop.set()
            shooter.join()
    watched.was_undisturbed(p99=0.3)


@pytest.mark.parametrize("calls", [100, full(3000)])
def test_client_under_signals(start_server: Callable[..., Server], calls: int) -> None:
    server = start_server()
    count = 0

    def handler(*_: Any) -> None:
        nonlocal count
        count += 1

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for timeout in (0, 20):
            with server.proxy(timeout=timeout) as proxy:
                for number in range(calls):
                    assert proxy.echo(number) == number
                assert proxy.slow(0.1, "slept") == "slept"
                assert len(proxy.text(3_000_000)) == 3_000_000
                assert proxy.echo("x" * 300_000) == "x" * 300_000
                assert list(proxy.numbers(30)) == list(range(30))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert count > 50


@pytest.mark.parametrize("base", [Exception, BaseException])
def test_handler_that_raises(start_server: Callable[..., Server], base: type[BaseException]) -> None:
    """A call that an exception of a signal handler ends leaves no answer behind for the next one."""
    server = start_server()
    alarm_error = type("AlarmError", (base,), {})

    def handler(*_: Any) -> None:
        raise alarm_error

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with server.proxy() as proxy:
            assert proxy.echo(0) == 0  # an exception right after the system has made a socket would leave it to nobody
            for number in range(20):
                signal.setitimer(signal.ITIMER_REAL, 0.001 + number * 0.0005)
                try:
                    while True:
                        assert proxy.echo(["asked", number]) == ["asked", number]
                except alarm_error:
                    pass
                except PyroError as error:
                    if not isinstance(error.__cause__, alarm_error):  # it came while an answer was decoded
                        raise
                assert proxy.echo(number) == number
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


SIGNALLED_SERVER = """
    import os, signal, sys, threading, time
    from pyrolite import Daemon, Proxy, config, expose, oneway
    config.SERVERTYPE, config.POLLTIMEOUT = sys.argv[1], 0.2

    @expose
    class Target:
        def echo(self, value):
            return value

        @oneway
        def note(self):
            pass

        def numbers(self):
            yield from range(3)

    def client():
        try:
            while True:
                with Proxy(uri) as proxy:
                    assert proxy.echo(1) == 1
                    proxy.note()
                    next(proxy.numbers())
        except Exception:
            pass  # the server ends

    for round in range(int(sys.argv[2])):
        daemon = Daemon("127.0.0.1")
        uri = daemon.register(Target(), "target")
        signal.signal(signal.SIGALRM, lambda *_: daemon.shutdown(1))
        threads = [threading.Thread(target=client) for _ in range(3)]
        for thread in threads:
            thread.start()
        signal.setitimer(signal.ITIMER_REAL, 0.02 + round * 0.0013, 0.005)  # and again, and again
        daemon.requestLoop()
        signal.setitimer(signal.ITIMER_REAL, 0)
        daemon.close()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
"""


@pytest.mark.parametrize("rounds", [10, full(300)])
def test_handler_that_shuts_down(servertype: str, run_python: Any, rounds: int) -> None:
    """[HRD-32]: in the thread of the loop, in the middle of whatever it is doing, and again while that goes on."""
    for _ in range(max(1, rounds // 30)):
        result = run_python(SIGNALLED_SERVER, servertype, str(min(rounds, 30)))
        assert (result.returncode, result.stderr) == (0, "")


# ---- forks

FORKING_CLIENT = """
    import os, sys, threading
    from pyrolite import Proxy, current_context
    import warnings
    warnings.filterwarnings("ignore", message=".*multi-threaded.*")
    uri = sys.argv[1]
    proxy, idle = Proxy(uri), Proxy(uri)
    for each in proxy, idle:
        each._pyroTimeout = 20
        assert each.echo(1) == 1
    numbers = proxy.numbers(10)
    assert next(numbers) == 0
    stop = threading.Event()

    def busy():
        with Proxy(uri) as own:
            while not stop.is_set():
                assert own.echo(5) == 5
                assert proxy.echo(6) == 6   # holds the proxy's lock again and again

    thread = threading.Thread(target=busy)
    thread.start()
    children = []
    for round in range(6):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                assert proxy.echo(("child", round)) == ("child", round)
                assert list(proxy.numbers(4)) == [0, 1, 2, 3]
                if round % 2:
                    del idle          # must not close the connection of the parent
                proxy._pyroRelease()
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
        assert proxy.echo(("parent", round)) == ("parent", round)
        assert idle.echo(round) == round
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    stop.set()
    thread.join()
    assert list(numbers) == list(range(1, 10))
    assert idle.echo(2) == 2
    proxy._pyroRelease(), idle._pyroRelease()
"""

FORKING_SERVER = """
    import os, sys, threading
    from pyrolite import Daemon, Proxy, config, expose
    import warnings
    warnings.filterwarnings("ignore", message=".*multi-threaded.*")
    config.SERVERTYPE, config.POLLTIMEOUT = sys.argv[1], 0.2

    @expose
    class Forker:
        def echo(self, value):
            return value

        def fork(self, how):
            pid = os.fork()
            if pid:
                return os.waitpid(pid, 0)[1]
            code = 1
            try:
                if how == "close":
                    daemon.close()
                elif how == "shutdown":
                    daemon.shutdown()
                elif how == "call":
                    with Proxy(uri) as proxy:
                        proxy._pyroTimeout = 20
                        if config.SERVERTYPE == "thread":
                            assert proxy.echo(1) == 1
                code = 0
            finally:
                os._exit(code)

    daemon = Daemon("127.0.0.1")
    uri = daemon.register(Forker(), "forker")
    thread = threading.Thread(target=daemon.requestLoop)
    thread.start()
    with Proxy(uri) as proxy, Proxy(uri) as other:
        assert other.echo(0) == 0
        for how in ("nothing", "close", "shutdown", "call"):
            assert proxy.fork(how) == 0, how
            assert proxy.echo(how) == how
            assert other.echo(how) == how
            with Proxy(uri) as newcomer:
                assert newcomer.echo(how) == how
    daemon.shutdown()
    thread.join(5)
    assert not thread.is_alive()
"""


def test_client_forks(start_server: Callable[..., Server], run_python: Any) -> None:
    """[HRD-33]: parent and child go on with connections of their own, also when threads were in calls meanwhile."""
    result = run_python(FORKING_CLIENT, start_server().uri())
    assert (result.returncode, result.stderr) == (0, "")


def test_server_forks(servertype: str, run_python: Any) -> None:
    """[HRD-33]: a method that forks, and a child that closes what it has inherited."""
    result = run_python(FORKING_SERVER, servertype)
    assert (result.returncode, result.stderr) == (0, "")


# ---- threads and garbage


@pytest.mark.parametrize("rounds", [40, full(1000)])
def test_proxy_of_eight_threads(start_server: Callable[..., Server], rounds: int, record: Any) -> None:
    """Calls, batches, streams and oneway calls over one proxy; one of the threads drops the connection at times."""
    server = start_server()
    with server.proxy() as proxy:
        assert proxy.echo(0) == 0
        oneways: list[tuple[int, int]] = []
        lost = []

        def user(number: int) -> Callable[[], None]:
            def run() -> None:
                for round_ in range(rounds):
                    mark = (number, round_)
                    kind = (number + round_) % 5
                    if kind == 0:
                        calls = batch(proxy)
                        calls.echo(mark)
                        calls.echo(round_)
                        assert list(calls()) == [mark, round_]
                    elif kind == 1:
                        try:
                            assert list(proxy.numbers(4)) == [0, 1, 2, 3]
                        except ConnectionClosedError:  # the proxy was released in between
                            lost.append(mark)
                    elif kind == 2:
                        proxy.note()
                        oneways.append(mark)
                    elif kind == 3:
                        with pytest.raises(ValueError, match="wrong value"):
                            proxy.fail("value")
                    else:
                        assert proxy.echo(mark) == mark
                    if number == 0 and round_ % 8 == 7:
                        proxy._pyroRelease()

            return run

        in_threads([user(number) for number in range(8)], patience=250 if rounds > 100 else 50)
        eventually(lambda: proxy.noted() == len(oneways), what="oneway calls were lost")
        assert len(oneways) == 8 * rounds // 5
        assert len(lost) < rounds
    record(rounds=8 * rounds, streams_ended_by_release=len(lost))


@pytest.mark.parametrize("rounds", [20, full(400)])
def test_garbage_of_other_threads(start_server: Callable[..., Server], rounds: int, record: Any) -> None:
    """[PRX-54]: proxies and iterators in cycles that any thread may collect, in the middle of calls over them."""
    server = start_server(ITER_STREAM_LINGER=0.5, POLLTIMEOUT=0.1)
    server.is_well()
    stop = threading.Event()
    collections: list[bool] = []

    def collect() -> None:
        while not stop.is_set():
            gc.collect()
            collections.append(True)

    class Cycle:
        pass

    def litter() -> None:
        with server.proxy() as proxy:
            for number in range(rounds):
                cycle = Cycle()
                cycle.itself = cycle  # type: ignore[attr-defined]
                cycle.proxy = server.proxy()  # type: ignore[attr-defined]
                assert cycle.proxy.echo(number) == number  # type: ignore[attr-defined]
                cycle.stream = cycle.proxy.numbers(5)  # type: ignore[attr-defined]
                cycle.own = proxy.numbers(5)  # type: ignore[attr-defined]
                assert next(cycle.own) == 0  # type: ignore[attr-defined]
                assert proxy.echo(number) == number
                del cycle

    gc.collect()
    gc.freeze()  # what all the other tests have left is not looked through each time
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)  # collections run in more moments then, and the test does not take for ever
    collector = threading.Thread(target=collect)
    collector.start()
    try:
        in_threads([litter] * 3, patience=250 if rounds > 100 else 50)
    finally:
        stop.set()
        collector.join()
        sys.setswitchinterval(interval)
        gc.unfreeze()
    gc.collect()
    assert len(collections) > 10
    record(rounds=3 * rounds, collections=len(collections))
    eventually(lambda: server.command("stats")["connections_open"] == 0)
    eventually(lambda: server.command("stats")["streams"] == 0)


# ---- shutdown

IN_FLIGHT = 50


@pytest.mark.parametrize("pool", [60, 20, None])
def test_shutdown_with_calls_in_flight(
    start_server: Callable[..., Server], servertype: str, pool: int | None, record: Any
) -> None:
    """[HRD-32], [BYD-5]: what has arrived is finished and answered, also what waits for a worker; then it ends."""
    settings = {"THREADPOOL_SIZE": pool, "THREADPOOL_SIZE_MIN": 1, "THREADPOOL_WAIT": 5} if pool else {}
    server = start_server(**settings)
    clients = [server.client() for _ in range(IN_FLIGHT)]
    idle = [server.client() for _ in range(5)]
    seconds = 0.3 if servertype == "thread" else 0.01
    for number, client in enumerate(clients):
        client.send(client.invocation("slow", seconds, number))
    if servertype == "thread":
        eventually(lambda: server.command("stats")["workers_busy"] >= min(pool or 40, IN_FLIGHT))
    begin = time.monotonic()
    took = server.command("shutdown 5")
    answers = [client.result() for client in clients]
    record(seconds=round(took, 2), answered=len(answers))
    assert answers == list(range(IN_FLIGHT))
    assert time.monotonic() - begin < 5
    assert all(client.closed_by_server() for client in (*clients, *idle))
    with pytest.raises(OSError):
        server.connect()
    assert server.stop() == 0


def test_shutdown_more_than_once(start_server: Callable[..., Server], servertype: str) -> None:
    """[HRD-32], [DMN-32]: nobody who shuts the server down goes on before it is down."""
    server = start_server()
    client = server.client()
    client.send(client.invocation("slow", 1.0, "done"))
    eventually(lambda: servertype == "multiplex" or server.command("stats")["workers_busy"] == 1)
    ended = server.command("shutdowns 10 5 10")
    assert client.result() == "done"
    assert min(ended) > 0.5
    assert max(ended) < 5
    assert server.stop() == 0


def test_shutdown_in_a_hurry(start_server: Callable[..., Server], servertype: str) -> None:
    """A second shutdown with less patience counts, for calls that wait for clients as well."""
    server = start_server()
    reader = server.client(receive_buffer=4096)
    reader.send(reader.invocation("big", 20_000_000, serializer="marshal"))
    if servertype == "thread":
        eventually(lambda: server.command("stats")["workers_busy"] == 1)
    time.sleep(0.1)
    ended = server.command("shutdowns 25 0.5")
    assert max(ended) < 10
    assert server.stop() == 0


def test_shutdown_with_a_call_that_takes_too_long(start_server: Callable[..., Server]) -> None:
    """[HRD-32]: the drain time is a limit, and its remains do not keep the process."""
    server = start_server()
    client, reader = server.client(), server.client(receive_buffer=4096)
    reader.send(reader.invocation("big", 5_000_000, serializer="marshal"))
    client.send(client.invocation("slow", 2, 1))
    begin = time.monotonic()
    server.command("shutdown 0.5")
    assert time.monotonic() - begin < 5  # the multiplex server has to wait for the method
    assert server.stop() == 0


def test_large_answers_during_shutdown(start_server: Callable[..., Server]) -> None:
    """[HRD-32]: an answer that is still being taken is delivered as a whole."""
    server = start_server(THREADPOOL_SIZE=3, THREADPOOL_SIZE_MIN=1)
    clients = [server.client(receive_buffer=4096) for _ in range(3)]
    for client in clients:
        client.send(client.invocation("big", 5_000_000, serializer="marshal"))
        client.sock.settimeout(10)
    time.sleep(0.3)
    sizes: list[int] = []

    def take(client: RawClient) -> None:
        sizes.append(len(client.receive().data))

    takers = [threading.Thread(target=take, args=(client,)) for client in clients]
    stopper = threading.Thread(target=server.command, args=("shutdown 8",))
    stopper.start()
    for taker in takers:
        taker.start()
    for thread in (*takers, stopper):
        thread.join(20)
    assert sizes == [5_000_005] * 3
    assert server.stop() == 0
