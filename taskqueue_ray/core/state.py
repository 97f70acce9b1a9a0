"""The facts of the queue, and the moves that every concern shares.

`DURABLE` fields are what a snapshot carries; `DERIVED` ones are rebuilt from them. Deadlines,
waiters, liveness and progress are not facts and live in `engine`.
"""

import msgspec

from taskqueue_ray.core.alerts import Alerts
from taskqueue_ray.core.aside import Pause, keeps_its_turn
from taskqueue_ray.core.deadletters import DeadLetters
from taskqueue_ray.core.expiries import Expiries
from taskqueue_ray.core.heaps import Heap
from taskqueue_ray.core.lifecycle import IllegalMove, JobState, Move
from taskqueue_ray.core.meters import Limits
from taskqueue_ray.core.model import (
    PENDING,
    PLAIN,
    Blocked,
    Conditions,
    Finished,
    Hold,
    Job,
    JobId,
    Leased,
    Options,
    Premises,
    QueueSettings,
    Receipt,
    Scheduled,
    Settled,
    StoredCode,
    Tally,
)
from taskqueue_ray.core.pool import Pool
from taskqueue_ray.core.ready import Ready
from taskqueue_ray.core.schedule import Schedule
from taskqueue_ray.core.usage import Usage

INTERNED_OPTIONS = 4096


class Totals(msgspec.Struct):
    """Counters of one queue. `counts` of all states add up to what was enqueued less purged.

    A redrive into another queue takes its jobs along. `left` counts those that were purged or
    redriven out of a final state, `redriven` those that came in by a redrive: so what `ever…` says
    only grows.
    """

    counts: dict[JobState, int]
    retries: int = 0
    losses: int = 0
    left: dict[JobState, int] = {}
    redriven: int = 0
    poisoned: int = 0
    """Jobs that were quarantined since there is this counter."""

    def leave(self, state: JobState) -> None:
        """A job has gone out of a final state."""
        self.left[state] = self.left.get(state, 0) + 1

    def ever(self, state: JobState) -> int:
        """How many jobs have come into a final state."""
        return self.counts[state] + self.left.get(state, 0)

    def ever_enqueued(self) -> int:
        """How many jobs were enqueued here."""
        return sum(self.counts.values()) + sum(self.left.values()) - self.redriven


