"""Jobs that run in Ray, as a user's module would have them."""

import asyncio
import ctypes
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import ray

import taskqueue_ray as tq
from tests.cluster.trial_jobs import NO_WAIT, add
from tests.cluster.witness import Run


@tq.job(timeout=60)
def uses_ray(n: int) -> list[int]:
    """Calls Ray, on the main thread, and says in which process."""
    assert threading.current_thread() is threading.main_thread()
    return [ray.get(ray.put(n)), os.getpid()]


@tq.job
async def awaited(n: int) -> int:
    await asyncio.sleep(0.01)
    return 2 * n


class Counts(tq.Job):
    executor = "actor"

    def handle(self) -> int:
        self.payload["seen"] = True
        return len(self.payload["words"])


@tq.job
def asks(n: int) -> str:
    """Says how far it is, and enqueues another job."""
    tq.current().progress(1, 2, "half")
    child: str = tq.connect().enqueue(add, n, 1).id
    return child


@tq.job
def variable(name: str) -> str | None:
    return os.environ.get(name)


@tq.job
def actor_resources() -> dict[str, float]:
    return dict(ray.get_runtime_context().get_assigned_resources())


@tq.job(max_attempts=1, timeout=2)
def misbehaves(how: str) -> None:
    _MANNERS[how]()


def _hold_the_gil() -> None:
    ctypes.PyDLL(None).sleep(120)


_MANNERS: dict[str, Any] = {
    "sys.exit": lambda: sys.exit(3),
    "os._exit": lambda: os._exit(0),
    "segfault": lambda: ctypes.string_at(0),
    "hang": lambda: time.sleep(120),
    "GIL": _hold_the_gil,
}


@tq.job(executor="actor", timeout=90)
def holds_the_gil(file: str) -> None:
    Run(file)
    _hold_the_gil()


@tq.job(timeout=90, backoff=NO_WAIT)
def waits(file: str, gate: str) -> int:
    """Runs until the gate is a file; says in which process."""
    run = Run(file)
    while not Path(gate).exists():
        time.sleep(0.02)
    run.end()
    return os.getpid()


@tq.job(timeout=90)
def until_cancelled(file: str) -> None:
    Run(file)
    while not tq.current().cancelled:
        time.sleep(0.02)
    raise tq.Cancel


@tq.job(timeout=90)
def ignores_all(file: str, pid_file: str) -> None:
    Path(pid_file).write_text(str(os.getpid()))
    Run(file)
    while True:
        time.sleep(60)


@tq.job(executor="actor", batch=tq.Batch(max_size=16, max_wait="100ms"))
def embed(texts: list[str]) -> list[tuple[str, int]]:
    """Each text, and how many there were; as slow as a model is."""
    time.sleep(0.05)
    return [(text.upper(), len(texts)) for text in texts]


@tq.job(executor="actor")
def goes_on(step: int) -> int:
    done = tq.current().checkpoint() or 0
    if not done:
        tq.current().checkpoint(step)
        raise tq.Snooze(0.1)
    return int(done)


@tq.job(executor="actor")
def fans_out(count: int) -> int:
    here = tq.current()
    children = [goes_on.options(id=here.child_id(n)).enqueue(n + 1) for n in range(count)]
    return sum(tq.wait_for(children))


@tq.job(executor="actor", backoff=lambda _attempt, _error: 0.1, max_attempts=2)
def works_later() -> int:
    if tq.current().attempt == 1:
        raise ValueError("not yet")
    return tq.current().attempt


@tq.job(executor="actor")
def noise(size: int) -> bytes:
    return os.urandom(size)
