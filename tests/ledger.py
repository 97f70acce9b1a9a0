"""A queue's state without an engine: commands go in, and each commit is kept as its bytes."""

from collections.abc import Iterable, Sequence
from typing import Any

from taskqueue_ray.core import commands
from taskqueue_ray.core.bounds import DEFAULT_BOUNDS, Bounds
from taskqueue_ray.core.changes import Changes
from taskqueue_ray.core.dispatch import apply, decide
from taskqueue_ray.core.events import Event, decode, encode
from taskqueue_ray.core.exchange import Grant, Outcome, OutcomeKind, Save, WorkerInfo
from taskqueue_ray.core.leasing import fits
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Blocked, Job, JobId, JobSpec, Leased, Options
from taskqueue_ray.core.state import State
from tests.records import START, batch, job_id, outcome, worker


class Ledger:
    """Each method is one command, decided, applied and written down as one commit."""

    def __init__(self, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self.state = State()
        self.bounds = bounds
        self.now = START
        self.commits: list[bytes] = []
        self.chance = 0.5

    def do(self, command: commands.Command) -> Any:
        decision = decide(self.state, command, self.now, self.bounds)
        self.record(decision.events)
        return decision.reply

    def record(self, events: Sequence[Event]) -> None:
        if events:
            self.commits.append(encode(list(events)))
        for event in events:
            apply(self.state, event)

    def enqueue(self, jobs: Sequence[JobSpec], *shared: Options, **given: Any) -> Any:
        return self.do(commands.Enqueue(batch(jobs, *shared), **given))

    def lease(self, want: int = 1, info: WorkerInfo | None = None) -> list[Grant]:
        """What a worker is given, in order."""
        before = self.state.lease
        info = info or worker()
        self.do(commands.Lease(info, want, max_bytes=1 << 30))
        if self.state.lease == before:
            return []
        held = self.state.held[info.id].values()
        return [grant_of(job) for job in held if lease_of(job) == self.state.lease]

    def settle(self, *outcomes: Outcome, by: str = "w") -> list[JobId]:
        """The outcomes that were refused as stale."""
        stale: list[JobId] = self.do(
            commands.Settle(by, list(outcomes), [self.chance] * len(outcomes))
        )
        return stale

    def end(self, grant: Grant, kind: OutcomeKind = OutcomeKind.COMPLETED, **given: Any) -> None:
        """Settle one run; the queue must take it."""
        assert self.settle(outcome(grant, kind, **given)) == []

    def start(self, *grants: Grant, by: str = "w") -> None:
        self.do(commands.Start(by, [grant.id for grant in grants]))

    def checkpoint(self, *saves: Save, by: str = "w") -> None:
        self.do(commands.Checkpoint(by, list(saves)))

    def lose(self, by: str = "w") -> None:
        self.do(commands.Lose(by))

    def cancel(self, *numbers: int) -> list[JobId]:
        moved: list[JobId] = self.do(commands.Cancel([job_id(n) for n in numbers]))
        return moved

    def redrive(self, *numbers: int, **changes: Any) -> list[JobId]:
        made = Changes(**changes)
        moved: list[JobId] = self.do(commands.Redrive([job_id(n) for n in numbers], made))
        return moved

    def purge(self, *numbers: int) -> list[JobId]:
        moved: list[JobId] = self.do(commands.Purge([job_id(n) for n in numbers]))
        return moved

    def wait(self, seconds: float) -> None:
        """Let time pass and promote what is due."""
        self.now += seconds
        self.do(commands.Promote())

    def job(self, number: int) -> Job:
        """The record of a job, live or ended."""
        found = self.state.jobs.get(job_id(number)) or self.state.settled[job_id(number)]
        assert isinstance(found, Job)
        return found

    def state_of(self, number: int) -> JobState | None:
        return self.state.state_of(job_id(number))

    def order(self, want: int = 1000, info: WorkerInfo | None = None) -> list[int]:
        """The numbers of the jobs that wait for such a worker, in order."""
        info = info or worker(executors=("process", "async"))
        picked = self.state.ready.pick(info.queues, lambda lane: fits(info, lane), want)
        return [number_of(job.id) for job in picked]

    def replayed(self) -> State:
        return replayed(self.commits)


def replayed(payloads: Iterable[bytes]) -> State:
    """The state that these commits make, from nothing."""
    state = State()
    for payload in payloads:
        for event in decode(payload):
            apply(state, event)
    return state


def grant_of(job: Job) -> Grant:
    return Grant(job.id, job.delivery, lease_of(job), job.attempts + 1, 0, job.payload)


def lease_of(job: Job) -> int:
    return job.phase.lease if isinstance(job.phase, Leased) else 0


def number_of(one: JobId) -> int:
    """The number that `records.job_id` made the id from."""
    return int.from_bytes(one[10:], "big")


def facts(state: State) -> dict[str, Any]:
    """The durable part of a state in a form that can be compared, the order of dicts included."""
    return {name: _ordered(getattr(state, name)) for name in State.DURABLE}


def meaning(state: State) -> dict[str, Any]:
    """What the derived part of a state says, whatever shape it has."""
    return {
        "ready": {name: ids for name in state.ready.queues if (ids := _leasable(state, name))},
        "delayed": _delayed(state),
        "held": {name: set(jobs) for name, jobs in state.held.items() if jobs},
        "children": _children(state),
        "suspects": set(state.suspects),
        "dead": {name: ids for name in state.dead.queues() if (ids := _dead(state, name))},
        "next_due": state.next_due(),
        "runs": {name: set(jobs) for name, jobs in state.runs.items()},
        "next_firing": state.firing.head(),
    }


def count_up(state: State) -> None:
    """The counters say what the records say, state by state, for all that has not been purged."""
    counted: dict[tuple[str, JobState], int] = {}
    for job in state.jobs.values():
        key = (job.options.queue, job.state)
        counted[key] = counted.get(key, 0) + 1
    for queue, totals in state.totals.items():
        assert all(count >= 0 for count in totals.counts.values()), (queue, totals)
        for one in JobState:
            if not one.final or one is JobState.FAILED:
                assert totals.counts[one] == counted.get((queue, one), 0), (queue, one)
    _count_workflows(state)


def _count_workflows(state: State) -> None:
    counted: dict[tuple[str, JobState], int] = {}
    for job in state.jobs.values():
        key = (job.conditions.workflow, job.state)
        counted[key] = counted.get(key, 0) + 1
    for name, tally in state.workflows.items():
        assert all(count > 0 for count in tally.counts.values()), (name, tally)
        for one in JobState:
            if not one.final or one is JobState.FAILED:
                assert tally.counts.get(one, 0) == counted.get((name, one), 0), (name, one)
    assert {name for name, _ in counted if name} <= set(state.workflows)


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _ordered(one)) for key, one in value.items()]
    return value


def _leasable(state: State, queue: str) -> list[JobId]:
    return [job.id for job in state.ready.pick((queue,), lambda lane: True, 1_000_000)]


def _dead(state: State, queue: str) -> list[JobId]:
    return list(dict.fromkeys(state.dead.until(queue, 1e12)))


def _delayed(state: State) -> list[tuple[float, JobId]]:
    current = [
        (due, ordinal, job.id)
        for due, ordinal, delivery, job in state.delayed
        if job.state is JobState.SCHEDULED and job.delivery == delivery
        and getattr(job.phase, "due", None) == due
    ]  # fmt: skip
    return [(due, one) for due, _, one in current]


def _children(state: State) -> dict[JobId, list[JobId]]:
    # In what order they began to wait means nothing: they are told by age.
    waiting = {
        parent: sorted(c for c in children if c in state.jobs and _is_blocked(state.jobs[c]))
        for parent, children in state.children.items()
    }
    return {parent: children for parent, children in waiting.items() if children}


def _is_blocked(job: Job) -> bool:
    return isinstance(job.phase, Blocked)
