"""The executors of one worker: fed, watched, killed and replaced. Knows nothing of Ray.

Jobs wait here, by priority, and go to the executors in small portions, so that a long job holds
few others up; what it does hold up is recalled and given to its neighbours.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, NamedTuple

from taskqueue_ray.cluster.executor_slot import ExecutorSlot, ids_of
from taskqueue_ray.cluster.fork_line import ForkLine
from taskqueue_ray.cluster.pace import CHUNK, CHUNK_JOBS, Pace
from taskqueue_ray.cluster.verdicts import Verdicts, how_it_ended
from taskqueue_ray.cluster.waiting import Ticket, Waiting
from taskqueue_ray.core.errors import TaskQueueError, Unavailable, to_wire
from taskqueue_ray.core.exchange import Grant, Outcome, Progress
from taskqueue_ray.core.model import ExecutorKind, JobId, Options
from taskqueue_ray.engine.payload import MAX_SIZE, Sealer
from taskqueue_ray.executor.cell import Mark
from taskqueue_ray.executor.kernel import kill_group
from taskqueue_ray.executor.messages import (
    Call,
    ControlReport,
    Done,
    Exited,
    Forked,
    Preload,
    Preloaded,
    Progressed,
    Recalled,
    Reply,
    Report,
)

CANCEL_GRACE = 5.0
"""Seconds that a running job has to notice that it was cancelled."""

ASYNC_LIMIT = 500
"""Coroutines that run at a time in a worker's async executor."""

TICK = 0.05
"""Seconds between two calls of `tick`, at most, for the promised reaction times."""

_STUCK = 0.02  # an executor that did not get on for so long is given nothing more
_ASYNC_GRACE = 1.0  # what a coroutine has to end after its timeout
_BLOCKED = 0.5  # a step of a coroutine that takes longer has blocked the loop
_FROZEN = 30.0  # an executor that has work and begins nothing for so long is killed
_PRELOAD_PATIENCE = 120.0
_END_PATIENCE = 5.0

Notice = Callable[[str], None]
_log = logging.getLogger(__name__)


class Incident(NamedTuple):
    """Something that an operator may want to know of."""

    kind: Literal["preload", "server", "fork", "timeout", "blocked", "cancel", "exit", "frozen"]
    text: str
    job: JobId | None = None


class Executors:
    """Runs leased jobs and gives their outcomes to `on_outcomes`. All on one event loop.

    Every job that is submitted gets exactly one outcome, unless `stop` was not awaited. `call`
    relays what a handler asks of the queue (`method`, `request`) and may raise typed errors.
    `on_outcomes` may be called from within any method here. The owner calls `tick` at least every
    `TICK` seconds. `environment` is what the executors' processes see, their keys included;
    `sealer` seals the words of failures that the worker itself finds. Times are monotonic.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        app_modules: tuple[str, ...],
        on_outcomes: Callable[[list[Outcome]], None],
        call: Callable[[str, bytes], Awaitable[bytes]],
        on_progress: Callable[[JobId, Progress], None],
        on_output: Callable[[JobId | None, str], None] | None = None,
        environment: Mapping[str, str] | None = None,
        sealer: Sealer | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_result: int = MAX_SIZE,
        cancel_grace: float = CANCEL_GRACE,
        async_limit: int = ASYNC_LIMIT,
    ) -> None:
        self._concurrency = concurrency
        self._modules = app_modules
        self._on_outcomes = on_outcomes
        self._call = call
        self._on_progress = on_progress
        self._on_output = on_output or _print
        self._environment = dict(os.environ if environment is None else environment)
        self._verdicts = Verdicts(sealer)
        self._clock = clock
        self._max_result = max_result
        self._cancel_grace = cancel_grace
        self._async_limit = async_limit
        self._waiting: dict[ExecutorKind, Waiting] = {"process": Waiting(), "async": Waiting()}
        self._slots: dict[int, ExecutorSlot] = {}
        self._pace = Pace()
        self._numbers = 0
        self._incidents: list[Incident] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._draining = False
        self._idle = asyncio.Event()
