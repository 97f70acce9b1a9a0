"""Jobs that are gathered in a block, stored as one, and moved as one."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from taskqueue_ray.core.errors import InvalidRequest, JobNotFound
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.sdk.batches import Batch
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.job import JobItem, as_item

if TYPE_CHECKING:
    from taskqueue_ray.sdk.client import TaskQueue


class JobGroup:
    """What a workflow and a batch with callbacks have in common.

    As a block it stores its jobs together, or none of them, at the end of the block.
    """

    _word: ClassVar[str]
    """What it is to its user."""

    def __init__(self, client: "TaskQueue", gathered: Batch | None, id: str) -> None:
        self.id = id
        self._client = client
        self._handles: list[JobHandle[Any]] = []
        self._gathered = gathered
        """What was added; None once it has started."""

    @property
    def handles(self) -> list[JobHandle[Any]]:
        """Those of the jobs that were added here, in that order."""
        return list(self._handles)

    def start(self) -> None:
        """Store all that was added; durable on return. Raises what refused it, storing nothing."""
        if self._gathered is None:
            raise InvalidRequest(f"the {self._word} {self.id} has started already")
        self._complete(self._gathered)
        if len(self._gathered):
            self._client.enqueue_together(self._gathered)
        self._gathered = None

    async def astart(self) -> None:
        """The same for async code."""
        await asyncio.to_thread(self.start)

    def cancel(self, reason: str = "") -> list[str]:
        """Cancel all that waits or runs; the ids."""
        return self._client.cancel_all(workflow=self.id, reason=reason)

    def retry(self, *, options: Mapping[str, Any] | None = None) -> list[str]:
        """Send its dead letters again; what waits for them goes on when they complete.

        `options` are changed for them, as in `q.redrive`.
        """
        return self._client.redrive_all(workflow=self.id, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._gathered is not None:
            self.start()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def _ends(self, deadline: "Deadline") -> list[JobState]:
        """Wait until the jobs that were added here have ended; how those ended that are kept.

        Retention may have dropped the others' records meanwhile, which it does to ended jobs only.
        """
        ends = []
        for handle in self._handles:
            with suppress(JobNotFound):
                ends.append(handle.wait(deadline.left()))
        return ends

    def _complete(self, gathered: Batch) -> None:
        """Add what belongs to it besides the jobs that were added."""


def for_each(target: Any) -> JobItem[Any]:
    """The job of a map. Raises `InvalidRequest` when it has its arguments already."""
    item = as_item(target, (), {})
    if item.args or item.kwargs:
        raise InvalidRequest("map takes a job, without arguments")
    return item


class Deadline:
    """How long may still be waited, for one after another."""

    def __init__(self, timeout: Duration | None) -> None:
        self.seconds = None if timeout is None else parse_duration(timeout, "timeout")
        self._at = None if self.seconds is None else time.monotonic() + self.seconds

    def left(self) -> float | None:
        """Seconds, 0 when the time is over; None: as long as it takes."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())
