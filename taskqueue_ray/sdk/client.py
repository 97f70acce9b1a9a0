"""The queue as programs see it."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from taskqueue_ray.core.errors import QueueClosed, QueueFull
from taskqueue_ray.core.health import Facts, Health, examine
from taskqueue_ray.core.model import OnParentFailure
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.pool import Terms
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.sdk import current, requests
from taskqueue_ray.sdk.alerts import Alerts
from taskqueue_ray.sdk.asking import AnyId, raw_id
from taskqueue_ray.sdk.batches import MAX_JOBS, Batch, Parcel, Preparer
from taskqueue_ray.sdk.callbacks import JobBatch
from taskqueue_ray.sdk.fault_tolerance import FaultTolerance
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.hurry import Hurried
from taskqueue_ray.sdk.job import Job, JobItem, as_item
from taskqueue_ray.sdk.limits import Concurrency, RateLimiter
from taskqueue_ray.sdk.moving import Moving
from taskqueue_ray.sdk.nodes import LoadBalancer, Nodes
from taskqueue_ray.sdk.patience import Room, patience_here
from taskqueue_ray.sdk.pipeline import WINDOW, Pipeline
from taskqueue_ray.sdk.pools import Pools
from taskqueue_ray.sdk.queues import Queues
from taskqueue_ray.sdk.quotas import Quotas
from taskqueue_ray.sdk.scheduler import Scheduler
from taskqueue_ray.sdk.transport import Answer, Transport
from taskqueue_ray.sdk.watcher import Watcher
from taskqueue_ray.sdk.workflow import Workflow
from taskqueue_ray.sdk.workforce import Workforce

T = TypeVar("T")
_Flight = tuple[Parcel, Answer]
StartWorkers = Callable[..., Workforce]
log = logging.getLogger(__name__)


class TaskQueue(Moving):
    """A connection to a queue. Use it as a context manager, or `close` it.

    Each method that asks the queue has an `a…` twin for async code. All may be called from any
    thread. `tq.connect` makes one.
    """

    def __init__(
        self,
        transport: Transport,
        sealer: Sealer,
        *,
        location: str = "",
        start_workers: StartWorkers | None = None,
        examine: Callable[[], Facts] | None = None,
        on_close: Callable[[], None] | None = None,
        is_current: bool = True,
        max_batch: int = MAX_JOBS,
        terms: Callable[[], Terms] | None = None,
        timezone: str = "UTC",
    ) -> None:
        super().__init__(transport, sealer)
        self.location = location
        self.queues = Queues(self._ask)
        """Settings of single queues, and what is paused."""
        self.nodes = Nodes(self._ask)
        """Ray's nodes, live: cordon, drain, readmit them."""
        self.load_balancer = LoadBalancer(self._ask)
        """How nodes are chosen for workers."""
        self.quotas = Quotas(self._ask)
        """Ceilings on what workers hold."""
        self.fault_tolerance = FaultTolerance(self._ask, self)
        """Jobs that are not done twice, and nodes that cannot be trusted."""
        self.pools = Pools(self._ask, terms)
        """Workers that are kept running with the queue."""
        self.rate_limiter = RateLimiter(self._ask, transport, self._check_open)
        """Rates by name."""
        self.concurrency = Concurrency(self._ask)
        """How many run at a time, by name or type."""
        self.watcher = Watcher(transport)
        self.preparer = Preparer(transport, sealer, max_batch=max_batch)
        self.scheduler = Scheduler(self._ask, self.preparer, self.opener, timezone)
        """What is to be enqueued at which times."""
        self.alerts = Alerts(self._ask, self.preparer)
        """Rules that watch over the queue."""
        self._start_workers = start_workers
        self._examine = examine
        self._on_close = on_close
        self._room = Room(transport, self._check_open)
        if is_current:
            current.opened(self)

    # --- enqueueing -------------------------------------------------------------------------

    def enqueue(self, target: Any, /, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """Enqueue one call; durable on return. `target` is a job, its name, an item, a `tq.Job`.

        Options go with the job: `send.options(priority=10)`. Raises `InvalidArguments`,
        `PayloadTooLarge`, `QueueFull`, `StorageFull` and other `TaskQueueError`s; then nothing
        was stored. In a block of `tq.patient` it waits while the queue is full; so do those below.
        """
        handle, parcel = self._single(target, args, kwargs)
        self._check_open()
        session = self.watcher.standing()
        try:
            if session is None or parcel.claimants:
                parcel.settle(self._transport.call("enqueue", parcel.body))
            else:
                self._ask(requests.enqueue_watched(session.client, parcel.body))
                self.watcher.adopt(handle.raw_id, session)
        except QueueFull as full:
            self._room.wait(parcel, full, patience_here())
        return handle

    async def aenqueue(self, target: Any, /, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """The same for async code."""
        # The first job of a notebook's function sends its code, which waits for the queue.
        handle, parcel = await asyncio.to_thread(self._single, target, args, kwargs)
        self._check_open()
        try:
            parcel.settle(await self._transport.acall("enqueue", parcel.body))
        except QueueFull as full:
            await self._room.await_(parcel, full, patience_here())
        return handle

    def enqueue_many(self, items: Iterable[JobItem[T] | Job]) -> list[JobHandle[T]]:
        """Enqueue many calls; all are durable on return. `items` may be a generator.

        They travel in batches of some hundred, each of which is stored or refused as a whole. An
        error in an item stops here; batches before it may be stored, and a note on the error says
        how many jobs that were.

        >>> q.enqueue_many(send_email.item(to) for to in people)  # doctest: +SKIP
        """
        batch = Batch(self, self.preparer)
        handles: list[JobHandle[T]] = []
        flying: deque[_Flight] = deque()
        sent = 0
        try:
            for target in items:
                item = target if type(target) is JobItem else as_item(target, (), {})
                handles.append(batch.add(item))
                if batch.full:
                    sent = self._send(batch, flying, sent)
            if len(batch):
                sent = self._send(batch, flying, sent)
            while flying:
                self._bring_in(flying)
        except BaseException as problem:
            _finish(flying)
            if sent:
                problem.add_note(f"up to {sent:,} jobs before it were enqueued")
            raise
        return handles

    async def aenqueue_many(self, items: Iterable[JobItem[T] | Job]) -> list[JobHandle[T]]:
        """The same for async code; the items are read in a thread."""
        return await asyncio.to_thread(self.enqueue_many, items)

    def pipeline(self) -> Pipeline:
        """A block of enqueues that do not wait; all are durable when it ends.

        >>> with q.pipeline() as p:  # doctest: +SKIP
        ...     p.enqueue(send_email, "a@b.c", subject="Hi")
        """
        return Pipeline(self, self._transport, self.preparer, self._room)

    def workflow(
        self, name: str, *, id: str | None = None, on_parent_failure: OnParentFailure = "wait"
    ) -> Workflow:
        """A workflow of that name: a new one, or that of an `id`, to look at or to add to.

        >>> with q.workflow("nightly") as flow:  # doctest: +SKIP
        ...     rows = flow.add(fetch, 1)
        ...     flow.add(store, rows)
        """
        return Workflow(self, Batch(self, self.preparer), name, id, on_parent_failure)

    def batch(
        self,
        name: str | None = None,
        *,
        id: str | None = None,
        on_success: Any = None,
        on_complete: Any = None,
        on_failure: Any = None,
    ) -> JobBatch:
        """A batch of jobs with callbacks, which are jobs; or that of an `id`, to look at or add to.

        >>> with q.batch("import", on_complete=report) as b:  # doctest: +SKIP
        ...     for row in rows:
        ...         b.add(load, row)
        >>> b.progress().done  # doctest: +SKIP
        """
        callbacks = {
            "on_success": on_success, "on_complete": on_complete, "on_failure": on_failure,
        }  # fmt: skip
        return JobBatch(self, Batch(self, self.preparer), name, id, callbacks)

    def enqueue_together(self, batch: Batch) -> None:
        """Enqueue a batch in one call: all of it is stored, or nothing. Durable on return."""
        self._check_open()
        parcel = batch.pack()
        try:
            parcel.settle(self._transport.call("enqueue", parcel.body))
        except QueueFull as full:
            self._room.wait(parcel, full, patience_here(), whole=True)

    def push(self, job: Job) -> JobHandle[Any]:
        """Enqueue a `tq.Job`; durable on return."""
        return self.enqueue(job)

    async def apush(self, job: Job) -> JobHandle[Any]:
        """The same for async code."""
        return await self.aenqueue(job)

    def _single(
        self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[JobHandle[Any], Parcel]:
        item = as_item(target, args, kwargs)
        batch = Batch(self, self.preparer)
        return batch.add(item), batch.pack()

    def _send(self, batch: Batch, flying: "deque[_Flight]", sent: int) -> int:
        self._check_open()
        count, parcel = len(batch), batch.take()
        flying.append((parcel, self._transport.submit("enqueue", parcel.body)))
        if len(flying) >= WINDOW:
            self._bring_in(flying)
        return sent + count

    def _bring_in(self, flying: "deque[_Flight]") -> None:
        """The oldest batch that is on its way is stored. If it had to wait, the others go again.

        They may have been refused for its sake: jobs in them may depend on jobs in it.
        """
        parcel, answer = flying.popleft()
        try:
            parcel.settle(answer.result())
        except QueueFull as full:
            self._room.wait(parcel, full, patience_here())
            others = [other for other, _ in flying]
            flying.clear()
            for other in others:
                flying.append((other, self._transport.submit("enqueue", other.body)))

    def handle(self, id: AnyId) -> JobHandle[Any]:
        """A handle for any id; asks nothing. Raises `InvalidOption` for what is no id."""
        return JobHandle(self, raw_id(id))

    def hurried(self, seconds: Duration) -> "TaskQueue":
        """The same queue, for those who cannot wait while it restarts.

        A call that gets no answer within `seconds` raises `Unavailable`; what it asked for may have
        been done. This connection must stay open for as long as that one is used.
        """
        return TaskQueue(
            Hurried(self._transport, parse_duration(seconds, "seconds")),
            self.preparer.sealer,
            location=self.location,
            is_current=False,
            max_batch=self.preparer.max_jobs,
            timezone=self.scheduler.tz,
        )

    # --- workers and the connection ---------------------------------------------------------

    def workers(
        self,
        queues: Sequence[str] = (),
        *,
        min: int = 1,
        max: int | None = None,
        concurrency: int | None = None,
    ) -> Workforce:
        """Workers for these queues (none named: for all) as long as the block lasts.

        At its end they finish the jobs that run and give back the rest. From `min` to `max`
        workers, each with `concurrency` executors.
        """
        if self._start_workers is None:
            raise QueueClosed("workers cannot be started from here")
        names = tuple(check_name("queue", name) for name in queues)
        most = _most(min) if max is None else max
        return self._start_workers(names, min=min, max=most, concurrency=concurrency)

    def health(self) -> Health:
        """What is wrong with the queue, and what to do; true when nothing is.

        It asks the queue's actor and every node, so it takes a moment on a large cluster.

        >>> print(q.health())  # doctest: +SKIP
        """
        self._check_open()
        if self._examine is None:
            raise QueueClosed("the queue cannot be examined from here")
        return examine(self._examine())

    async def ahealth(self) -> Health:
        """The same for async code."""
        return await asyncio.to_thread(self.health)

    def close(self) -> None:
        """Let go of the queue; whoever waits on a handle gets `QueueClosed`. May be repeated."""
        if self._closed:
            return
        self._closed = True
        self._room.closing.set()
        current.closed(self)
        self.watcher.close()
        self._transport.close()
        if self._on_close is not None:
            self._on_close()

    async def aclose(self) -> None:
        """The same for async code."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> "TaskQueue":
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> "TaskQueue":
        return self.__enter__()

    async def __aexit__(self, *exit: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<TaskQueue {self.location}{' (closed)' if self._closed else ''}>"


def _most(least: int) -> int:
    return max(least, 1)


def _land(flying: "deque[_Flight]") -> None:
    parcel, answer = flying.popleft()
    parcel.settle(answer.result())


def _finish(flying: "deque[_Flight]") -> None:
    """Learn the fate of what is on its way; the error that stopped us is the one to raise."""
    while flying:
        try:
            _land(flying)
        except Exception as problem:
            log.debug("a batch beside the one that failed: %s", problem)
