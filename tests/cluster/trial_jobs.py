"""The jobs of these tests, as a user's module would have them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psutil

import taskqueue_ray as tq
from tests.cluster.witness import Run

NO_WAIT = tq.Backoff.fixed("10ms")


@dataclass
class Address:
    street: str
    number: int


@tq.job
def add(a: int, b: int = 1) -> int:
    return a + b


@tq.job
def numbers(count: int) -> list[int]:
    return list(range(count))


@tq.job
def tell(summary: tq.BatchSummary) -> dict[str, int]:
    return {"total": summary.total, "failed": summary.failed}


@tq.job
def reversed_bytes(data: bytes) -> bytes:
    return data[::-1]


@tq.job
def typed(address: Address, at: datetime, price: Decimal) -> Address:
    assert isinstance(address, Address)
    assert isinstance(at, datetime)
    assert isinstance(price, Decimal)
    return Address(address.street, address.number + 1)


@tq.job
async def doubled(n: int, seconds: float = 0.0) -> int:
    await asyncio.sleep(seconds)
    return 2 * n


@tq.job
def parent(n: int) -> str:
    """Enqueues another job, and reports progress."""
    tq.current().progress(1, 2, "half")
    child: str = tq.connect().enqueue(add, n, 1).id
    return child


@tq.job(max_attempts=3, backoff=NO_WAIT)
def fails_until(attempt: int) -> int:
    if tq.current().attempt < attempt:
        raise ValueError(f"attempt {tq.current().attempt}")
    return tq.current().attempt


@tq.job(batch=tq.Batch(max_size=64, max_wait="500ms"), backoff=NO_WAIT)
def squares(numbers: list[int]) -> list[tuple[int, int] | Exception]:
    """The square of each, and how many there were; a thirteen fails the first time."""
    attempts = [job.attempt for job in tq.current().jobs]
    return [
        ValueError("thirteen") if (number, attempt) == (13, 1) else (number**2, len(numbers))
        for number, attempt in zip(numbers, attempts, strict=True)
    ]


class Warm(tq.Job):
    """Shows that its class was set up once in each process."""

    setups = 0

    def setup(self) -> None:
        Warm.setups += 1
        self.model = os.getpid()

    def handle(self) -> bool:
        return self.model == os.getpid() and Warm.setups == 1


class Resize(tq.Job):
    queue = "images"

    def handle(self) -> str:
        self.payload["seen"] = True
        return str(self.payload["path"])


@tq.job(queue="trial", backoff=NO_WAIT)
def witnessed(file: str, seconds: float = 0.0) -> str:
    """Writes down when it begins and ends, and returns the name of its run."""
    run = Run(file)
    time.sleep(seconds)
    return run.end()


@tq.job(queue="trial", max_attempts=1)
def waits_for(file: str, gate: str, seconds: float = 120.0) -> str:
    """Runs until the gate is a file."""
    run = Run(file)
    deadline = time.monotonic() + seconds
    while not os.path.exists(gate) and time.monotonic() < deadline:  # noqa: PTH110
        time.sleep(0.01)
    return run.end()


@tq.job(queue="trial")
def kills_its_worker(file: str) -> str:
    """A poison pill: it ends the process that watches over its executor.

    Not before the queue can know that it runs; one that is faster is charged only once it is held
    alone.
    """
    Run(file)
    time.sleep(0.5)
    server = psutil.Process(os.getppid())
    os.kill(server.ppid(), signal.SIGKILL)
    time.sleep(60)
    return "it lives"


@tq.job(max_attempts=1, timeout=5)
def misbehaves(how: str) -> Any:
    """What job code should not do."""
    return _MANNERS[how]()


def _unserialisable() -> object:
    return object()


def _base_exception() -> None:
    raise BaseException("beyond Exception")


def _interrupt() -> None:
    raise KeyboardInterrupt


def _segfault() -> None:
    import ctypes

    ctypes.string_at(0)


def _for_ever() -> None:
    while True:
        pass


def _swallow() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


def _talk() -> int:
    for _ in range(40):
        print("x" * (1 << 16))
    return 40


_MANNERS = {
    "unserialisable": _unserialisable,
    "BaseException": _base_exception,
    "KeyboardInterrupt": _interrupt,
    "sys.exit": lambda: sys.exit(0),
    "os._exit": lambda: os._exit(0),
    "segfault": _segfault,
    "endless": _for_ever,
    "swallow": _swallow,
    "talk": _talk,
}


@tq.job
def reports(gate: str) -> str:
    """Says that it is half done, and is done when the gate is a file."""
    while not os.path.exists(gate):  # noqa: PTH110
        tq.current().progress(1, 2, "half")
        time.sleep(0.01)
    return "done"


@tq.job(queue="trial")
def until_cancelled(file: str) -> None:
    Run(file)
    while not tq.current().cancelled:
        time.sleep(0.01)
    raise tq.Cancel


@tq.job(queue="trial")
def clings(file: str) -> None:
    """Ignores requests to end, and has a child that does so too, in a session of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    Run(file)
    while True:
        time.sleep(60)


@tq.job(queue="narrow")
def narrow(n: int) -> int:
    return n


@tq.job
def feed(count: int) -> int:
    with tq.patient("1m"):
        return len([narrow.enqueue(n) for n in range(count)])


@tq.job(queue="trial", max_attempts=2, backoff=NO_WAIT)
def counts_on(file: str, gate: str) -> int:
    """Counts on from its checkpoint until the gate is a file; returns where it began."""
    begun = tq.current().checkpoint() or 0
    _count(begun, file, gate)
    return int(begun)


def _count(number: int, file: str, gate: str) -> None:
    while not os.path.exists(gate):  # noqa: PTH110
        number += 1
        tq.current().checkpoint(number)
        with open(file, "a") as out:
            out.write(f"{number} {time.time():.3f}\n")
        time.sleep(0.02)


@tq.job(queue="trial", max_attempts=2, backoff=NO_WAIT)
async def counts_on_async(file: str, gate: str) -> int:
    """The same in an event loop."""
    begun = tq.current().checkpoint() or 0
    await asyncio.to_thread(_count, begun, file, gate)
    return int(begun)


@tq.job(queue="trial")
def stops_slowly(file: str, seconds: float) -> str:
    """Notices that it is cancelled, and has so much to do before it stops."""
    run = Run(file)
    while not tq.current().cancelled:
        time.sleep(0.01)
    time.sleep(seconds)
    return run.end()


@tq.job(queue="reports")
def report(alert: dict[str, Any], room: str = "") -> str:
    return f"{alert['rule']} {alert['state']} {room}"


@tq.job(queue="trial", limits=["api"])
def limited(n: int) -> int:
    return n


@tq.job(queue="trial")
def permitted() -> str:
    tq.current().rate_limit("permits", timeout=30)
    return "permitted"
