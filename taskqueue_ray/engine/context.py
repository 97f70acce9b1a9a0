"""What a running job can learn of itself and say: `tq.current()`, and the ways to end early."""

import asyncio
from collections.abc import Iterable, Mapping
from contextvars import ContextVar, Token
from datetime import datetime
from itertools import count
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from taskqueue_ray.core.errors import InvalidOption, InvalidRequest
from taskqueue_ray.core.exchange import Grant, Progress, Save
from taskqueue_ray.core.identity import derive_job_id, from_text, to_text
from taskqueue_ray.core.model import JobId, Options
from taskqueue_ray.core.origin import scheduled_for
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.engine.rates import Wish, throttling
from taskqueue_ray.engine.values import decode_value, encode_value


class Channel(Protocol):
    """The line from job code to the queue, which the executor holds.

    Any thread of the job may use it. `progress` and `save` never wait for the queue and may be
    coalesced, the latest wins; `call` and `acall` carry the methods of the SDK's transport and
    raise the queue's typed errors.
    """

    def progress(self, job_id: JobId, progress: Progress) -> None: ...

    def save(self, save: Save) -> None: ...

    def cancelled(self, job_id: JobId) -> bool: ...

    def call(self, method: str, request: bytes) -> bytes: ...

    async def acall(self, method: str, request: bytes) -> bytes: ...


_READ = object()
_next_number = count(1).__next__


class RunningJob(msgspec.Struct, frozen=True):
    """The facts of the job that is running. `id` is its text form, `attempt` counts from 1.

    `delivery` does too, and counts also runs that were put off, given back or lost.
    """

    id: str
    type: str
    queue: str
    attempt: int
    max_attempts: int
    priority: int
    tags: tuple[str, ...]
    category: str | None
    name: str | None
    enqueued_at: float
    timeout: float
    schedule: str | None = None
    """The schedule that made the job."""

    scheduled_for: datetime | None = None
    """The time for which it did, in the zone of the schedule."""
    delivery: int = 1


NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def facts_of(grant: Grant, options: Options) -> RunningJob:
    """What a run can know of its job."""
    return RunningJob(
        id=to_text(grant.id),
        type=options.type,
        queue=options.queue,
        attempt=grant.attempt,
        max_attempts=options.max_attempts,
        priority=options.priority,
        tags=options.tags,
        category=options.category,
        name=options.name,
        enqueued_at=grant.enqueued_at,
        timeout=options.timeout,
        schedule=grant.fired.schedule if grant.fired is not None else None,
        scheduled_for=scheduled_for(grant.fired),
        delivery=grant.delivery,
    )


