"""Read-only views of the queue for people and programs. Nothing here waits for a commit."""

from collections.abc import Iterator

from taskqueue_ray.core.exchange import (
    Controls,
    Cursor,
    JobFilter,
    JobPage,
    JobView,
    QueueStats,
    WorkerView,
)
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Finished, Job, JobId, Leased, Scheduled
from taskqueue_ray.core.state import State
from taskqueue_ray.core.views import finished_view
from taskqueue_ray.core.why import Why, explain
from taskqueue_ray.engine.fleet import Fleet

SCAN = 20_000
"""How many jobs one page may look at, so that a list never holds up the queue for long."""

PAGE = 1_000
PAGE_BYTES = 4 << 20


class Insights:
    """What can be asked about the queue."""

    def __init__(self, state: State, fleet: Fleet) -> None:
        self._state = state
        self._fleet = fleet

    def stats(self, queue: str | None = None) -> list[QueueStats]:
        """Counts of one queue or of all."""
        names = sorted(self._state.totals) if queue is None else [queue]
        return [self._queue_stats(name) for name in names]

    def job(self, job_id: JobId) -> JobView | None:
        """One job, if its record is in memory."""
        found = self._state.jobs.get(job_id) or self._state.settled.get(job_id)
        return self._view(found) if isinstance(found, Job) else None

    def jobs(self, wanted: JobFilter, cursor: Cursor | None, limit: int) -> JobPage:
        """Jobs in memory that match: first those that have not ended and dead letters, by age;
        then those that ended and are not in the history yet, in the order of ending.

        A page may hold fewer than `limit` jobs, or none, and still have a cursor: then it ended
        at the number of jobs that one call may look at.
        """
        limit = min(limit, PAGE)
        views: list[JobView] = []
        size = 0
        for looked, (place, job) in enumerate(self._walk(wanted, cursor)):
            if _matches(job, wanted):
                views.append(view := self._view(job))
                size += len(view.payload) + len(view.result)
            if len(views) == limit or looked == SCAN or size > PAGE_BYTES:
                return JobPage(views, place)
        return JobPage(views, None)

    def _walk(self, wanted: JobFilter, cursor: Cursor | None) -> Iterator[tuple[Cursor, Job]]:
        state = wanted.state
        if cursor is None or cursor.part == "live":
            after = cursor.after if cursor else 0
            if state is None or not state.final or state is JobState.FAILED:
                # `jobs` keeps the order of enqueueing, which is the order of ordinals.
                for job in self._state.jobs.values():
                    if job.ordinal > after:
                        yield Cursor("live", job.ordinal, job.id), job
            cursor = None
        if state is None or (state.final and state is not JobState.FAILED):
            yield from self._walk_ended(cursor, dead_letters=False)

    def _walk_ended(
        self, cursor: Cursor | None, *, dead_letters: bool
    ) -> Iterator[tuple[Cursor, Job]]:
        passed = cursor is None
        for job in self._unfolded():
            at = _ended_at(job)
            if not passed:
                assert cursor is not None
                passed = at > cursor.after or (at == cursor.after and job.id == cursor.id)
                if not passed or at == cursor.after:
                    continue
            if dead_letters or job.phase.state is not JobState.FAILED:
                yield Cursor("ended", at, job.id), job

    def _unfolded(self) -> Iterator[Job]:
        for part in (*self._state.marked.values(), self._state.unfolded):
            yield from part.values()

    def why(self, job_id: JobId, now: float) -> Why | None:
        """Why a job is not running, if its record is in memory."""
        job = self._state.jobs.get(job_id) or self._state.settled.get(job_id)
        if not isinstance(job, Job):
            return None
        workers = [one.info for one in self._fleet.workers.values() if one.info is not None]
        return explain(self._state, job, workers, now)

    def controls(self) -> Controls:
        """What operators have set."""
        return Controls(
            [(*pause, at) for pause, at in self._state.pauses.items()], dict(self._state.settings)
        )

    def workers(self, now: float) -> list[WorkerView]:
        """The registered workers."""
        return [
            WorkerView(
                session.info,
                len(self._state.held.get(worker, ())),
                [job.id for job in self._state.held.get(worker, {}).values() if job.running],
                max(0.0, now - session.seen),
                session.draining,
            )
            for worker, session in self._fleet.workers.items()
            if session.info is not None
        ]

    def ended(self, since: float, cursor: Cursor | None, limit: int) -> JobPage:
        """Finishes since a time that the history does not have yet, dead letters included."""
        limit = min(limit, PAGE)
        views: list[JobView] = []
        size = 0
        for place, job in self._walk_ended(cursor, dead_letters=True):
            if _ended_at(job) >= since:
                views.append(view := self._view(job))
                size += len(view.payload) + len(view.result)
            if len(views) == limit or size > PAGE_BYTES:
                return JobPage(views, place)
        return JobPage(views, None)

    def _queue_stats(self, name: str) -> QueueStats:
        totals = self._state.totals.get(name)
        if totals is None:
            return QueueStats(name, 0, dict.fromkeys(JobState, 0))
        oldest = self._state.ready.oldest(name)
        return QueueStats(
            name,
            sum(totals.counts.values()),
            dict(totals.counts),
            oldest.enqueued_at if oldest else None,
            totals.retries,
            totals.losses,
        )

    def _view(self, job: Job) -> JobView:
        phase = job.phase
        if isinstance(phase, Finished):
            return finished_view(job)
        leased = phase if isinstance(phase, Leased) else None
        return JobView(
            id=job.id,
            options=job.options,
            state=phase.state,
            ordinal=job.ordinal,
            enqueued_at=job.enqueued_at,
            payload=job.payload,
            due=phase.due if isinstance(phase, Scheduled) else job.due,
            delivery=job.delivery,
            attempts=job.attempts,
            losses=job.losses,
            generation=job.generation,
            worker=leased.worker if leased else "",
            started_at=leased.at if leased else 0.0,
            parents=job.parents,
            history=job.history,
            progress=self._fleet.progress.get(job.id),
            conditions=job.conditions,
        )


def _ended_at(job: Job) -> float:
    return job.phase.at if isinstance(job.phase, Finished) else 0.0


def _matches(job: Job, wanted: JobFilter) -> bool:
    options = job.options
    return (
        (wanted.state is None or job.phase.state is wanted.state)
        and (wanted.queue is None or options.queue == wanted.queue)
        and (wanted.type is None or options.type == wanted.type)
        and (wanted.tag is None or wanted.tag in options.tags)
        and (wanted.category is None or options.category == wanted.category)
        and (wanted.since is None or job.enqueued_at >= wanted.since)
    )
