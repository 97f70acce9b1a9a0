"""Pauses and concurrency keys under random commands and recoveries, against a rule on a page."""

from random import Random

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.exchange import Grant, OutcomeKind
from taskqueue_ray.core.retry import Backoff
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import Ledger, count_up, facts, meaning
from tests.records import job_id, options, outcome, spec
from tests.standing import leasable

SEEDS, STEPS = 150, 100
RETRY = Backoff(kind="fixed", base=5.0, jitter=False)
SHARED = [
    options(queue=queue, type=kind, tags=tags, priority=priority, backoff=RETRY, max_attempts=9)
    for queue in ("q", "other")
    for kind, tags in (("a", ()), ("b", ("x",)))
    for priority in (1, 5)
]
PAUSES = (("queue", "other"), ("type", "b"), ("tag", "x"), ("type", "a"))
KINDS = (OutcomeKind.COMPLETED, OutcomeKind.ERRORED, OutcomeKind.RELEASED, OutcomeKind.SNOOZED)


class Play:
    """One random sequence."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.ledger = Ledger()
        self.grants: list[Grant] = []
        self.number = 0

    def step(self) -> None:
        often = (self.enqueue, self.lease, self.end)
        rarely = (self.cancel, self.pause, self.resume, self.wait, self.recover)
        self.chance.choice((*often, *often, *rarely))()
        state = self.ledger.state
        picked = state.ready.pick((), lambda lane: True, 1000)
        assert [job.id for job in picked] == [job.id for job in leasable(state)]
        count_up(state)

    def enqueue(self) -> None:
        jobs = []
        for _ in range(self.chance.choice((1, 1, 3))):
            self.number += 1
            key = self.chance.choice(("", "", "k", "l"))
            due = self.ledger.now + 3 if self.chance.random() < 0.2 else 0.0
            option, ordered = self.chance.randrange(len(SHARED)), self.chance.random() < 0.5
            jobs.append(spec(self.number, option, due=due, concurrency_key=key, ordered=ordered))
        self.ledger.enqueue(jobs, *SHARED)

    def lease(self) -> None:
        self.grants += self.ledger.lease(self.chance.choice((1, 2, 5)))

    def end(self) -> None:
        if self.grants:
            grant = self.grants.pop(self.chance.randrange(len(self.grants)))
            kind = self.chance.choice(KINDS)
            due = self.ledger.now + 4 if kind is OutcomeKind.SNOOZED else 0.0
            self.ledger.settle(outcome(grant, kind, due=due))

    def cancel(self) -> None:
        if self.number:
            self.ledger.do(commands.Cancel([job_id(self.chance.randint(1, self.number))]))

    def pause(self) -> None:
        self.ledger.do(commands.Pause(*self.chance.choice(PAUSES)))

    def resume(self) -> None:
        self.ledger.do(commands.Resume(*self.chance.choice(PAUSES)))

    def wait(self) -> None:
        self.ledger.wait(self.chance.choice((1.0, 6.0)))

    def recover(self) -> None:
        """The queue goes on with what a replay gives, or a snapshot."""
        state = self.ledger.replayed()
        assert facts(state) == facts(self.ledger.state)
        if not state.unfolded and self.chance.random() < 0.5:
            state = read_snapshot(write_snapshot(state))
        assert meaning(state) == meaning(self.ledger.state)
        self.ledger.state = state


@pytest.mark.parametrize("seed", range(0, SEEDS, 15))
def test_only_what_may_run_stands_in_line(seed: int) -> None:
    for one in range(seed, seed + 15):
        play = Play(one)
        for _ in range(STEPS):
            play.step()