class State:
    """All that the queue knows."""

    DURABLE = (
        "jobs", "settled", "unfolded", "marked", "totals", "codes", "receipts", "keys", "unique",
        "pauses", "settings", "workflows", "ordinal", "lease", "epoch", "at", "folded",
        "forgotten_before", "schedules", "premises", "alerts", "pools", "limits",
    )  # fmt: skip
    DERIVED = (
        "ready", "delayed", "expiring", "held", "children", "suspects", "ended", "interned",
        "alike", "dead", "runs", "firing", "usage",
    )  # fmt: skip

    __slots__ = DURABLE + DERIVED

    def __init__(self) -> None:
        self.jobs: dict[JobId, Job] = {}
        """Waiting and processing jobs, and dead letters."""
        self.settled: dict[JobId, Job | Settled] = {}
        """Ended jobs: whole until history has them, then only how they ended."""
        self.unfolded: dict[bytes, Job] = {}
        """One record for each finish since the last mark, for history."""
        self.marked: dict[int, dict[bytes, Job]] = {}
        """The same up to the mark in each of these commits, not folded yet."""
        self.totals: dict[str, Totals] = {}
        self.codes: dict[str, StoredCode] = {}
        self.receipts: dict[str, Receipt] = {}
        self.keys: set[str] = set()
        """Ids of the encryption keys that payloads came with."""
        self.unique: dict[str, Hold] = {}
        """Who holds which unique key."""
        self.pauses: dict[Pause, float] = {}
        """What is paused, and since when."""
        self.settings: dict[str, QueueSettings] = {}
        """Settings of single queues."""
        self.workflows: dict[str, Tally] = {}
        """Counters of workflows of which there is a record, or was lately."""
        self.ordinal = self.lease = self.epoch = self.folded = 0
        """`folded` is the last commit that history covers."""
        self.at = 0.0
        """The latest time of any event: time never runs back from it."""
        self.forgotten_before = 0.0
        """Jobs that ended before this time may be remembered by history only."""
        self.schedules: dict[str, Schedule] = {}
        """What is to be enqueued at which times."""
        self.premises = Premises()
        """Quotas, nodes, and how workers are placed."""
        self.alerts = Alerts()
        self.pools: dict[str, Pool] = {}
        """The workers that there are to be, by the pool's name."""
        self.limits = Limits()
        self._begin()

    def _begin(self) -> None:
        """The derived fields, of a queue without jobs."""
        self.usage = Usage(self.limits)
        self.ready = Ready(self.pauses, self.usage)
        self.delayed: Heap[tuple[float, int, int, Job]] = Heap(_is_current)
        self.expiring = Expiries()
        self.held: dict[str, dict[JobId, Job]] = {}
        self.children: dict[JobId, list[JobId]] = {}
        self.suspects: set[JobId] = set()
        """Jobs whose `suspect` is set: they wait, or are in the hands of a worker, not begun."""
        self.ended: list[Job] = []
        """Jobs that ended in the present event, of those whose end means something to others."""
        self.interned: dict[Options, Options] = {}
        self.alike: dict[Conditions, Conditions] = {PLAIN: PLAIN}
        self.dead = DeadLetters(self.jobs)
        self.runs: dict[str, dict[JobId, None]] = {}
        """Jobs of each schedule that have not ended; those of a backfill are not counted."""
        self.firing: Heap[tuple[float, str]] = Heap(self._is_awake)

    def total(self, queue: str) -> Totals:
        """The counters of a queue, made when it is new."""
        found = self.totals.get(queue)
        if found is None:
            found = self.totals[queue] = Totals(dict.fromkeys(JobState, 0))
        return found

    def move(self, job: Job, move: Move) -> None:
        """Count a move of the table; what `job.phase` becomes is the caller's to set.

        Raises `IllegalMove` when the job is not where the move begins.
        """
        source = move.source
        if job.phase.state is not source:
            raise IllegalMove(f"cannot {move.verb} a job that is {job.phase.state}")
        queue = job.options.queue
        totals = self.totals.get(queue) or self.total(queue)
        totals.counts[source] -= 1
        if move.target is not None:
            totals.counts[move.target] += 1
        if job.conditions is not PLAIN and job.conditions.workflow:
            self.tally(job.conditions.workflow, source, move.target)

    def tally(self, workflow: str, source: JobState | None, target: JobState | None) -> None:
        """Count a move of a job of a workflow."""
        found = self.workflows.get(workflow)
        if found is None:
            found = self.workflows[workflow] = Tally({})
        counts, found.at = found.counts, self.at
        if source is not None:
            counts[source] = counts.get(source, 0) - 1
            if not counts[source]:
                del counts[source]
        if target is not None:
            counts[target] = counts.get(target, 0) + 1

    def intern(self, options: Options) -> Options:
        """One object for equal options, so that a million jobs share it."""
        if len(self.interned) >= INTERNED_OPTIONS:
            self.interned.clear()
        return self.interned.setdefault(options, options)

    def conditions(self, given: Conditions | None) -> Conditions:
        """One object for equal conditions, unless they are a job's own."""
        if given is None:
            return PLAIN
        if given.unique is not None or given.expires or given.inputs or given.fired is not None:
            return given
        if len(self.alike) >= INTERNED_OPTIONS:
            self.alike = {PLAIN: PLAIN}
        return self.alike.setdefault(given, given)

    def wait(self, job: Job, due: float) -> None:
        """Put a job in line: at once, or from `due` on. Counters are the caller's."""
        if due > 0:
            job.phase = Scheduled(due)
            if job.conditions is not PLAIN and not keeps_its_turn(job):
                self.ready.leave(job)
            self.delayed.push((due, job.ordinal, job.delivery, job))
        else:
            job.phase = PENDING
            self.ready.add(job)

    def due(self, now: float) -> bool:
        """Whether a scheduled job is due at `now`."""
        head = self.delayed.head()
        return head is not None and head[0] <= now

    def holder(self, key: str, now: float) -> JobId | None:
        """The job that holds a unique key."""
        hold = self.unique.get(key)
        if hold is None or (hold.until and hold.until <= now):
            return None
        return hold.job

    def next_due(self) -> float | None:
        """The time at which the next scheduled job is due."""
        head = self.delayed.head()
        return None if head is None else head[0]

    def drop_lease(self, job: Job) -> None:
        """The worker of a leased job no longer has it."""
        phase = job.phase
        assert isinstance(phase, Leased)
        held = self.held[phase.worker]
        del held[job.id]
        if not held:
            del self.held[phase.worker]
        job.running = False
        if self.usage.counted:
            self.ready.gates.give_back((job,))
        self.acquit(job)
        self.expiring.add(job)

    def suspect(self, job: Job) -> None:
        """The worker of a job vanished, and it may have been the doing of this one."""
        job.suspect = True
        self.suspects.add(job.id)

    def acquit(self, job: Job) -> None:
        """A worker outlived what it did with a job, or the job has ended."""
        if job.suspect:
            job.suspect = False
            self.suspects.discard(job.id)

    def finish(self, job: Job, move: Move, phase: Finished) -> None:
        """End a job. A dead letter stays whole in `jobs`; the others leave it."""
        self.move(job, move)
        job.phase = phase
        job.running = job.cancelling = False
        self.acquit(job)
        record = job
        if phase.state is JobState.FAILED:
            # The dead letter may be redriven before history is written.
            record = msgspec.structs.replace(job)
            self.dead.add(job)
        else:
            del self.jobs[job.id]
            job.checkpoint = None
            self.settled[job.id] = job
        self.unfolded[finish_key(job)] = record
        if job.conditions.holds_a_key or job.id in self.children:
            self.ended.append(job)

    def known(self, job_id: JobId) -> bool:
        """Whether the id has been used, as far as memory goes."""
        return job_id in self.jobs or job_id in self.settled

    def state_of(self, job_id: JobId) -> JobState | None:
        """The state of a job, as far as memory goes."""
        found = self.jobs.get(job_id) or self.settled.get(job_id)
        return found.state if found else None

    def rebuild(self) -> None:
        """Make the derived fields anew from the durable ones, after a snapshot was loaded."""
        for queue, settings in self.settings.items():
            self.ready.weigh(queue, settings.weights)
        self.usage.rebuild()
        for job in self.jobs.values():
            self.ready.occupy(job)
        for job in self.jobs.values():
            self.index(job)
        for schedule in self.schedules.values():
            self.wake(schedule)
        for name in self.limits.rules:
            self.usage.count(name, self.held)

    def follow(self, job: Job) -> None:
        """A job that a schedule has made is there, or there again: its schedule knows of it."""
        fired = job.conditions.fired
        if fired is not None and fired.by != "backfill" and not job.phase.state.final:
            self.runs.setdefault(fired.schedule, {})[job.id] = None

    def wake(self, schedule: Schedule) -> None:
        """Look at a schedule when its time comes."""
        if schedule.wake and not schedule.paused_at:
            self.firing.push((schedule.wake, schedule.id))

    def _is_awake(self, entry: tuple[float, str]) -> bool:
        schedule = self.schedules.get(entry[1])
        return schedule is not None and schedule.wake == entry[0] and not schedule.paused_at

    def index(self, job: Job) -> None:
        """Enter one job into the derived fields, according to its phase."""
        self.expiring.add(job)
        if job.suspect:
            self.suspects.add(job.id)
        if job.conditions is not PLAIN:
            self.follow(job)
        match job.phase:
            case Scheduled(due=due):
                self.delayed.push((due, job.ordinal, job.delivery, job))
            case Leased(worker=worker):
                self.held.setdefault(worker, {})[job.id] = job
            case Blocked(parents=parents):
                for parent in parents:
                    self.children.setdefault(parent, []).append(job.id)
            case Finished():
                self.dead.add(job)
            case _:
                job.phase = PENDING
                self.ready.add(job)


def finish_key(job: Job) -> bytes:
    """What tells one finish of a job from another: its id and, after a redrive, its generation."""
    return job.id + job.generation.to_bytes(4, "big") if job.generation else job.id


def _is_current(entry: tuple[float, int, int, Job]) -> bool:
    due, _, delivery, job = entry
    phase = job.phase
    return isinstance(phase, Scheduled) and phase.due == due and job.delivery == delivery
