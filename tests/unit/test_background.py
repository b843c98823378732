"""The threads shared by everything that runs in the background ([ASY-10])."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

from pyrolite.core import background
from pyrolite.core.background import run_in_background

LONG = 20.0


@pytest.fixture(autouse=True)
def own_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Idle threads of other tests are out of sight; those of this test end soon."""
    monkeypatch.setattr(background, "_shared", background._Shared())
    monkeypatch.setattr(background, "IDLE_SECONDS", 0.2)
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(LONG)
        assert not thread.is_alive(), thread.name


def call(task: object = None, name: str = "task") -> threading.Thread:
    """Run ``task`` and wait until its thread is idle again; returns the thread."""
    threads: list[threading.Thread] = []
    started = threading.Event()

    def run() -> None:
        threads.append(threading.current_thread())
        started.set()
        if callable(task):
            task()

    run_in_background(run, name)
    assert started.wait(LONG)
    wait_until_idle(threads[0])
    return threads[0]


def wait_until_idle(thread: threading.Thread) -> None:
    while True:
        with background._shared.lock:
            if thread in background._shared.idle or not thread.is_alive():
                return


def test_thread_is_named_daemonic_and_reused() -> None:
    """[ASY-10]"""
    names: list[str] = []
    thread = call(lambda: names.append(threading.current_thread().name), "one")
    assert thread.daemon
    assert call(lambda: names.append(threading.current_thread().name), "two") is thread
    assert names == ["pyrolite-shared-one", "pyrolite-shared-two"]
    assert thread.name == "pyrolite-shared-idle"


def test_thread_ends_when_idle() -> None:
    """[ASY-10]"""
    thread = call()
    thread.join(LONG)
    assert not thread.is_alive()
    assert background._shared.idle == []
    assert call() is not thread


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_thread_survives_its_task(error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """[ASY-11]: escaping exceptions are logged, SystemExit ends the task only."""

    def fail() -> None:
        raise error("of the task")

    with caplog.at_level(logging.ERROR, "pyrolite.core"):
        thread = call(fail)
        assert call() is thread
    assert ("of the task" in caplog.text) == (error is not SystemExit)


def test_task_is_let_go() -> None:
    """[ASY-10]: an idle thread keeps nothing alive."""

    class Resource:
        def use(self) -> None:
            pass

    resource = Resource()
    reference = weakref.ref(resource)
    call(resource.use)
    del resource
    gc.collect()
    assert reference() is None


@pytest.mark.slow
def test_thousand_at_once() -> None:
    """[ASY-10]: all run at the same time, none waits for another."""
    count = 1000
    barrier = threading.Barrier(count + 1, timeout=LONG)
    for number in range(count):
        run_in_background(barrier.wait, str(number))
    barrier.wait()
    assert not barrier.broken


def test_task_given_while_the_thread_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """[ASY-10]: a thread that was taken from the idle ones waits for its task, even after its time."""
    thread = call()
    with background._shared.lock:
        taken = background._shared.idle.pop()
    assert taken is thread
    # its wait ends now without a task; it must notice that it has been taken
    thread.join(0.4)
    assert thread.is_alive()
    ran = threading.Event()
    taken.give(ran.set, "late")
    assert ran.wait(LONG)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_after_fork() -> None:
    """[ASY-10]: the child has no idle threads and no locked lock, and can run tasks."""
    program = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
from pyrolite.core import background
done = threading.Event()
background.run_in_background(done.set)
done.wait(20)
while not background._shared.idle:
    pass
with background._shared.lock:
    child = os.fork()
if child == 0:
    done = threading.Event()
    background.run_in_background(done.set)
    os._exit(0 if done.wait(20) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=50, check=False).returncode == 0


def test_interpreter_exits() -> None:
    """[ASY-10]: neither busy nor idle threads keep it from exiting."""
    program = """
import threading
from pyrolite.core.background import run_in_background
started = threading.Event()
run_in_background(lambda: (started.set(), threading.Event().wait()))
run_in_background(int)
started.wait(20)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=50, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
