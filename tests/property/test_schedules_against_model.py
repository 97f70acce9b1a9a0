"""Schedules under clock steps, crashes and two schedulers, against a rule on a page.

The clock is stepped by hand, forth and back; the queue dies and recovers from journal or snapshot.
"""

import os
from random import Random

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.events import Folded, Marked
from taskqueue_ray.core.recurrence import next_after
from taskqueue_ray.core.rules import Calendar, Cron, Every, Rule
from taskqueue_ray.core.schedule import CATCH_UPS, CatchUp
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import Ledger, facts, meaning, replayed
from tests.schedules import put

STEPS = 60
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
RULES: tuple[Rule, ...] = (
    Every(7.0), Every(90.0), Every(3600.0), Cron("* * * * *"), Cron("*/10 2-4 * * *"),
    Cron("30 2 * * *"), Cron("0 0 1 * *"), Cron("* * * * * */20"),
    Calendar((9 * 3600,), month_days=(-1,)),
)  # fmt: skip
LATE = 60.0


class Model:
    """What is to be fired, found by looking at each time one after another."""

    def __init__(self, rule: Rule, zone: str, mode: CatchUp, window: float, start: float) -> None:
        self.rule, self.zone, self.mode, self.window = rule, zone, mode, window
        self.cursor = start
        self.fired: list[float] = []

    def look(self, now: float) -> None:
        passed: list[float] = []
        due = next_after(self.rule, self.zone, self.cursor)
        while due is not None and due <= now:
            passed.append(due)
            due = next_after(self.rule, self.zone, due)
        if not passed:
            return
        self.cursor = passed[-1]
        patience = LATE if self.mode == "skip" else max(self.window, LATE)
        some = passed if self.mode == "all" else passed[-1:]
        self.fired += [one for one in some if one >= now - patience]


class Play:
    """One random sequence."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = Random(seed)
        self.ledger = Ledger()
        self.ledger.now += chance.choice((0.0, 86400.0 * 73, 86400.0 * 287)) + chance.random()
        rule, zone = chance.choice(RULES), chance.choice(ZONES)
        mode, window = chance.choice(CATCH_UPS), chance.choice((30.0, 3600.0, 86400.0))
        self.ledger.do(put(rule=rule, zone=zone, catch_up=mode, window=window, overlap="allow"))
        made = self.ledger.state.schedules["minutely"]
        self.model = Model(made.rule, zone, mode, window, made.cursor)

    def step(self) -> None:
        chance = self.chance
        self.ledger.now += chance.choice((1.0, 5.0, 61.0, 599.0, 4000.0)) * chance.random()
        luck = chance.random()
        if luck < 0.05:
            self.ledger.now -= chance.choice((3.0, 700.0, 10_000.0))
        elif luck < 0.10:
            self.ledger.now += chance.choice((600.0, 20_000.0))
        elif luck < 0.2:
            self.recover()
        self.fire()
        schedule = self.ledger.state.schedules["minutely"]
        dues = sorted(
            job.fired.due for job in self.ledger.state.jobs.values() if job.fired is not None
        )
        assert dues == sorted(self.model.fired)
        assert schedule.fired == len(dues)
        assert not schedule.due or schedule.due > schedule.cursor

    def fire(self) -> None:
        """One scheduler asks, or two at once, and one of them dies before it is done."""
        for _ in range(self.chance.choice((1, 2))):
            while self.ledger.do(commands.Fire()) is not None:
                pass
        self.model.look(self.ledger.now)

    def recover(self) -> None:
        """The queue dies, and its successor reads the journal, or a snapshot of it."""
        state = replayed(self.ledger.commits)
        assert facts(state) == facts(self.ledger.state)
        assert meaning(state) == meaning(self.ledger.state)
        if self.chance.random() < 0.5:
            apply(state, Marked(999))
            apply(state, Folded(999, 0.0))
            again = read_snapshot(write_snapshot(state))
            assert meaning(again) == meaning(state)


def play(seeds: range) -> None:
    for seed in seeds:
        made = Play(seed)
        for step in range(STEPS):
            try:
                made.step()
            except AssertionError as error:
                error.add_note(f"seed {seed}, step {step}: {made.model.rule} {made.model.mode}")
                raise


def test_a_short_soak_agrees_with_the_model() -> None:
    play(range(60))


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_a_long_soak_agrees_with_the_model() -> None:
    """A thousand random schedules; more of them in the tiers that have time."""
    play(range(1_000 if os.environ.get("TASKQUEUE_TEST_TIER") is None else 10_000))


def test_the_plays_are_worth_something() -> None:
    """Times are fired, and times are missed."""
    plays = [Play(seed) for seed in range(8)]
    for made in plays:
        for _ in range(STEPS):
            made.step()
    assert sum(len(made.model.fired) for made in plays) > 50
    assert sum(made.ledger.state.schedules["minutely"].missed for made in plays) > 50
