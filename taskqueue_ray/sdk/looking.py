"""What a client can see of the queue: jobs, counts, workers, the past."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Any, overload

from taskqueue_ray.core.errors import (
    JobNotFound,
)
from taskqueue_ray.core.exchange import (
    Cursor,
    FailureSummary,
    JobFilter,
    JobView,
    WorkflowView,
)
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.metering import Family
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.core.why import Why
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.asking import IN_HISTORY, AnyId, Asking, raw_id
from taskqueue_ray.sdk.filters import filter_of, start_of
from taskqueue_ray.sdk.history import History
from taskqueue_ray.sdk.paging import page_of, pages
from taskqueue_ray.sdk.past import count_finishes, read_history
from taskqueue_ray.sdk.performance import Performance
from taskqueue_ray.sdk.records import JobRecord, QueueRecord, WorkerRecord
from taskqueue_ray.sdk.tables import JobList, RecordList, StatsList

COUNTED = 100_000
"""Jobs of one state that are counted at most, where the queue no longer keeps count."""


class Looking(Asking):
    """The methods that read. Each has an `a…` twin for async code."""

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
        schedule: str | None = None,
        since: Duration | datetime | None = None,
        limit: int = 100,
    ) -> JobList:
        """The jobs that fit all that is given, at most `limit` of them.

        First those that wait or run and dead letters, by age; then those that ended lately. With
        a final `state` those in the history follow, the newest first. `since` is a time of
        enqueueing, or how long ago.

        `type`, `tag`, `category`, `schedule` and `since` have no index: jobs are looked through for
        them, at most 20,000 in one request, so that the queue serves others in between.
        """
        wanted = filter_of(state, queue, type, tag, category, workflow, since, schedule)
        views: list[JobView] = []
        cursor: Cursor | None = None
        for page in pages(self._ask, wanted, limit):
            views.extend(page.jobs)
            cursor = page.cursor
        left = limit - len(views)
        if cursor is None and left > 0 and wanted.state in IN_HISTORY:
            views.extend(self._ask(requests.search(wanted, left)))
        return self._list(_unique(views), cursor)

    async def ajobs(self, **wanted: Any) -> JobList:
        """The same for async code."""
        return await asyncio.to_thread(lambda: self.jobs(**wanted))

    def job_page(
        self,
        *,
        cursor: str | None = None,
        limit: int = 100,
        seconds: float = 1.0,
        **wanted: Any,
    ) -> tuple[JobList, str | None]:
        """One page of the jobs that are in memory, and the cursor of the next page, if any.

        Order and filters are those of `jobs`. A cursor holds when jobs come and go. A page ends
        early after `seconds` of looking: it may be empty and have a next one.
        """
        views, following = page_of(self._ask, filter_of(**wanted), cursor, limit, seconds)
        return JobList(self._records(views), following is None), following

    def search_history(self, *, limit: int = 100, **wanted: Any) -> JobList:
        """Jobs of the Parquet history that fit, the newest first. Filters are those of `jobs`."""
        views = self._ask(requests.search(filter_of(**wanted), limit))
        return JobList(self._records(views), len(views) < limit)

    def failures(self, queue: str | None = None) -> FailureSummary:
        """Dead letters by how they failed, the largest group first."""
        return self._ask(requests.failures(queue))

    async def afailures(self, queue: str | None = None) -> FailureSummary:
        """The same for async code."""
        return await self._aask(requests.failures(queue))

    def workflows(self, limit: int = 100) -> list[WorkflowView]:
        """Workflows and batches with their counts by state, those that changed last first."""
        return self._ask(requests.workflows(limit))

    async def aworkflows(self, limit: int = 100) -> list[WorkflowView]:
        """The same for async code."""
        return await self._aask(requests.workflows(limit))

    def finishes(
        self, since: Duration | datetime, every: Duration = 3600
    ) -> list[tuple[datetime, JobState, int]]:
        """How many jobs ended in which state, by spans of `every`, in the history and lately."""
        return count_finishes(self._ask, start_of(since) or 0.0, parse_duration(every, "every"))

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

    def performance_metrics(self, window: Duration = "5m") -> Performance:
        """How fast the queue was in the last `window`, from 10 s to 1 h: in all, by queue, by type.

        It is measured since the queue's process began. Percentiles are within 1 % of the true
        value, rates are per second. Raises `InvalidOption`.

        >>> print(q.performance_metrics(window="15m").queues)  # doctest: +SKIP
        """
        return Performance(self._ask(requests.performance(parse_duration(window, "window"))))

    async def aperformance_metrics(self, window: Duration = "5m") -> Performance:
        """The same for async code."""
        wanted = requests.performance(parse_duration(window, "window"))
        return Performance(await self._aask(wanted))

    def prometheus(self) -> str:
        """All metrics as text for Prometheus, as `/metrics` and `taskqueue metrics` give it."""
        return _rendered(self._ask(requests.metrics()))

    async def aprometheus(self) -> str:
        """The same for async code."""
        return _rendered(await self._aask(requests.metrics()))

    def drain_worker(self, id: str) -> bool:
        """Let a worker finish what it runs, take nothing more, and leave; False: none of that id.

        Another one comes when its pool needs one.
        """
        return bool(self._ask(requests.drain(id)))

    async def adrain_worker(self, id: str) -> bool:
        """The same for async code."""
        return bool(await self._aask(requests.drain(id)))

    def history(self, since: Duration | datetime | None = None) -> History:
        """What ended: a table that pandas, Arrow and SQL can read. `since` as in `jobs`.

        >>> q.history(since="7d").to_pandas()  # doctest: +SKIP
        """
        start = start_of(since) or 0.0
        return History(lambda: read_history(self._ask, start))

    def why(self, id: AnyId) -> Why:
        """Why a job is not running: in a word, in a sentence, and as data. Raises `JobNotFound`."""
        found = self._ask(requests.why(raw_id(id)))
        return found if found is not None else _ended(self.job(id))

    async def awhy(self, id: AnyId) -> Why:
        """The same for async code."""
        return await asyncio.to_thread(self.why, id)

    def count_workflow(self, id: str) -> dict[JobState, int]:
        """How many jobs of a workflow are in each state, of a batch likewise.

        The queue keeps count. Of one whose last job ended more than a day ago it knows no more, so
        its jobs are looked for in the history, which takes longer the more they are.
        """
        counts = self._ask(requests.workflow(id))
        if not counts:
            for state in IN_HISTORY:
                found = self._ask(requests.search(JobFilter(state, workflow=id), COUNTED))
                counts |= {state: len(found)} if found else {}
        return counts

    def _record(self, job_id: JobId, found: list[JobView]) -> JobRecord:
        if not found:
            raise JobNotFound(to_text(job_id))
        return JobRecord(found[0], self.opener)

    def _list(self, views: list[JobView], cursor: Cursor | None) -> JobList:
        return JobList(self._records(views), cursor is None)

    def _records(self, views: list[JobView]) -> Iterator[JobRecord]:
        return (JobRecord(view, self.opener) for view in views)


def _rendered(families: list[Family]) -> str:
    # Loaded on first use: few programs need the library.
    from taskqueue_ray.sdk.exposition import render

    return render(families)


def _ended(record: JobRecord) -> Why:
    """What memory no longer knows has ended."""
    return Why("finished", f"it has ended: {record.state}", {"state": record.state.value})


def _stats(queue: str | None, found: list[Any]) -> StatsList | QueueRecord:
    records = [QueueRecord(one) for one in found]
    return StatsList(records) if queue is None else records[0]


def _unique(views: list[JobView]) -> list[JobView]:
    """Each job once: one that was folded between two questions is in both answers."""
    return list({view.id: view for view in views}.values())
