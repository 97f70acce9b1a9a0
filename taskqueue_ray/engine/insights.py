"""Read-only views of the queue for people and programs. Nothing here waits for a commit."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nlargest
from operator import attrgetter
from typing import Literal

from msgspec.structs import replace

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.exchange import (
    Controls,
    Cursor,
    Ended,
    FailureSummary,
    JobFilter,
    JobPage,
    JobView,
    QueueStats,
    WorkerView,
    WorkflowView,
)
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Finished, Job, JobId, Leased, Scheduled, Settled
from taskqueue_ray.core.staffing import Post
from taskqueue_ray.core.state import State, finish_key
from taskqueue_ray.core.views import checkpoint_view, ended_view, finished_view
from taskqueue_ray.core.why import Why, explain
from taskqueue_ray.engine.fleet import Fleet
from taskqueue_ray.engine.places import Places
from taskqueue_ray.engine.tallies import group_failures, tally_finishes

SCAN = 20_000
"""How many jobs one page looks at, at most, so that a list never holds up the queue for long."""

PAGE = 1_000
PAGE_BYTES = 4 << 20
KEPT = 60.0
"""Seconds without a list after which the places of jobs are forgotten."""

Look = tuple[Literal["live", "ended"], float, bytes, Job | None]
"""One step of a list: part, place and key, and the job unless it has gone."""


class Insights:
    """What can be asked about the queue."""

    def __init__(self, state: State, fleet: Fleet) -> None:
        self._state = state
        self._fleet = fleet
        self._live_places = Places(attrgetter("ordinal"), attrgetter("id"), ties=False)
        self._ended_places = Places(_ended_at, finish_key, ties=True)
        self._listed = False
        self._listed_at = 0.0

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

        A cursor is a key, so it holds when jobs come and go, its own among them. A page looks at
        `SCAN` jobs at most: it may hold fewer than `limit` jobs, or none, and still have a cursor
        from which the list goes on. The list is at its end when there is no cursor.
        """
        return self._page(self._walk(wanted, cursor), lambda job: _matches(job, wanted), limit)

    def ended(self, since: float, cursor: Cursor | None, limit: int) -> JobPage:
        """Finishes since a time that the history does not have yet, dead letters included.

        Pages and cursors are as in `jobs`.
        """
        walk = self._walk_ended(cursor.after if cursor else since, cursor.id if cursor else b"")
        return self._page(walk, lambda job: _ended_at(job) >= since, limit)

    def tidy(self, now: float) -> None:
        """Forget the places of jobs when nobody has listed any for a while."""
        if self._listed:
            self._listed, self._listed_at = False, now
        elif now - self._listed_at > KEPT:
            self._live_places.clear()
            self._ended_places.clear()

    def _page(self, walk: Iterator[Look], fits: Callable[[Job], bool], limit: int) -> JobPage:
        limit = min(limit, PAGE)
        views: list[JobView] = []
        size = 0
        for looked, (part, place, key, job) in enumerate(walk, 1):
            if job is not None and fits(job):
                views.append(view := self._view(job))
                size += len(view.payload) + len(view.result)
            if len(views) >= limit or looked >= SCAN or size > PAGE_BYTES:
                return JobPage(views, Cursor(part, place, JobId(key)))
        return JobPage(views, None)

    def _walk(self, wanted: JobFilter, cursor: Cursor | None) -> Iterator[Look]:
        state = wanted.state
        begins = cursor is None or cursor.part == "live"
        if begins and (state is None or not state.final or state is JobState.FAILED):
            yield from self._walk_live(wanted, cursor.after if cursor else 0.0)
        if state is None or (state.final and state is not JobState.FAILED):
            place, key = (0.0, b"") if begins or cursor is None else (cursor.after, cursor.id)
            for part, at, finish, job in self._walk_ended(place, key):
                # A dead letter is among the live. Passing over it is a look all the same.
                dead = job is not None and job.phase.state is JobState.FAILED
                yield part, at, finish, None if dead else job

    def _walk_live(self, wanted: JobFilter, after: float) -> Iterator[Look]:
        jobs = self._state.jobs
        indexed = self._indexed(wanted)
        if indexed is not None:
            for job in sorted(indexed, key=attrgetter("ordinal")):
                if job.ordinal > after:
                    yield "live", job.ordinal, job.id, job
        elif not after:
            # `jobs` keeps the order of enqueueing, which is the order of ordinals.
            for job in jobs.values():
                yield "live", job.ordinal, job.id, job
        else:
            self._listed = True
            self._live_places.update(reversed(jobs.values()), len(jobs))
            for place, key in self._live_places.after(after, b"\xff" * 16):
                yield "live", place, key, jobs.get(JobId(key))

    def _walk_ended(self, place: float, key: bytes) -> Iterator[Look]:
        self._listed = True
        parts = (*self._state.marked.values(), self._state.unfolded)
        newest_first = (job for part in reversed(parts) for job in reversed(part.values()))
        self._ended_places.update(newest_first, sum(map(len, parts)))
        for at, finish in self._ended_places.after(place, key):
            yield "ended", at, finish, next((p[finish] for p in parts if finish in p), None)

    def _indexed(self, wanted: JobFilter) -> list[Job] | None:
        """Jobs among which are all in the wanted state, out of its index.

        None when there is no index, or more in it than a page may look at.
        """
        if not self._may_be_live(wanted):
            return []
        match wanted.state:
            case JobState.PROCESSING:
                parts = [list(held.values()) for held in self._state.held.values()]
                return _once(parts, sum(map(len, parts)))
            case JobState.PENDING:
                lines = self._state.ready.lines(wanted.queue)
                return _once(lines, sum(map(len, lines)))
            case JobState.SCHEDULED:
                delayed = self._state.delayed
                return _once([(entry[3] for entry in delayed)], len(delayed))
            case JobState.BLOCKED:
                return self._blocked()
            case JobState.FAILED:
                dead = self._state.dead
                return _once([dead.jobs(wanted.queue)], dead.count())
        return None

    def _blocked(self) -> list[Job] | None:
        waiting = self._state.children.values()
        if len(waiting) > SCAN:
            return None
        jobs = self._state.jobs
        found = (jobs[one] for some in waiting for one in some if one in jobs)
        return _once([found], sum(map(len, waiting)))

    def _may_be_live(self, wanted: JobFilter) -> bool:
        totals = self._state.totals
        some = totals.values() if wanted.queue is None else [totals.get(wanted.queue)]
        if wanted.state is None:
            return any(one is not None for one in some)
        return any(one is not None and one.counts[wanted.state] for one in some)

    def results(self, ids: list[JobId]) -> list[Ended]:
        """How these jobs ended, or where they are, as far as memory knows them."""
        found = ((one, self._state.settled.get(one) or self._state.jobs.get(one)) for one in ids)
        return [_end(one, job) for one, job in found if job is not None]

    def workflow(self, name: str) -> dict[JobState, int]:
        """How many jobs of a workflow are in each state; none when all ended long ago."""
        tally = self._state.workflows.get(name)
        return dict(tally.counts) if tally is not None else {}

    def why(self, job_id: JobId, now: float, posts: Sequence[Post] = ()) -> Why | None:
        """Why a job is not running, if its record is in memory; `posts` are pools at work."""
        job = self._state.jobs.get(job_id) or self._state.settled.get(job_id)
        if not isinstance(job, Job):
            return None
        workers = [one.info for one in self._fleet.workers.values() if one.info is not None]
        found = explain(self._state, job, workers, now, posts)
        if (fired := job.conditions.fired) is not None:
            facts = {**found.facts, "schedule": fired.schedule, "scheduled_for": fired.due}
            return replace(found, facts=facts)
        return found

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
                session.barred,
                session.vitals,
                dict(session.grown),
            )
            for worker, session in self._fleet.workers.items()
            if session.info is not None
        ]

    def failures(self, queue: str | None) -> FailureSummary:
        """Dead letters by how they failed."""
        return group_failures(self._state, queue, SCAN)

    def workflows(self, limit: int) -> list[WorkflowView]:
        """Workflows and batches that memory knows, those that changed last first."""
        latest = nlargest(min(limit, PAGE), self._state.workflows.items(), lambda one: one[1].at)
        return [WorkflowView(name, dict(tally.counts), tally.at) for name, tally in latest]

    def tally(self, since: float, every: float) -> list[tuple[float, JobState, int]]:
        """Finishes from `since` on that the history does not have, counted by spans of time.

        Raises `InvalidRequest` for a span of no length.
        """
        if not 0.0 < every < math.inf:
            raise InvalidRequest(f"finishes are counted by spans of some seconds, not {every!r}")
        return tally_finishes(self._state, since, every, 5 * SCAN)

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
            dict(totals.left),
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
            checkpoint=checkpoint_view(job),
        )


