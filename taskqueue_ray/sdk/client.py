"""The queue as programs see it."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar, overload

from taskqueue_ray.core.changes import changes_of
from taskqueue_ray.core.errors import (
    Conflict,
    InvalidOption,
    JobNotFound,
    QueueClosed,
    QueueFull,
)
from taskqueue_ray.core.exchange import Cursor, JobFilter, JobView
from taskqueue_ray.core.identity import from_text, to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId, OnParentFailure
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.core.why import Why
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.sdk import current, requests
from taskqueue_ray.sdk.batches import MAX_JOBS, Batch, Parcel, Preparer
from taskqueue_ray.sdk.bulk import ErrorFilter, Selection, move_all
from taskqueue_ray.sdk.callbacks import JobBatch
from taskqueue_ray.sdk.filters import filter_of, start_of
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.history import History
from taskqueue_ray.sdk.job import Job, JobItem, as_item
from taskqueue_ray.sdk.opening import Opener
from taskqueue_ray.sdk.paging import pages
from taskqueue_ray.sdk.past import read_history
from taskqueue_ray.sdk.patience import Room, patience_here
from taskqueue_ray.sdk.pipeline import WINDOW, Pipeline
from taskqueue_ray.sdk.purging import await_fold, purge
from taskqueue_ray.sdk.queues import Queues, what
from taskqueue_ray.sdk.records import JobRecord, QueueRecord, WorkerRecord
from taskqueue_ray.sdk.requests import Request
from taskqueue_ray.sdk.tables import JobList, RecordList, StatsList
from taskqueue_ray.sdk.transport import Answer, Transport
from taskqueue_ray.sdk.watcher import Watcher
from taskqueue_ray.sdk.workflow import Workflow
from taskqueue_ray.sdk.workforce import Workforce

T = TypeVar("T")
AnyId = str | bytes | JobHandle[Any] | JobRecord
_Flight = tuple[Parcel, Answer]
StartWorkers = Callable[..., Workforce]
log = logging.getLogger(__name__)
COUNTED = 100_000
"""Jobs of one state that are counted at most, where the queue no longer keeps count."""
_IN_HISTORY = (JobState.COMPLETED, JobState.CANCELLED, JobState.EXPIRED)


class TaskQueue:
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
        on_close: Callable[[], None] | None = None,
        is_current: bool = True,
        max_batch: int = MAX_JOBS,
    ) -> None:
        self.location = location
        self.opener = Opener(sealer, call=transport.call)
        self.queues = Queues(self._ask)
        """Settings of single queues, and what is paused."""
        self.watcher = Watcher(transport)
        self._transport = transport
        self._preparer = self.preparer = Preparer(transport, sealer, max_batch=max_batch)
        self._start_workers = start_workers
        self._on_close = on_close
        self._closed = False
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
        batch = Batch(self, self._preparer)
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
        return Pipeline(self, self._transport, self._preparer, self._room)

    def workflow(
        self, name: str, *, id: str | None = None, on_parent_failure: OnParentFailure = "wait"
    ) -> Workflow:
        """A workflow of that name: a new one, or that of an `id`, to look at or to add to.

        >>> with q.workflow("nightly") as flow:  # doctest: +SKIP
        ...     rows = flow.add(fetch, 1)
        ...     flow.add(store, rows)
        """
        return Workflow(self, Batch(self, self._preparer), name, id, on_parent_failure)

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
        return JobBatch(self, Batch(self, self._preparer), name, id, callbacks)

    def count_workflow(self, id: str) -> dict[JobState, int]:
        """How many jobs of a workflow are in each state, of a batch likewise.

        The queue keeps count. Of one whose last job ended more than a day ago it knows no more, so
        its jobs are looked for in the history, which takes longer the more they are.
        """
        counts = self._ask(requests.workflow(id))
        if not counts:
            for state in _IN_HISTORY:
                found = self._ask(requests.search(JobFilter(state, workflow=id), COUNTED))
                counts |= {state: len(found)} if found else {}
        return counts

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
        batch = Batch(self, self._preparer)
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

    # --- looking ----------------------------------------------------------------------------

    def handle(self, id: AnyId) -> JobHandle[Any]:
        """A handle for any id; asks nothing. Raises `InvalidOption` for what is no id."""
        return JobHandle(self, raw_id(id))

    def job(self, id: AnyId) -> JobRecord:
        """Everything that is known of a job, finished or not. Raises `JobNotFound`."""
        job_id = raw_id(id)
        view = self._ask(requests.job(job_id))
        found = self._ask(requests.past([job_id])) if view is None else [view]
        return self._record(job_id, found)

    async def ajob(self, id: AnyId) -> JobRecord:
        """The same for async code."""
        job_id = raw_id(id)
        view = await self._aask(requests.job(job_id))
        found = await self._aask(requests.past([job_id])) if view is None else [view]
        return self._record(job_id, found)

    def jobs(
        self,
        *,
        state: JobState | str | None = None,
        queue: str | None = None,
        type: str | None = None,
        tag: str | None = None,
        category: str | None = None,
        workflow: str | None = None,
        since: Duration | datetime | None = None,
        limit: int = 100,
    ) -> JobList:
        """The jobs that fit all that is given, at most `limit` of them.

        First those that wait or run and dead letters, by age; then those that ended lately. With
        a final `state` those in the history follow, the newest first. `since` is a time of
        enqueueing, or how long ago.

        `type`, `tag`, `category` and `since` have no index: jobs are looked through for them, at
        most 20,000 in one request, so that the queue serves others in between.
        """
        wanted = filter_of(state, queue, type, tag, category, workflow, since)
        views: list[JobView] = []
        cursor: Cursor | None = None
        for page in pages(self._ask, wanted, limit):
            views.extend(page.jobs)
            cursor = page.cursor
        left = limit - len(views)
        if cursor is None and left > 0 and wanted.state in _IN_HISTORY:
            views.extend(self._ask(requests.search(wanted, left)))
        return self._list(_unique(views), cursor)

    async def ajobs(self, **wanted: Any) -> JobList:
        """The same for async code."""
        return await asyncio.to_thread(lambda: self.jobs(**wanted))

    def failed_jobs(self, queue: str | None = None, *, limit: int = 100) -> JobList:
        """The dead letters."""
        return self.jobs(state=JobState.FAILED, queue=queue, limit=limit)

    async def afailed_jobs(self, queue: str | None = None, *, limit: int = 100) -> JobList:
        """The same for async code."""
        return await self.ajobs(state=JobState.FAILED, queue=queue, limit=limit)

    @overload
    def stats(self) -> StatsList: ...

    @overload
    def stats(self, queue: str) -> QueueRecord: ...

    def stats(self, queue: str | None = None) -> StatsList | QueueRecord:
        """Counts by state: of one queue, or of each."""
        return _stats(queue, self._ask(requests.stats(queue)))

    @overload
    async def astats(self) -> StatsList: ...

    @overload
    async def astats(self, queue: str) -> QueueRecord: ...

    async def astats(self, queue: str | None = None) -> StatsList | QueueRecord:
        """The same for async code."""
        return _stats(queue, await self._aask(requests.stats(queue)))

    def worker_health(self) -> RecordList[WorkerRecord]:
        """The workers that the queue knows, and what they do."""
        return RecordList(map(WorkerRecord.of, self._ask(requests.workers())))

    async def aworker_health(self) -> RecordList[WorkerRecord]:
        """The same for async code."""
        return RecordList(map(WorkerRecord.of, await self._aask(requests.workers())))

    def history(self, since: Duration | datetime | None = None) -> History:
        """What ended: a table that pandas, Arrow and SQL can read. `since` as in `jobs`.

        >>> q.history(since="7d").to_pandas()  # doctest: +SKIP
        """
        start = start_of(since) or 0.0
        return History(lambda: read_history(self._ask, start))

    # --- moving -----------------------------------------------------------------------------

    def cancel(self, *ids: AnyId, reason: str = "") -> list[str]:
        """Cancel jobs; the ids of those that were waiting or running. Running ones are asked."""
        return _texts(self._ask(requests.cancel(_raw_ids(ids), reason)))

    async def acancel(self, *ids: AnyId, reason: str = "") -> list[str]:
        """The same for async code."""
        return _texts(await self._aask(requests.cancel(_raw_ids(ids), reason)))

    def redrive(self, *ids: AnyId, options: Mapping[str, Any] | None = None) -> list[str]:
        """Send dead letters again, with fresh attempts; the ids of those that were dead letters.

        `options` changes some for the jobs' new life: queue, priority, max_attempts, backoff,
        timeout, name, tags, category, retry_on and give_up_on; what it does not name stays. Raises
        `InvalidOption` for others, and `QueueFull`, moving none, when another queue has no room.

        >>> q.redrive(job, options={"queue": "slow", "timeout": "1h"})  # doctest: +SKIP
        """
        return _texts(self._ask(requests.redrive(_raw_ids(ids), changes_of(options))))

    async def aredrive(self, *ids: AnyId, options: Mapping[str, Any] | None = None) -> list[str]:
        """The same for async code."""
        return _texts(await self._aask(requests.redrive(_raw_ids(ids), changes_of(options))))

    def redrive_all(
        self,
        *,
        queue: str | None = None,
        type: str | None = None,
        tag: str | None = None,
        category: str | None = None,
        workflow: str | None = None,
        since: Duration | datetime | None = None,
        error: str | None = None,
        text: str | None = None,
        options: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> list[str]:
        """Send all dead letters again that fit all that is given; their ids.

        `error` is the type of the last error, with or without its module; `text` is in its message,
        which is read here, since the queue cannot. `options` is as in `redrive`; the jobs move some
        hundred at a time, each portion as a whole. With `dry_run` nothing moves.

        >>> q.redrive_all(queue="mail", error="TimeoutError", dry_run=True)  # doctest: +SKIP
        """
        wanted = filter_of(JobState.FAILED, queue, type, tag, category, workflow, since)
        chosen = Selection(wanted, ErrorFilter(error, text))
        changes = changes_of(options)
        found = move_all(
            self._ask,
            self.opener,
            lambda ids: requests.redrive(ids, changes),
            chosen,
            dry_run=dry_run,
        )
        return _texts(found)

    async def aredrive_all(self, **wanted: Any) -> list[str]:
        """The same for async code."""
        return await asyncio.to_thread(lambda: self.redrive_all(**wanted))

    def cancel_all(
        self,
        *,
        state: JobState | str | None = None,
        queue: str | None = None,
        type: str | None = None,
        tag: str | None = None,
        category: str | None = None,
        workflow: str | None = None,
        since: Duration | datetime | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> list[str]:
        """Cancel all jobs that wait or run and fit all that is given; their ids.

        Running ones are asked to stop. Without any filter that is every job. With `dry_run`
        nothing moves.
        """
        wanted = filter_of(state, queue, type, tag, category, workflow, since)
        if wanted.state is not None and wanted.state.final:
            raise InvalidOption("state", ascii(state), "a state of jobs that have not ended")
        found = move_all(
            self._ask,
            self.opener,
            lambda ids: requests.cancel(ids, reason),
            Selection(wanted),
            dry_run=dry_run,
        )
        return _texts(found)

    async def acancel_all(self, **wanted: Any) -> list[str]:
        """The same for async code."""
        return await asyncio.to_thread(lambda: self.cancel_all(**wanted))

    retry = redrive
    aretry = aredrive
    retry_all = redrive_all
    aretry_all = aredrive_all

    def pause(
        self, queue: str | None = None, *, type: str | None = None, tag: str | None = None
    ) -> bool:
        """Lease no jobs of a queue, a type or a tag from now on; what runs goes on.

        Holds for the whole cluster, and after a restart. False when it was paused already.
        """
        return self._ask(requests.pause(*what(queue, type, tag)))

    async def apause(
        self, queue: str | None = None, *, type: str | None = None, tag: str | None = None
    ) -> bool:
        """The same for async code."""
        return await self._aask(requests.pause(*what(queue, type, tag)))

    def resume(
        self, queue: str | None = None, *, type: str | None = None, tag: str | None = None
    ) -> bool:
        """Lease such jobs again; False when they were not paused."""
        return self._ask(requests.resume(*what(queue, type, tag)))

    async def aresume(
        self, queue: str | None = None, *, type: str | None = None, tag: str | None = None
    ) -> bool:
        """The same for async code."""
        return await self._aask(requests.resume(*what(queue, type, tag)))

    def why(self, id: AnyId) -> Why:
        """Why a job is not running: in a word, in a sentence, and as data. Raises `JobNotFound`."""
        found = self._ask(requests.why(raw_id(id)))
        return found if found is not None else _ended(self.job(id))

    async def awhy(self, id: AnyId) -> Why:
        """The same for async code."""
        return await asyncio.to_thread(self.why, id)

    def delete(self, id: AnyId) -> None:
        """Drop the record of a job that has ended. Raises `Conflict` for one that has not.

        Its id stays taken for as long as memory reaches back (a day): it is not to run again.
        """
        job_id = raw_id(id)
        while not self._drop(job_id):
            record = self.job(id)
            if record.state not in _IN_HISTORY:
                raise Conflict(record.id, record.state.value, "delete")
            await_fold(self._ask, job_id)

    async def adelete(self, id: AnyId) -> None:
        """The same for async code."""
        await asyncio.to_thread(self.delete, id)

    def purge(
        self, *, state: JobState | str, older_than: Duration = 0, queue: str | None = None
    ) -> int:
        """Drop the records of jobs that ended in `state` some time ago; how many that were.

        None that matched at the call is left, in memory or in the history. This waits for a fold
        that is moving some of them, and raises `Unavailable` when that does not end.

        >>> q.purge(state="completed", older_than="30d")  # doctest: +SKIP
        """
        wanted = filter_of(state, queue)
        if wanted.state is None or not wanted.state.final:
            raise InvalidOption("state", ascii(state), "a final state: a purge drops ended jobs")
        before = time.time() - parse_duration(older_than, "older_than")
        return purge(self._ask, wanted, before)

    async def apurge(self, **wanted: Any) -> int:
        """The same for async code."""
        return await asyncio.to_thread(lambda: self.purge(**wanted))

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

    # --- inside -----------------------------------------------------------------------------

    def _ask(self, request: Request[T]) -> T:
        self._check_open()
        return request.read(self._transport.call(request.method, request.body))

    async def _aask(self, request: Request[T]) -> T:
        self._check_open()
        return request.read(await self._transport.acall(request.method, request.body))

    def _drop(self, job_id: JobId) -> bool:
        in_memory = self._ask(requests.purge([job_id]))
        return bool(in_memory) or self._ask(requests.prune(JobFilter(), 0.0, [job_id])) > 0

    def _check_open(self) -> None:
        if self._closed:
            raise QueueClosed("this connection was closed")

    def _record(self, job_id: JobId, found: list[JobView]) -> JobRecord:
        if not found:
            raise JobNotFound(to_text(job_id))
        return JobRecord(found[0], self.opener)

    def _list(self, views: list[JobView], cursor: Cursor | None) -> JobList:
        return JobList((JobRecord(view, self.opener) for view in views), cursor is None)


def raw_id(id: AnyId) -> JobId:
    """The bytes of an id, however it is given."""
    return from_text(getattr(id, "id", id))


def _ended(record: JobRecord) -> Why:
    """What memory no longer knows has ended."""
    return Why("finished", f"it has ended: {record.state}", {"state": record.state.value})


def _raw_ids(ids: Iterable[AnyId]) -> list[JobId]:
    return [raw_id(one) for one in ids]


def _texts(ids: Iterable[JobId]) -> list[str]:
    return [to_text(one) for one in ids]


def _stats(queue: str | None, found: list[Any]) -> StatsList | QueueRecord:
    records = [QueueRecord(one) for one in found]
    return StatsList(records) if queue is None else records[0]


def _most(least: int) -> int:
    return max(least, 1)


def _unique(views: list[JobView]) -> list[JobView]:
    """Each job once: one that was folded between two questions is in both answers."""
    return list({view.id: view for view in views}.values())


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
