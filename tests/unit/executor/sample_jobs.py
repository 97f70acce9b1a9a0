"""Jobs that behave in every way that jobs may, for the tests of executors."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from taskqueue_ray.engine.context import Cancel, Fail, Retry, Snooze, WaitFor, current
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.registry import registry

Function = TypeVar("Function", bound=Callable[..., Any])


def job(function: Function) -> Function:
    registry.register(JobType(f"sample.{function.__name__}", function))
    return function


@job
def echo(value: str) -> str:
    return value


def wait_a_minute(attempt: int, error: BaseException) -> object:
    """The backoff of `fails_with`, which says in its error what that is to be."""
    if isinstance(error, Retry | TimeoutError):
        return "10m"
    match error.args:
        case ("raise",):
            raise KeyError("of the backoff")
        case ("exit",):
            sys.exit(3)
        case ("attempt",):
            return 60 * attempt
        case ("name",):
            return f"{len(type(error).__name__)}m"
        case ("context",):
            return 60.0 * len(current().job.type)
        case (answer,):
            return answer
        case _:
            raise AssertionError(error)


def fails_with(answer: object) -> None:
    raise ValueError(answer)


def retries_with(delay: float | None) -> None:
    raise Retry(delay=delay)


async def async_fails_with(answer: object) -> None:
    await asyncio.sleep(0)
    raise ValueError(answer)


async def async_waits(seconds: float) -> None:
    await asyncio.sleep(seconds)


for _function in (fails_with, retries_with, async_fails_with, async_waits):
    registry.register(
        JobType(f"sample.{_function.__name__}", _function, backoff=wait_a_minute)  # type: ignore[arg-type]
    )


@job
def nothing() -> None:
    return None


@job
def pid() -> int:
    return os.getpid()


_kept: list[bytes] = []


@job
def keep(mebibytes: int) -> int:
    """Let memory leak."""
    _kept.append(b"x" * (mebibytes << 20))
    return os.getpid()


@job
def draw(started: Path, go_on: Path) -> tuple[int, float, float]:
    """Drawn while a sibling does so too: process id, Python's number, numpy's number."""
    import random

    generator = sys.modules["numpy.random"]
    (started / str(os.getpid())).touch()
    while not go_on.exists():
        time.sleep(0.002)
    return os.getpid(), random.random(), float(generator.random())


@job
def attempt() -> int:
    return current().attempt


@job
def boom(text: str) -> None:
    secret_local = "never shown"  # noqa: F841
    raise ValueError(text)


@job
def base_exception() -> None:
    raise BaseException("the base of all")


@job
def sys_exit(code: int) -> None:
    sys.exit(code)


@job
def interrupt() -> None:
    raise KeyboardInterrupt


@job
def os_exit(code: int) -> None:
    os._exit(code)


@job
def segfault() -> None:
    ctypes.string_at(0)


@job
def wait_for_another(other: str) -> None:
    raise WaitFor([other, other])


@job
def snooze() -> None:
    raise Snooze("5m")


@job
def retry_later() -> None:
    raise Retry("not yet", delay=60)


@job
def retry_by_policy() -> None:
    raise Retry("not yet")


@job
def fail_for_good() -> None:
    raise Fail("no use")


@job
def cancel_itself() -> None:
    raise Cancel("changed my mind")


@job
def unserialisable() -> object:
    return object()


@job
def too_large() -> bytes:
    return os.urandom(2 * 1024 * 1024)


@job
def endless() -> None:
    while True:
        pass


@job
def swallower() -> None:
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass


@job
def c_sleep(seconds: float) -> None:
    ctypes.CDLL(None).usleep(int(seconds * 1_000_000))


@job
def hold_gil(seconds: float) -> None:
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


@job
def chatter(size: int) -> int:
    line = "x" * 99
    for _ in range(size // 100):
        print(line)
    return size


@job
def one_long_line(size: int) -> None:
    os.write(1, b"y" * size)
    print("the end of it", file=sys.stderr)


@job
def leave_trace(folder: Path, number: int) -> None:
    (folder / str(number)).touch()


@job
def wait_for_file(path: Path) -> str:
    while not path.exists():
        time.sleep(0.002)
    return path.read_text()


@job
def touch_then_wait(started: Path, go_on: Path) -> None:
    started.write_text(str(os.getpid()))
    while not go_on.exists():
        time.sleep(0.002)


@job
def until_cancelled(started: Path) -> None:
    started.write_text("")
    while not current().cancelled:
        time.sleep(0.002)
    raise Cancel


@job
def with_grandchild(report: Path, escape: bool) -> None:
    child = subprocess.Popen(["sleep", "300"], start_new_session=escape)
    report.write_text(f"{os.getpid()} {child.pid}")
    time.sleep(300)


@job
def kill_fork_server() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


@job
def tell_progress(count: int) -> None:
    for done in range(count + 1):
        current().progress(done, count, f"page {done}")
    time.sleep(0.15)


@job
def ask(method: str, request: bytes) -> bytes:
    return current().channel.call(method, request)


@job
def enqueue_trials(count: int, size: int) -> int:
    """Enqueue as an application's handler does."""
    import taskqueue_ray as tq

    client = tq.connect()
    text = os.urandom(size // 2).hex()
    return len(client.enqueue_many(tq.jobs.TestJob({"text": text}) for _ in range(count)))


@job
def ask_from_fork() -> str:
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            current().channel.call("enqueue", b"")
        except Exception as error:
            os.write(writing, type(error).__name__.encode())
        os._exit(0)
    return os.read(reading, 100).decode()


@job
def saves_and(what: str, count: int) -> int:
    """Saves 1 to `count` on top of what was saved, and then ends in some way."""
    base = current().checkpoint() or 0
    for number in range(1, count + 1):
        current().checkpoint(base + number)
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "waits":
        time.sleep(60)
    return _after_saving(what, base)


@job
async def async_saves_and(what: str, count: int) -> int:
    base = current().checkpoint() or 0
    for number in range(1, count + 1):
        current().checkpoint(base + number)
        await asyncio.sleep(0)
    return _after_saving(what, base)


def _after_saving(what: str, base: int) -> int:
    if what == "snoozes":
        raise Snooze("5m")
    if what == "fails":
        raise ValueError(what)
    return base


@job
async def async_echo(value: str) -> str:
    await asyncio.sleep(0)
    return value


@job
async def async_sleep(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@job
async def async_boom() -> None:
    await asyncio.sleep(0)
    raise ValueError("async boom")


@job
async def async_exit() -> None:
    await asyncio.sleep(0)
    sys.exit(4)


@job
async def async_block(seconds: float) -> None:
    await asyncio.sleep(0.01)
    time.sleep(seconds)  # noqa: ASYNC251  # the mistake to be found


@job
async def async_swallow() -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except BaseException:
            pass


@job
async def async_segfault() -> None:
    await asyncio.sleep(0.01)
    ctypes.string_at(0)


@job
async def async_segfault_in_task() -> None:
    async def crash() -> None:
        ctypes.string_at(0)

    await asyncio.create_task(crash())


@job
async def async_timeout_of_its_own() -> None:
    async with asyncio.timeout(0.01):
        await asyncio.sleep(60)


@job
async def async_ask(method: str, request: bytes) -> bytes:
    return await current().channel.acall(method, request)


@job
async def async_gather(count: int) -> int:
    async def one(number: int) -> int:
        await asyncio.sleep(0.001)
        return number

    return sum(await asyncio.gather(*(one(number) for number in range(count))))


@job
async def async_id() -> str:
    await asyncio.sleep(0.001)
    return current().job.id


@job
def spans_so_far() -> list[dict[str, str]]:
    """What this executor has exported, where `traced_app` is among its modules."""
    from tests.unit.executor.traced_app import exporter

    return [
        {
            "name": span.name,
            "trace": f"{span.context.trace_id:032x}",
            "parent": f"{span.parent.span_id:016x}" if span.parent else "",
            "status": span.status.status_code.name,
            "all": span.to_json(),
        }
        for span in exporter.get_finished_spans()
    ]


@job
def log_lines(text: str) -> str:
    import logging

    log = logging.getLogger("shop.jobs")
    log.info("making %s", text)
    log.debug("not said")
    return current().job.id


@job
async def async_log_lines(text: str) -> str:
    import logging

    await asyncio.sleep(0.01)
    logging.getLogger("shop.jobs").warning("making %s", text)
    return current().job.id
