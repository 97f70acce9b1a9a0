"""A handle: one job, from its id to its result."""

import asyncio
import time
from collections.abc import Generator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from taskqueue_ray.core.blobs import REFERENCE_SIZE
from taskqueue_ray.core.errors import (
    JobCancelled,
    JobExpired,
    JobFailed,
    ResultTimeout,
    TaskQueueError,
)
from taskqueue_ray.core.exchange import Ended, Progress
from taskqueue_ray.core.identity import created_at, to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.timing import Duration, parse_duration

if TYPE_CHECKING:
    from taskqueue_ray.engine.jobtype import JobType
    from taskqueue_ray.sdk.client import TaskQueue
    from taskqueue_ray.sdk.delivery import Delivery
    from taskqueue_ray.sdk.records import JobRecord
    from taskqueue_ray.sdk.watcher import Watcher

R_co = TypeVar("R_co", covariant=True)


class JobHandle(Generic[R_co]):
    """One job of a queue. Cheap: it asks nothing until it is asked.

    `await handle` gives the result. All handles of a connection share one long-poll.
    """

    __slots__ = (
        "__weakref__",
        "_client",
        "_delivery",
        "_future",
        "_job_type",
        "duplicate",
        "raw_id",
    )

    def __init__(
        self,
        client: "TaskQueue",
        raw_id: JobId,
        job_type: "JobType | None" = None,
        delivery: "Delivery | None" = None,
    ) -> None:
        self.raw_id = raw_id
        self.duplicate = False
        """Whether the job's unique key was taken when it was enqueued: this stands for the job
        that has the key, or for none when it was to be dropped."""
        self._client = client
        self._job_type = job_type
        self._delivery = delivery
        self._future: Future[Ended] | None = None

    @property
    def id(self) -> str:
        """The job's id: 32 hexadecimal digits."""
        return to_text(self.raw_id)

    def stand_for(self, existing: JobId | None) -> None:
        """The queue has not stored this job; another has its unique key."""
        self.duplicate = True
        self.raw_id = self.raw_id if existing is None else existing

    @property
    def durable(self) -> bool:
        """Whether the job is known to be stored. Only handles of a pipeline are ever not."""
        return self._delivery is None or self._delivery.durable

    @property
    def job_type(self) -> "JobType | None":
        """What the job is, where that is known."""
        return self._job_type

    @property
    def created_at(self) -> float:
        """When the id was made, in seconds since the epoch."""
        return created_at(self.raw_id)

    @property
    def done(self) -> bool:
        """Whether this process has learnt that the job ended. Asks nobody."""
        return self._future is not None and self._future.done()

    def status(self) -> JobState:
        """The present state. Raises `JobNotFound`."""
        return self.info().state

    async def astatus(self) -> JobState:
        """The same for async code."""
        return (await self.ainfo()).state

    def info(self) -> "JobRecord":
        """Everything that is known of the job. Raises `JobNotFound`."""
        self.settle_delivery()
        return self._client.job(self.raw_id)

    async def ainfo(self) -> "JobRecord":
        """The same for async code."""
        return await self._client.ajob(self.raw_id)

    def progress(self) -> Progress | None:
        """What the running job last said of its progress."""
        return self.info().progress

    def wait(self, timeout: Duration | None = None) -> JobState:
        """Wait until the job has ended, and say how. Raises `ResultTimeout`; the job goes on."""
        return _final(self._wait(timeout).state)

    async def await_end(self) -> JobState:
        """Await the end of the job, and say how it ended; use `asyncio.timeout` for a limit."""
        return _final((await self._await()).state)

    def result(self, timeout: Duration | None = None) -> R_co:
        """Wait for what the job returns.

        Raises `JobFailed` (with the type, message and traceback of the last attempt),
        `JobCancelled` or `JobExpired` when it ended so, and `ResultTimeout` when it has not ended
        in time; it goes on then.
        """
        return self._open(self._wait(timeout))

    async def aresult(self) -> R_co:
        """The same for async code; `await handle` is short for it."""
        ended = await self._await()
        if len(ended.result) == REFERENCE_SIZE:
            return await asyncio.to_thread(self._open, ended)  # which fetches it
        return self._open(ended)

    def __await__(self) -> Generator[Any, None, R_co]:
        return self.aresult().__await__()

    def cancel(self, reason: str = "") -> bool:
        """Cancel the job; False when it had ended before. A running one is asked to stop."""
        self.settle_delivery()
        return bool(self._client.cancel(self.raw_id, reason=reason))

    async def acancel(self, reason: str = "") -> bool:
        """The same for async code."""
        return bool(await self._client.acancel(self.raw_id, reason=reason))

    def future(self) -> "Future[Ended]":
        """A future of how the job ends; for `gather` and `as_completed`."""
        if self._future is None:
            self._future = self._client.watcher.future(self.raw_id)
        return self._future

    def adopt(self, future: "Future[Ended]") -> None:
        """Use this future of the job's end, which was asked for with many others."""
        self._future = future

    def _wait(self, timeout: Duration | None) -> Ended:
        seconds = None if timeout is None else parse_duration(timeout, "timeout")
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            self.settle_delivery(seconds)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            return self.future().result(left)
        except FutureTimeout:
            if self.done:
                raise
            raise ResultTimeout(self.id, seconds or 0.0, self._state_now()) from None

    async def _await(self) -> Ended:
        if self._delivery is not None:
            await asyncio.to_thread(self.settle_delivery)
        # The future is shared by everyone who waits: one who gives up must not cancel it.
        return await asyncio.shield(asyncio.wrap_future(self.future()))

    @property
    def unwatched(self) -> bool:
        """Whether nobody has asked yet how the job ends."""
        return self._future is None

    @property
    def watcher(self) -> "Watcher":
        """The long-poll of the handle's connection."""
        return self._client.watcher

    def settle_delivery(self, seconds: float | None = None) -> None:
        """Wait until the job is stored, when a pipeline enqueued it; raises what refused it."""
        if self._delivery is not None:
            self._delivery.wait(seconds)
            self._delivery = None

    def _state_now(self) -> str:
        try:
            return self.status().value
        except TaskQueueError:
            return "unfinished"

    def _open(self, ended: Ended) -> R_co:
        match ended.state:
            case JobState.COMPLETED:
                result: R_co = self._client.opener.result(
                    self.raw_id, ended.type, ended.result, self._job_type
                )
                return result
            case JobState.CANCELLED:
                raise JobCancelled(self.id, ended.reason)
            case JobState.EXPIRED:
                raise JobExpired(self.id)
            case _:
                raise self._failed(ended)

    def _failed(self, ended: Ended) -> JobFailed:
        if ended.failure is None:
            unknown = ended.reason or "unknown"
            return JobFailed(self.id, unknown, "", ended.attempts, reason=ended.reason)
        problem = self._client.opener.problem(self.raw_id, ended.type, ended.failure)
        return JobFailed(
            self.id, problem.error_type, problem.message, ended.attempts, problem.traceback,
            ended.reason,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobHandle) and other.raw_id == self.raw_id

    def __hash__(self) -> int:
        return hash(self.raw_id)

    def __repr__(self) -> str:
        return f"<JobHandle {self.id}>"


def _final(state: JobState | None) -> JobState:
    assert state is not None  # a job that does not exist has raised JobNotFound
    return state
