"""Random commands on the queue and on a naive model, with crashes and folds in between."""

import os
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from taskqueue_ray.core import commands
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.errors import DuplicateJob
from taskqueue_ray.core.events import Folded, Marked, decode
from taskqueue_ray.core.exchange import Grant, OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import (
    Claim,
    Conditions,
    Finished,
    Job,
    OnConflict,
    OnParentFailure,
)
from taskqueue_ray.core.retention import Retention
from taskqueue_ray.core.retry import Backoff
from taskqueue_ray.core.state import State
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import Ledger, count_up, facts, meaning, number_of, replayed
from tests.property.model import KEPT_FAILED, Model, Plain
from tests.records import job_id, options, outcome, save, spec, worker

WAIT = 10.0
NUMBERS = st.integers(1, 8)
WORKERS = st.sampled_from(["w", "v"])
KINDS = {
    "completed": OutcomeKind.COMPLETED,
    "errored": OutcomeKind.ERRORED,
    "final": OutcomeKind.ERRORED,
    "snoozed": OutcomeKind.SNOOZED,
    "cancelled": OutcomeKind.CANCELLED,
    "released": OutcomeKind.RELEASED,
    "waiting": OutcomeKind.WAITING,
}

WORKFLOWS = ("", "flow:1")
EXPIRES = (0.0, 0.0, 4.0, 25.0)
MODES: tuple[OnConflict, ...] = ("return_existing", "drop", "replace", "raise")
CLAIMS = (*[None] * 8, *[Claim("key", within, mode) for mode in MODES for within in (0.0, 20.0)])
POLICIES: tuple[OnParentFailure, ...] = ("cancel", "continue", "wait", "only")
CHANGES: tuple[dict[str, Any], ...] = (
    {}, {"queue": "r"}, {"queue": "q"}, {"priority": 1}, {"priority": 3, "max_attempts": 2},
    {"queue": "r", "priority": 2},
)  # fmt: skip


