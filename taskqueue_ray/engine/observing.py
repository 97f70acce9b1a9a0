"""The one place where what the queue knows of itself is put together for those that watch it.

It costs what there are queues, lanes and workers, not what there are jobs.
"""

from collections.abc import Iterator

from taskqueue_ray.core.aside import Pause
from taskqueue_ray.core.exchange import WorkerInfo
from taskqueue_ray.core.gatelines import Place
from taskqueue_ray.core.lanes import TenantLane
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Finished, Job
from taskqueue_ray.core.observation import Observation, Unserved
from taskqueue_ray.core.state import State
from taskqueue_ray.core.why import unserved
from taskqueue_ray.engine.commits import Commits
from taskqueue_ray.engine.fleet import Fleet
from taskqueue_ray.engine.folding import Folding
from taskqueue_ray.engine.insights import Insights

LINES = 1_000
"""Lines of jobs that are looked at for ones that no worker serves."""


class Observing:
    """Observes one queue. `vanished` counts workers that left without a word since the opening."""

    def __init__(
        self, state: State, fleet: Fleet, insights: Insights, commits: Commits, folding: Folding
    ) -> None:
        self._state = state
        self._fleet = fleet
        self._insights = insights
        self._commits = commits
        self._folding = folding
        self.vanished = 0
        self.clock_jump = 0.0
        self.opened_at: float | None = None
        self.watched_at: float | None = None

    def observe(self, now: float) -> Observation:
        """The queue now."""
        lines = list(self._unserved())
        since = self.opened_at if self.watched_at is None else self.watched_at
        return Observation(
            at=now,
            queues=self._insights.stats(),
            workers=self._insights.workers(now),
            unserved=lines,
            gauges=self._gauges(now, lines),
            counters=self._counters(),
            low_space=self._commits.low_space,
            fold_problem=str(self._folding.error or ""),
            clock_jump=self.clock_jump,
            keys=sorted(self._state.keys - {""}),
            watched_ago=None if since is None else max(0.0, now - since),
        )

    def _gauges(self, now: float, lines: list[Unserved]) -> dict[str, dict[str, float]]:
        ready = self._state.ready
        heads = {name: ready.oldest(name) for name in self._state.totals}
        waited = {
            name: max(0.0, now - max(job.enqueued_at, job.due))
            for name, job in heads.items()
            if job is not None
        }
        jobs: dict[str, float] = dict.fromkeys(self._state.totals, 0.0)
        for line in lines:
            jobs[line.queue] = jobs.get(line.queue, 0.0) + line.jobs
        return {
            "oldest_waiting": waited,
            "unserved": jobs,
            "compaction_behind": {"": self._behind(now)},
            "schedule_late": {"": self._late(now)},
            "limit_starving": dict(self._starving(now)),
        }

    def _late(self, now: float) -> float:
        """Seconds for which the schedule that has been due for longest was not dealt with."""
        head = self._state.firing.head()
        return 0.0 if head is None else max(0.0, now - head[0])

    def _starving(self, now: float) -> Iterator[tuple[str, float]]:
        """By queue, for how long the oldest job that a limit holds has waited."""
        ready = self._state.ready
        for queue in list(ready.gates.places):
            held = [one.starving(ready.usage, now) for one in ready.places((queue,))]
            since = [max(job.enqueued_at, job.due) for job in held if job is not None]
            if since:
                yield queue, max(0.0, now - min(since))

    def _counters(self) -> dict[str, dict[str, float]]:
        poisoned = {name: float(one.poisoned) for name, one in self._state.totals.items()}
        return {"poisoned": poisoned, "worker_churn": {"": float(self.vanished)}}

    def _behind(self, now: float) -> float:
        """Seconds for which what ended first has waited for a fold."""
        parts = (*self._state.marked.values(), self._state.unfolded)
        oldest = next((job for part in parts for job in part.values()), None)
        ended = oldest.phase.at if oldest and isinstance(oldest.phase, Finished) else now
        return max(0.0, now - ended)

    def _unserved(self) -> Iterator[Unserved]:
        workers = [one.info for one in self._fleet.workers.values() if one.info is not None]
        left = LINES
        for queue in dict.fromkeys((*self._state.ready.queues, *self._state.ready.gates.places)):
            if Pause("queue", queue) in self._state.pauses:
                continue
            found: dict[str, Unserved] = {}
            for count, job in self._lines(queue):
                if (line := _of(job, count, workers)) is not None:
                    known = found.get(line.sentence, line)
                    more = known.jobs + count if known is not line else count
                    found[line.sentence] = Unserved(queue, more, line.reason, line.sentence)
                left -= 1
            pending = self._state.totals[queue].counts[JobState.PENDING]
            for line in found.values():
                # Lines may still hold a job that has left.
                yield Unserved(queue, min(line.jobs, pending), line.reason, line.sentence)
            if left <= 0:
                return

    def _lines(self, queue: str) -> Iterator[tuple[int, Job]]:
        ready = self._state.ready
        levels = ready.queues[queue].levels.values() if queue in ready.queues else ()
        lanes: list[TenantLane | Place] = [lane for level in levels for lane in level.values()]
        lanes += ready.places((queue,))
        for lane in lanes:
            head = lane.oldest()
            if head is not None:
                yield lane.size(), head


def _of(job: Job, count: int, workers: list[WorkerInfo]) -> Unserved | None:
    why = unserved(job.options, workers)
    return None if why is None else Unserved(job.options.queue, count, why.reason, why.sentence)
