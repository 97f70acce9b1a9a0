"""Waiting for room in a full queue: `tq.patient`.

Patience is the caller's, not the job's, and it is needed wherever jobs are enqueued: by a call, a
batch, a pipeline, a workflow, and a bare `job.enqueue`, in a program or inside a job. An argument
`wait=` has no place where all keywords are the job's own; so it is a block around any of them.
"""

import asyncio
import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import NamedTuple

from taskqueue_ray.core.errors import InvalidOption, QueueFull
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.sdk.batches import Parcel
from taskqueue_ray.sdk.transport import Transport

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
log = logging.getLogger(__name__)


class Patience(NamedTuple):
    """For how many seconds to wait at a full queue. None: for as long as it takes."""

    seconds: float | None


_here: ContextVar[Patience | None] = ContextVar("taskqueue_patience", default=None)


@contextmanager
def patient(wait: Duration | None = None) -> Iterator[None]:
    """A block in which enqueueing into a full queue waits for room instead of raising `QueueFull`.

    `wait` is for how long, from the moment in which the queue was found full; it begins anew when
    some jobs were taken. None waits for as long as it takes. When the time is over, `QueueFull` is
    raised and says how long that was. Holds for what this thread or coroutine does in the block.
    Raises `InvalidOption`.

    >>> with tq.patient("30s"):  # doctest: +SKIP
    ...     q.enqueue_many(parse.item(page) for page in pages)
    """
    seconds = None if wait is None else parse_duration(wait, "wait")
    if seconds == 0.0:
        raise InvalidOption("wait", ascii(wait)[:80], "more than 0 seconds, or None")
    token = _here.set(Patience(seconds))
    try:
        yield
    finally:
        _here.reset(token)


def patience_here() -> Patience | None:
    """That of the block in which this is called; None: there is none."""
    return _here.get()


def rest(until: threading.Event, seconds: float) -> None:
    """Pause, or less when the event comes."""
    until.wait(seconds)


async def arest(seconds: float) -> None:
    """Pause a coroutine."""
    await asyncio.sleep(seconds)


class Room:
    """Gets refused batches of one client into their queues, by asking again with the same ids."""

    def __init__(self, transport: Transport, check_open: Callable[[], None]) -> None:
        self._transport = transport
        self._check_open = check_open
        self.closing = threading.Event()
        """Set when nobody need wait any more."""

    def wait(
        self,
        parcel: Parcel,
        full: QueueFull,
        patience: Patience | None,
        *,
        whole: bool = False,
        given_up: threading.Event | None = None,
    ) -> None:
        """Store a batch that was refused. Raises `QueueFull` again without patience or room.

        Unless it must stay `whole`, a batch that is large beside the queue goes in by portions.
        `given_up` ends the wait from outside. Raises `QueueClosed` when the client is closed.
        """
        steps = _steps(parcel, full, patience, whole)
        answer: bytes | QueueFull | None = None
        while (step := _next(steps, answer)) is not None:
            answer = None
            if isinstance(step, Parcel):
                try:
                    answer = self._transport.call("enqueue", step.body)
                except QueueFull as again:
                    answer = again
            else:
                rest(given_up or self.closing, step)
                if given_up is not None and given_up.is_set():
                    raise full
                self._check_open()

    async def await_(self, parcel: Parcel, full: QueueFull, patience: Patience | None) -> None:
        """The same for coroutines."""
        steps = _steps(parcel, full, patience, whole=False)
        answer: bytes | QueueFull | None = None
        while (step := _next(steps, answer)) is not None:
            answer = None
            if isinstance(step, Parcel):
                try:
                    answer = await self._transport.acall("enqueue", step.body)
                except QueueFull as again:
                    answer = again
            else:
                await arest(step)
                self._check_open()


_Steps = Generator[Parcel | float, bytes | QueueFull | None, None]


def _next(steps: _Steps, answer: bytes | QueueFull | None) -> Parcel | float | None:
    try:
        return steps.send(answer)
    except StopIteration:
        return None


def _steps(parcel: Parcel, full: QueueFull, patience: Patience | None, whole: bool) -> _Steps:
    """What to do until all is stored: rest so many seconds, or send this and say what came."""
    if patience is None:
        raise full
    left = deque(_portions(parcel, full, whole=whole))
    log.info("%s; waiting for room", full)
    begun, pause = monotonic(), FIRST_PAUSE
    while left:
        waited = monotonic() - begun
        yield _pause(full, patience, waited, pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        while left:
            answer = yield left[0]
            if isinstance(answer, QueueFull):
                full = answer
                left.extendleft(reversed(_portions(left.popleft(), full, whole=whole)))
                break
            assert answer is not None
            left.popleft().settle(answer)
            begun, pause = monotonic(), FIRST_PAUSE


def _pause(full: QueueFull, patience: Patience, waited: float, pause: float) -> float:
    """How long to rest. Producers that were refused together do not come back together."""
    drawn = pause * (0.5 + 0.5 * random.random())
    if patience.seconds is None:
        return drawn
    if waited >= patience.seconds:
        raise QueueFull(full.fields["queue"], full.fields["limit"], round(waited, 3))
    return min(drawn, patience.seconds - waited)


def _portions(parcel: Parcel, full: QueueFull, *, whole: bool) -> list[Parcel]:
    """What may be sent one after the other: half of the queue at most, or else nothing would fit.

    A batch that must stay whole and is larger than the queue will never fit, however long it waits.
    """
    queue, limit = full.fields["queue"], full.fields["limit"]
    if not whole:
        return parcel.split(max(1, limit // 2))
    if parcel.count(queue) > limit:
        raise full
    return [parcel]