class QueueAgainstModel(RuleBasedStateMachine):
    """Both are asked the same; what they say is compared after every command."""

    @initialize()
    def begin(self) -> None:
        self.ledger = Ledger(Bounds(retention=Retention(failed=KEPT_FAILED)))
        self.model = Model()
        self.grants: list[tuple[str, Grant]] = []
        self.checkpoints: list[tuple[int, Any, Any]] = []
        self.snapshot: tuple[int, dict[str, bytes]] | None = None

    # --- commands ---

    @rule(
        numbers=st.lists(NUMBERS, min_size=1, max_size=3),
        priority=st.integers(1, 2),
        max_attempts=st.integers(1, 2),
        delay=st.sampled_from([0.0, 0.0, 0.0, 5.0, 25.0]),
        parents=st.frozensets(NUMBERS, max_size=2),
        conditions=st.builds(
            Conditions,
            expires=st.sampled_from(EXPIRES),
            unique=st.sampled_from(CLAIMS),
            on_parent_failure=st.sampled_from(POLICIES),
            workflow=st.sampled_from(WORKFLOWS),
        ),
    )
    def enqueue(
        self,
        numbers: list[int],
        priority: int,
        max_attempts: int,
        delay: float,
        parents: frozenset[int],
        conditions: Conditions,
    ) -> None:
        parents = frozenset(p for p in parents if p in self.model.jobs)
        due = self.ledger.now + delay if delay else 0.0
        shared = options(
            priority=priority,
            max_attempts=max_attempts,
            backoff=Backoff(kind="fixed", base=WAIT, jitter=False),
        )
        if not parents and conditions.on_parent_failure == "only":
            conditions = msgspec.structs.replace(conditions, on_parent_failure="cancel")
        unique, expires = conditions.unique, conditions.expires
        if unique and parents:
            numbers = numbers[:1]  # what two of them mean to each other is tested elsewhere
        until = self.ledger.now + expires if expires else 0.0
        conditions = msgspec.structs.replace(conditions, expires=until)
        jobs = [spec(n, due=due, parents=sorted(parents)) for n in numbers]
        jobs = [msgspec.structs.replace(job, conditions=conditions) for job in jobs]
        wish = Plain(0, priority, max_attempts, due=due, parents=parents, expires=until)
        wish.policy = conditions.on_parent_failure
        wish.claims, wish.within = unique is not None, unique.within if unique else 0.0
        try:
            self.ledger.enqueue(jobs, shared)
            accepted = True
        except DuplicateJob:
            accepted = False
        claim = unique.on_conflict if unique else None
        assert self.model.enqueue(numbers, wish, claim, self.ledger.now) == accepted

    @rule(name=WORKERS, want=st.integers(1, 4))
    def lease(self, name: str, want: int) -> None:
        grants = self.ledger.lease(want, worker(name))
        given = self.model.lease(name, want, self.ledger.now)
        assert [(number_of(grant.id), grant.delivery) for grant in grants] == given
        self.grants += [(name, grant) for grant in grants]

    @rule(
        pick=st.integers(0, 9),
        kind=st.sampled_from(sorted(KINDS)),
        awaited=st.frozensets(NUMBERS, max_size=2),
    )
    @precondition(lambda self: self.grants)
    def settle(self, pick: int, kind: str, awaited: frozenset[int]) -> None:
        """One of the latest leases, stale or not."""
        name, grant = self.grants[-1 - pick % len(self.grants)]
        now = self.ledger.now
        due = now + 7.0 if kind == "snoozed" else 0.0
        awaited = frozenset(one for one in awaited if one in self.model.jobs)
        ids = tuple(map(job_id, awaited)) if kind == "waiting" else ()
        made = outcome(grant, KINDS[kind], final=kind == "final", due=due, awaited=ids)
        self.ledger.settle(made, by=name)
        token = (name, number_of(grant.id), grant.delivery)
        self.model.settle(*token, kind, now, due or now + WAIT, awaited)

    @rule(pick=st.integers(0, 9), number=st.integers(1, 3))
    @precondition(lambda self: self.grants)
    def checkpoint(self, pick: int, number: int) -> None:
        """One of the latest leases, stale or not; in any order."""
        name, grant = self.grants[-1 - pick % len(self.grants)]
        self.ledger.checkpoint(save(grant, number), by=name)
        self.model.checkpoint(name, number_of(grant.id), grant.delivery, number)

    @rule(name=WORKERS, number=NUMBERS)
    def start(self, name: str, number: int) -> None:
        self.ledger.do(commands.Start(name, [job_id(number)]))
        self.model.start(name, number)

    @rule(name=WORKERS, number=NUMBERS)
    def release(self, name: str, number: int) -> None:
        self.ledger.do(commands.Release(name, [job_id(number)]))
        self.model.release(name, number, self.ledger.now)

    @rule(name=WORKERS)
    def lose(self, name: str) -> None:
        self.ledger.lose(name)
        self.model.lose(name, self.ledger.now)

    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        self.ledger.cancel(number)
        self.model.cancel(number, self.ledger.now)

    @rule(number=NUMBERS, changes=st.sampled_from(CHANGES))
    def redrive(self, number: int, changes: dict[str, Any]) -> None:
        self.ledger.redrive(number, **changes)
        self.model.redrive(number, changes, self.ledger.now)

    @rule(number=NUMBERS)
    def purge(self, number: int) -> None:
        self.model.purge([number_of(one) for one in self.ledger.purge(number)])

    @rule()
    def retire(self) -> None:
        dead = {number_of(one) for one, job in self.ledger.state.jobs.items() if _is_dead(job)}
        count = self.ledger.do(commands.Retire())
        gone = {number for number in dead if job_id(number) not in self.ledger.state.jobs}
        assert gone == self.model.retire(self.ledger.now)
        assert count == len(gone)

    @rule(seconds=st.sampled_from([1.0, 6.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        self.ledger.wait(seconds)
        self.model.pass_time(self.ledger.now)

    # --- folds and crashes ---

    @rule()
    def mark(self) -> None:
        self.ledger.record([Marked(len(self.ledger.commits) + 1)])

    @rule()
    @precondition(lambda self: self.ledger.state.marked)
    def fold(self) -> None:
        """The newest mark becomes the snapshot; the queue hears of that later, or never."""
        commit = max(self.ledger.state.marked)
        state = self._recover(commit)
        apply(state, Folded(commit, 0.0))
        self.snapshot = (commit, write_snapshot(state))

    @rule()
    @precondition(lambda self: self.snapshot)
    def hear_of_the_fold(self) -> None:
        assert self.snapshot is not None
        self.ledger.do(commands.Fold(self.snapshot[0]))

    @rule()
    def crash(self) -> None:
        """The queue goes on with what snapshot and journal give."""
        state = self._recover(len(self.ledger.commits))
        live = self.ledger.replayed()
        if self.snapshot is not None:
            apply(live, Folded(self.snapshot[0], 0.0))
        assert facts(state) == facts(live)
        assert meaning(state) == meaning(live)
        self.ledger.state = state

    @rule()
    def remember(self) -> None:
        """What a replay up to here must give."""
        self.checkpoints.append(
            (len(self.ledger.commits), self.model.states(), dict(self.model.counts()))
        )

    def _recover(self, through: int) -> State:
        if self.snapshot is None:
            return replayed(self.ledger.commits[:through])
        commit, files = self.snapshot
        state = read_snapshot(files)
        for payload in self.ledger.commits[commit:through]:
            for event in decode(payload):
                apply(state, event)
        return state

    # --- what must be so at every moment ---

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "ledger"):
            return
        state = self.ledger.state
        for number, job in self.model.jobs.items():
            found = state.state_of(job_id(number))
            assert found is not None
            assert found.value == job.state, number
        assert set(state.jobs) <= {job_id(n) for n in self.model.jobs}
        assert self.ledger.order(info=worker("any")) == self.model.ready()
        _compare_live(state, self.model)

    @invariant()
    def the_counts_add_up(self) -> None:
        if not hasattr(self, "ledger"):
            return
        state = self.ledger.state
        count_up(state)
        assert _counts(state) == self.model.counts()

    def teardown(self) -> None:
        """A replay of each prefix of the journal gives what was live then."""
        if not hasattr(self, "ledger"):
            return
        for commits, states, counts in self.checkpoints:
            state = replayed(self.ledger.commits[:commits])
            assert _counts(state) == counts
            for number, (name, *_) in states.items():
                found = state.state_of(job_id(number))
                assert found is not None
                assert found.value == name


def _is_dead(job: Job) -> bool:
    return job.state is JobState.FAILED


def _compare_live(state: State, model: Model) -> None:
    for one, job in state.jobs.items():
        plain = model.jobs[number_of(one)]
        told = (
            job.delivery, job.attempts, job.losses, job.running, job.cancelling, job.suspect,
            job.checkpoint and (job.checkpoint.delivery, job.checkpoint.number),
        )  # fmt: skip
        assert told == (
            plain.delivery,
            plain.attempts,
            plain.losses,
            plain.running and plain.state == "processing",
            plain.cancelling,
            plain.suspect,
            plain.saved,
        )
        named = job.options
        wished = (plain.queue, plain.priority, plain.max_attempts)
        assert (named.queue, named.priority, named.max_attempts) == wished
        if job.state is JobState.SCHEDULED:
            assert getattr(job.phase, "due", None) == plain.due
        assert isinstance(job.phase, Finished) == (plain.state == "failed")
    assert not any(getattr(ended, "checkpoint", None) for ended in state.settled.values())


def _counts(state: State) -> dict[str, int]:
    found: dict[str, int] = {}
    for totals in state.totals.values():
        for name, count in totals.counts.items():
            if count:
                found[name.value] = found.get(name.value, 0) + count
    return found


TestQueueAgainstModel = QueueAgainstModel.TestCase


# The machine above shrinks what it finds. The same commands with weights go deeper in less time.

WEIGHTS = {
    "enqueue": 6, "lease": 6, "settle": 10, "checkpoint": 4, "pass_time": 4, "start": 3,
    "release": 1, "lose": 2, "cancel": 1, "redrive": 2, "purge": 1, "mark": 1, "fold": 1,
    "hear_of_the_fold": 1, "crash": 1, "remember": 1, "retire": 1,
}  # fmt: skip
SEQUENCES = 25 if os.environ.get("TASKQUEUE_TEST_TIER", "quick") == "quick" else 2_000
STEPS = 120


def _arguments(name: str, chance: Random) -> dict[str, Any]:
    number, who = chance.randint(1, 14), chance.choice("wv")
    match name:
        case "enqueue":
            return {
                "numbers": chance.sample(range(1, 15), chance.randint(1, 3)),
                "priority": chance.randint(1, 2),
                "max_attempts": chance.randint(1, 3),
                "delay": chance.choice((0.0, 0.0, 0.0, 5.0, 25.0)),
                "parents": frozenset(chance.sample(range(1, 15), chance.choice((0, 0, 1, 2)))),
                "conditions": Conditions(
                    expires=chance.choice(EXPIRES),
                    unique=chance.choice(CLAIMS),
                    on_parent_failure=chance.choice(POLICIES),
                    workflow=chance.choice(WORKFLOWS),
                ),
            }
        case "lease":
            return {"name": who, "want": chance.randint(1, 4)}
        case "settle":
            return {
                "pick": chance.randint(0, 5),
                "kind": chance.choice(sorted(KINDS)),
                "awaited": frozenset(chance.sample(range(1, 15), chance.randint(0, 2))),
            }
        case "checkpoint":
            return {"pick": chance.randint(0, 5), "number": chance.randint(1, 3)}
        case "start" | "release":
            return {"name": who, "number": number}
        case "lose":
            return {"name": who}
        case "cancel" | "purge":
            return {"number": number}
        case "redrive":
            return {"number": number, "changes": chance.choice(CHANGES)}
        case "pass_time":
            return {"seconds": chance.choice((1.0, 6.0, 30.0))}
        case _:
            return {}


@pytest.mark.parametrize("seed", range(0, SEQUENCES * 8, SEQUENCES))
def test_long_random_sequences(seed: int) -> None:
    for one in range(seed, seed + SEQUENCES):
        _play(one)


def _play(seed: int) -> None:
    chance = Random(seed)
    machine = QueueAgainstModel()
    machine.begin()
    impossible = {
        "settle": lambda: not machine.grants,
        "checkpoint": lambda: not machine.grants,
        "fold": lambda: not machine.ledger.state.marked,
        "hear_of_the_fold": lambda: machine.snapshot is None,
    }
    for name in chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=STEPS):
        if name not in impossible or not impossible[name]():
            getattr(machine, name)(**_arguments(name, chance))
            machine.both_say_the_same()
            machine.the_counts_add_up()
    machine.crash()
    machine.teardown()