def _end(job_id: JobId, job: Job | Settled) -> Ended:
    if isinstance(job, Settled):
        return Ended(job_id, job.state, known=False)
    return ended_view(job) if job.state.final else Ended(job_id, job.state)


def _ended_at(job: Job) -> float:
    return job.phase.at if isinstance(job.phase, Finished) else 0.0


def _once(parts: Iterable[Iterable[Job]], size: int) -> list[Job] | None:
    # An index may hold a job twice: as it was, and as it is.
    return list({job.id: job for part in parts for job in part}.values()) if size <= SCAN else None


def _matches(job: Job, wanted: JobFilter) -> bool:
    options = job.options
    return (
        (wanted.state is None or job.phase.state is wanted.state)
        and (wanted.queue is None or options.queue == wanted.queue)
        and (wanted.type is None or options.type == wanted.type)
        and (wanted.tag is None or wanted.tag in options.tags)
        and (wanted.category is None or options.category == wanted.category)
        and (wanted.workflow is None or job.conditions.workflow == wanted.workflow)
        and (wanted.since is None or job.enqueued_at >= wanted.since)
        and (wanted.schedule is None or _made_by(job) == wanted.schedule)
    )


def _made_by(job: Job) -> str | None:
    fired = job.conditions.fired
    return None if fired is None else fired.schedule
