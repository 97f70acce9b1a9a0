"""Waiting for jobs inside a job, without keeping a worker busy."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from taskqueue_ray.core.model import JobId
from taskqueue_ray.engine.context import WaitFor, current
from taskqueue_ray.executor.inputs import End, aanswered, answered, ends_of
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.inside import inside

R = TypeVar("R")


def wait_for(handles: Iterable[JobHandle[R]]) -> list[R]:
    """What these jobs returned, in order. For the code of a job, which enqueued them before.

    Unless all have ended, this run ends here by an exception (`tq.WaitFor`, which must pass), the
    job waits without holding a worker, and runs again from its beginning when they have. So give
    what it enqueues ids that do not change: `tq.current().child_id(…)`. No attempt is counted.

    If one of them does not complete, the job's `on_parent_failure` says what becomes of it; with
    `"continue"` it goes on, with None in that place. Raises `JobNotFound`, `InvalidRequest`.

    >>> @tq.job  # doctest: +SKIP
    ... def total(pages: int) -> int:
    ...     here = tq.current()
    ...     return sum(
    ...         tq.wait_for(count.options(id=here.child_id(n)).enqueue(n) for n in range(pages))
    ...     )
    """
    wanted = _Wanted(handles)
    channel = current().channel
    return wanted.results(answered(ends_of(wanted.ids, all_or_nothing=True), channel.call))


async def await_for(handles: Iterable[JobHandle[R]]) -> list[R]:
    """The same for async code."""
    wanted = _Wanted(handles)
    channel = current().channel
    return wanted.results(await aanswered(ends_of(wanted.ids, all_or_nothing=True), channel.acall))


class _Wanted:
    """The jobs whose results are wanted."""

    def __init__(self, handles: Iterable[JobHandle[R]]) -> None:
        self._handles = list(handles)
        for handle in self._handles:
            handle.settle_delivery()
        self._wait = WaitFor(self._handles)
        self.ids = self._wait.ids

    def results(self, ends: Mapping[JobId, End | None]) -> list[R]:
        """What they returned. Raises `WaitFor` unless all have ended."""
        if len(ends) < len(self.ids) or None in ends.values():
            raise self._wait
        opener = inside(current().channel).client.opener
        found: list[R] = []
        for handle in self._handles:
            end = ends[handle.raw_id]
            assert end is not None
            job_type = handle.job_type
            found.append(opener.result(handle.raw_id, end.type, end.result, job_type))
        return found
