"""Waiting for many jobs."""

import asyncio
import queue
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from taskqueue_ray.core.errors import ResultTimeout, TaskQueueError
from taskqueue_ray.core.exchange import Ended
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.progress import bar

R = TypeVar("R")


def gather(
    *handles: "JobHandle[Any] | Iterable[JobHandle[Any]]",
    timeout: Duration | None = None,
    return_exceptions: bool = False,
    progress: bool | None = None,
) -> list[Any]:
    """The results of these jobs, in the order of the handles; waits for all of them.

    The first job (in that order) that did not complete raises as in `JobHandle.result`, after all
    have ended; with `return_exceptions` its error stands in its place. `progress` None shows a
    bar in terminals and notebooks. Raises `ResultTimeout`.
    """
    wanted = _flat(handles)
    for _ in as_completed(wanted, timeout=timeout, progress=progress):
        pass
    return [_outcome(handle, return_exceptions) for handle in wanted]


def as_completed(
    handles: "Iterable[JobHandle[R]]",
    *,
    timeout: Duration | None = None,
    progress: bool | None = None,
) -> "Iterator[JobHandle[R]]":
    """The handles as their jobs end, however they end. Raises `ResultTimeout`.

    >>> for handle in tq.as_completed(handles):  # doctest: +SKIP
    ...     print(handle.result())
    """
    wanted = list(handles)
    deadline = None if timeout is None else time.monotonic() + parse_duration(timeout, "timeout")
    arrived: queue.SimpleQueue[JobHandle[R]] = queue.SimpleQueue()
    for handle, future in zip(wanted, watch(wanted), strict=True):
        future.add_done_callback(_put(arrived, handle))
    shown = bar(len(wanted), progress)
    try:
        for _ in range(len(wanted)):
            yield _next(arrived, deadline, timeout, wanted)
            shown.advance()
    finally:
        shown.close()


async def agather(
    *handles: "JobHandle[Any] | Iterable[JobHandle[Any]]", return_exceptions: bool = False
) -> list[Any]:
    """`gather` for async code; use `asyncio.timeout` for a limit."""
    wanted = _flat(handles)
    watch(wanted)
    await asyncio.gather(*(handle.await_end() for handle in wanted))
    return [_outcome(handle, return_exceptions) for handle in wanted]


async def aas_completed(handles: "Iterable[JobHandle[R]]") -> "AsyncIterator[JobHandle[R]]":
    """`as_completed` for async code."""
    wanted = list(handles)
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[JobHandle[R]] = asyncio.Queue()

    def tell(handle: JobHandle[R]) -> None:
        loop.call_soon_threadsafe(arrived.put_nowait, handle)

    for handle, future in zip(wanted, watch(wanted), strict=True):
        future.add_done_callback(partial(_tell, tell, handle))
    for _ in wanted:
        yield await arrived.get()


def watch(handles: "list[JobHandle[Any]]") -> "list[Future[Ended]]":
    """The futures of these handles, asked for together: one call for each connection."""
    fresh: dict[Any, list[JobHandle[Any]]] = {}
    for handle in handles:
        handle.settle_delivery()
        if handle.unwatched:
            fresh.setdefault(handle.watcher, []).append(handle)
    for watcher, some in fresh.items():
        for handle, future in zip(some, watcher.futures([h.raw_id for h in some]), strict=True):
            handle.adopt(future)
    return [handle.future() for handle in handles]


def _tell(tell: "Callable[[JobHandle[R]], None]", handle: JobHandle[R], _: object) -> None:
    tell(handle)


def _put(arrived: "queue.SimpleQueue[JobHandle[R]]", handle: JobHandle[R]) -> Any:
    return lambda _: arrived.put(handle)


def _next(
    arrived: "queue.SimpleQueue[JobHandle[R]]",
    deadline: float | None,
    timeout: Duration | None,
    wanted: list[JobHandle[R]],
) -> JobHandle[R]:
    try:
        return arrived.get(
            timeout=None if deadline is None else max(0.0, deadline - time.monotonic())
        )
    except queue.Empty:
        open_ones = [handle for handle in wanted if not handle.done]
        name = f"{open_ones[0].id} and {len(open_ones) - 1} more" if open_ones else "none"
        raise ResultTimeout(name, parse_duration(timeout, "timeout"), "unfinished") from None


def _flat(handles: Iterable[Any]) -> list[JobHandle[Any]]:
    wanted: list[JobHandle[Any]] = []
    for item in handles:
        wanted.extend([item] if isinstance(item, JobHandle) else item)
    return wanted


def _outcome(handle: JobHandle[Any], return_exceptions: bool) -> Any:
    try:
        return handle.result()
    except TaskQueueError as problem:
        if return_exceptions:
            return problem
        raise