class Context:
    """One run of one job. Made by the executor for each run; nothing is computed until asked.

    `sealer` seals checkpoints; `saved` is the last one, opened.
    """

    __slots__ = ("_channel", "_grant", "_options", "_saved", "_sealer", "headers")

    def __init__(
        self,
        channel: Channel,
        grant: Grant,
        options: Options,
        sealer: Sealer,
        saved: bytes | None = None,
    ) -> None:
        self._channel = channel
        self._grant = grant
        self._options = options
        self._sealer = sealer
        self._saved = saved
        self.headers = NO_HEADERS
        """What middleware has sent along from where the job was enqueued."""

    @property
    def job(self) -> RunningJob:
        """The facts of this job."""
        return facts_of(self._grant, self._options)

    @property
    def raw_id(self) -> JobId:
        """The id of this job, as bytes."""
        return self._grant.id

    def child_id(self, key: str | int) -> str:
        """An id for a job that this one enqueues: for one key the same in each of its runs.

        So a run that is repeated enqueues the same jobs, and no others.

        >>> send.options(id=tq.current().child_id("mail")).enqueue("a@b.c")  # doctest: +SKIP
        """
        return to_text(derive_job_id(self._grant.id, str(key)))

    @property
    def jobs(self) -> tuple[RunningJob, ...]:
        """The facts of all jobs that this call runs: of this one, except in a batch."""
        return (self.job,)

    @property
    def single(self) -> JobId | None:
        """The id of the job; None in a batch."""
        return self._grant.id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._grant.attempt

    @property
    def queue(self) -> str:
        """The name of the queue that the job came from."""
        return self._options.queue

    @property
    def scheduled_for(self) -> datetime | None:
        """The time for which a schedule made this job, in its zone; None: none made it.

        It is the time that was due, however late the run is: what a report is about, say.
        """
        return scheduled_for(self._grant.fired)

    @property
    def channel(self) -> Channel:
        """The line to the queue; the SDK's clients use it inside a job."""
        return self._channel

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked for this job to be cancelled; a long loop should look and stop."""
        return self._channel.cancelled(self._grant.id)

    def rate_limit(
        self,
        name: str,
        units: int = 1,
        *,
        key: object = None,
        timeout: Duration | None = None,
    ) -> None:
        """Wait until a rate has so many units left, and use them up. Raises `LimitTimeout`.

        The job holds its executor meanwhile; a job that names the limit among its options waits in
        the queue and holds nothing. In a coroutine: `await tq.current().arate_limit(name)`.

        >>> tq.current().rate_limit("api_calls", timeout="30s")  # doctest: +SKIP
        """
        if _in_event_loop():
            raise InvalidRequest(
                "rate_limit would hold up the event loop: await tq.current().arate_limit(...)"
            )
        Wish(name, units, key, timeout).acquire(self._channel.call)

    async def arate_limit(
        self,
        name: str,
        units: int = 1,
        *,
        key: object = None,
        timeout: Duration | None = None,  # noqa: ASYNC109  # of the wish, which the queue holds
    ) -> None:
        """`rate_limit` for coroutines: others run meanwhile."""
        await Wish(name, units, key, timeout).aacquire(self._channel.acall)

    def throttle(self, name: str, seconds: Duration, key: object = None) -> None:
        """Start nothing under a limit for so long, as the other side has asked for it.

        >>> tq.current().throttle("api_calls", 30)  # doctest: +SKIP
        """
        self._channel.call("throttle", throttling(name, seconds, key))

    async def athrottle(self, name: str, seconds: Duration, key: object = None) -> None:
        """`throttle` for coroutines."""
        await self._channel.acall("throttle", throttling(name, seconds, key))

    def progress(self, done: float, total: float = 0.0, message: str = "") -> None:
        """Say how far the job is, in units of its own. Cheap; what comes too often is merged.

        >>> tq.current().progress(3, 10, "third page")  # doctest: +SKIP
        """
        self._channel.progress(
            self._grant.id, Progress(float(done), float(total), str(message)[:200])
        )

    def checkpoint(self, value: Any = _READ) -> Any:
        """Save `value` for the next run of this job; without a value, the last one saved, or None.

        What is saved is any plain value, as arguments are, sealed. The job's next delivery gets it,
        whatever ended this one. At most one a second leaves this process, the latest; so does the
        last one when this run ends and the job does not. Raises `Unserialisable` and
        `PayloadTooLarge`.

        >>> done = tq.current().checkpoint() or 0  # doctest: +SKIP
        >>> tq.current().checkpoint(done + 1)  # doctest: +SKIP
        """
        if value is _READ:
            return None if self._saved is None else decode_value(self._saved)
        self._save(encode_value(value, "checkpoint"))
        return None

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint; it may be None."""
        return self._saved is not None

    def _save(self, plain: bytes) -> None:
        grant, number = self._grant, _next_number()
        sealed = self._sealer.seal(Kind.CHECKPOINT, grant.id, self._options.type, plain)
        self._channel.save(Save(grant.id, grant.delivery, grant.lease, number, sealed))
        self._saved = plain

    def __repr__(self) -> str:
        return f"<Context of job {to_text(self._grant.id)}, attempt {self._grant.attempt}>"


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_current: ContextVar[Context | None] = ContextVar("taskqueue_ray_job", default=None)


def activate(context: Context) -> Token[Context | None]:
    """Make `context` the current one of this thread or task; for executors."""
    return _current.set(context)


def deactivate(token: Token[Context | None]) -> None:
    """Undo `activate`."""
    _current.reset(token)


def current() -> Context:
    """The context of the job that is running here. Raises `InvalidRequest` outside of a job."""
    context = _current.get()
    if context is None:
        raise InvalidRequest("tq.current() has an answer only in the code of a running job")
    return context


def current_or_none() -> Context | None:
    """The context of the job that is running here, or None outside of a job."""
    return _current.get()


class ControlFlow(Exception):
    """Base of what job code raises to end its run in another way than by failing."""


class Snooze(ControlFlow):
    """Run this job again after `delay`. It counts as no attempt.

    >>> Snooze("5m").seconds
    300.0
    """

    def __init__(self, delay: Duration) -> None:
        self.seconds = parse_duration(delay, "delay")
        super().__init__(f"snoozed for {self.seconds:g} s")


class WaitFor(ControlFlow):
    """Run this job again when those have ended. It holds no worker meanwhile; no attempt counts.

    `tq.wait_for` raises it, and is what job code should call: it knows when there is nothing to
    wait for. Raised for jobs that have ended it means `Snooze(0)`: run again at once. What a
    failure of one of those means to this job says its `on_parent_failure`.
    """

    def __init__(self, jobs: Iterable[object]) -> None:
        ids = (from_text(getattr(one, "id", one)) for one in jobs)
        self.ids: tuple[JobId, ...] = tuple(dict.fromkeys(ids))
        context = _current.get()
        if context is not None and context.single in self.ids:
            raise InvalidRequest("a job cannot wait for itself")
        super().__init__(f"waits for {len(self.ids)} jobs")


class Retry(ControlFlow):
    """This attempt failed; try again, after `delay` when given, else as the backoff says."""

    def __init__(self, reason: str = "", *, delay: Duration | None = None) -> None:
        self.reason = reason
        self.seconds = None if delay is None else parse_duration(delay, "delay")
        super().__init__(reason or "the job asked for another attempt")


class Fail(ControlFlow):
    """This job has failed for good: no further attempt."""

    def __init__(self, reason: str = "") -> None:
        if not isinstance(reason, str):
            raise InvalidOption("reason", ascii(reason)[:80], "text")
        self.reason = reason
        super().__init__(reason or "the job said that it failed")


class Cancel(ControlFlow):
    """Cancel this job: it ends `cancelled`, and nobody is told of a failure."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason or "the job cancelled itself")
