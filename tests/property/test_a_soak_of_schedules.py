"""A thousand random schedules at a time over simulated days, against a reference that is naive.

The reference takes its times from the wall of each zone, watched minute by minute
(`tests.recurrences`), and goes through them one after another: it shares no code with the product.
`make soak` plays days for an hour; `TASKQUEUE_TEST_SOAK` is for how many seconds, and
`TASKQUEUE_TEST_SEED` with which the first days begin.
"""

import os
import time
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.events import Fired, Folded, Marked, decode
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.recurrence import understand
from taskqueue_ray.core.rules import Calendar, Cron, Every
from taskqueue_ray.core.schedule import CATCH_UPS
from taskqueue_ray.core.state import State
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import Ledger, meaning
from tests.recurrences import Minute, changes, due, watch
from tests.schedules import put, template

DAY = 86400
DAYS = 4
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca",
    "America/St_Johns", "Pacific/Chatham", "Asia/Kolkata",
)  # fmt: skip
FROM, TO = (round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2024, 2029))
LATE = 60.0
NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORDS = ("Monday", "Wednesday and Friday", "weekday", "weekend", "day", "other day")


def cron(chance: Random) -> str:
    """An expression of five fields that is due now and then."""

    def field(low: int, high: int, star: float) -> str:
        if chance.random() < star:
            return "*"
        first, second = sorted((chance.randint(low, high), chance.randint(low, high)))
        step = chance.randint(2, 20)
        return chance.choice(
            (f"{first}", f"{first}-{second}", f"{first}-{second}/{step}", f"*/{step}",
             f"{first},{second}", f"{first}/{step}")
        )  # fmt: skip

    weekday = chance.choice(("*", "*", chance.choice(NAMES), "1-5", "6,7", "*/2", "5#2", "0l"))
    day = chance.choice(("*", "*", "*", "*/3", "1-10,20-31", "l"))
    return f"{field(0, 59, 0.02)} {field(0, 23, 0.5)} {day} * {weekday}"


def phrase(chance: Random) -> str:
    """Words that mean a rule."""
    hour, minute = chance.randrange(24), chance.randrange(60)
    last = min(23, hour + chance.randrange(1, 9))
    return chance.choice((
        f"every {chance.choice(WORDS)} at {hour:02}:{minute:02}",
        f"every {chance.choice((5, 10, 15, 20, 30))} minutes between {hour:02}:00 and {last:02}:59",
        f"every {chance.randrange(1, 90)} minutes",
        f"every {chance.randrange(1, 40)} hours",
        f"on the last day of every month at {hour:02}:{minute:02}",
        f"every 2 weeks on {chance.choice(('Monday', 'Sunday'))} at {hour:02}:{minute:02}",
        f"hourly at :{minute:02}",
    ))  # fmt: skip


class Reference:
    """What is to be fired of one schedule."""

    def __init__(self, name: str, times: list[float], chance: Random, start: float) -> None:
        self.name, self.times, self.cursor = name, times, start
        self.overlap = chance.choice(("allow", "allow", "skip", "buffer_one"))
        self.catch_up = chance.choice(CATCH_UPS)
        self.window = chance.choice((30.0, 3600.0, 1e6))
        self.max_runs = chance.choice((0, 0, 0, 0, 3))
        self.live: set[JobId] = set()
        self.buffered: float | None = None
        self.free_since = 0.0
        self.fired = 0
        self.paused = False

    def look(self, now: float) -> Iterator[float]:
        """The times to be fired now; whoever takes one says which job it is before the next."""
        if self.paused or self._is_over():
            return
        if self.buffered is not None and not self.live and now >= self.free_since:
            at, self.buffered = self.buffered, None
            yield at
        for at in self._chosen(now):
            if self._is_over():
                return
            if self.overlap == "buffer_one" and self.live:
                self.buffered = self.buffered or at
            elif self.overlap == "allow" or not self.live:
                yield at

    def took(self, job: JobId) -> None:
        """A time was fired as that job."""
        self.live.add(job)
        self.fired += 1

    def pause(self, now: float) -> None:
        """Pause, or resume: nothing of what was due meanwhile is made up for."""
        self.paused = not self.paused
        self.buffered = None
        if not self.paused:
            self.cursor = max(self.cursor, now)

    def _is_over(self) -> bool:
        return bool(self.max_runs) and self.fired >= self.max_runs

    def _chosen(self, now: float) -> list[float]:
        passed = self.times[bisect_right(self.times, self.cursor) : bisect_right(self.times, now)]
        if not passed:
            return []
        self.cursor = passed[-1]
        patience = LATE if self.catch_up == "skip" else max(self.window, LATE)
        some = passed if self.catch_up == "all" else passed[-1:]
        return [at for at in some if at >= now - patience]


class Days:
    """Some days of a queue with many schedules."""

    def __init__(self, seed: int, schedules: int, days: float = DAYS) -> None:
        self.chance = chance = Random(seed)
        self.ledger = Ledger()
        begin = chance.randrange(FROM, TO)
        if chance.random() < 0.8:  # where the clock of one of the zones is about to change
            found = changes(chance.choice(ZONES[1:-1]), begin, begin + 366 * DAY)
            begin = chance.choice(found) - chance.randrange(2 * DAY)
        self.ledger.now = self.begin = begin + chance.random()
        self.end = begin + days * DAY
        watched = {zone: watch(zone, begin // 60 * 60, round(self.end) + 2 * DAY) for zone in ZONES}
        self.references: dict[str, Reference] = {}
        while len(self.references) < schedules:
            self._add(f"s{len(self.references)}", watched)
        self.fired = 0
        self._keep(self.ledger.state)

    def play(self) -> None:
        """From the first day to the last."""
        while self.ledger.now < self.end:
            self.ledger.now += self.chance.choice((20.0, 90.0, 600.0)) * self.chance.random()
            luck = self.chance.random()
            if luck < 0.02:
                self.ledger.now += self.chance.choice((700.0, 20_000.0))
            elif luck < 0.04:
                self.ledger.now -= self.chance.choice((5.0, 700.0))
            elif luck < 0.06:
                self._recover()
            self._compare()
            self._go_on()

    def _add(self, name: str, watched: dict[str, list[Minute]]) -> None:
        chance, now = self.chance, self.ledger.now
        zone = chance.choice(ZONES)
        text = cron(chance) if chance.random() < 0.6 else phrase(chance)
        model = Reference(name, [], chance, now)
        try:
            rule = understand(text, tz=zone, now=now).rule
            job = template(10_000 + len(self.references))
            self.ledger.do(put(
                name, rule, job=job, zone=zone, overlap=model.overlap, catch_up=model.catch_up,
                window=model.window, max_runs=model.max_runs,
            ))  # fmt: skip
        except TaskQueueError:
            return  # no month has such a day
        if isinstance(rule, Every):
            started = int(now * 1000) / 1000
            many = round((DAYS + 2) * DAY / rule.seconds)
            model.times = [started + nth * rule.seconds for nth in range(1, many + 1)]
        else:
            assert isinstance(rule, Cron | Calendar)
            model.times = [at for at in due(rule, watched[zone]) if at > now]
        self.references[name] = model

    def _compare(self) -> None:
        """What is fired now is what the reference says, in its order."""
        now = self.ledger.now
        fired: dict[str, list[Fired]] = {}
        while (event := self.ledger.do(commands.Fire())) is not None:
            if event.job:
                assert event.job in self.ledger.state.jobs
                fired.setdefault(event.schedule, []).append(event)
        for name, model in self.references.items():
            events = iter(fired.pop(name, ()))
            for at in model.look(now):
                event = next(events, None)
                assert event is not None, f"{self._said(name)}: {at} was not fired at {now}"
                assert event.due == pytest.approx(at, abs=0.002), self._said(name)
                model.took(event.job)
                self.fired += 1
            assert (left := next(events, None)) is None, f"{self._said(name)}: {left}"
        assert not fired

    def _go_on(self) -> None:
        """Runs end, and somebody pauses a schedule or resumes it."""
        ended: list[JobId] = []
        for model in self.references.values():
            if model.live and self.chance.random() < 0.1:
                ended += model.live
                model.live.clear()
                # By a clock that is set back before it, nothing of that has happened yet.
                model.free_since = max(self.ledger.now, self.ledger.state.at)
        if ended:
            self.ledger.do(commands.Cancel(ended))
            self.ledger.do(commands.Purge(ended))
        if self.chance.random() < 0.2:
            model = self.references[self.chance.choice(list(self.references))]
            if not self.ledger.state.schedules[model.name].ended_at:
                model.pause(self.ledger.now)
                revised = commands.ReviseSchedule(model.name, paused=model.paused)
                self.ledger.do(revised)

    def _recover(self) -> None:
        """The queue dies; its successor reads a snapshot and what came after that."""
        self.ledger.record([Marked(999), Folded(999, 0.0)])
        state = read_snapshot(self.base)
        for payload in self.ledger.commits:
            for event in decode(payload):
                apply(state, event)
        assert meaning(state) == meaning(self.ledger.state)
        self._keep(state)

    def _keep(self, state: State) -> None:
        self.base = write_snapshot(state)
        self.ledger.state = state
        self.ledger.commits.clear()

    def _said(self, name: str) -> str:
        return f"{name} {self.ledger.state.schedules[name].plan}"


def soak(seconds: float, seed: int) -> int:
    """Days after days, for at least so long; how many times were fired."""
    until, fired = time.monotonic() + seconds, 0
    while True:
        days = Days(seed, schedules=1_000)
        try:
            days.play()
        except AssertionError as error:
            error.add_note(f"TASKQUEUE_TEST_SEED={seed}")
            raise
        fired += days.fired
        print(f"seed {seed}: {days.fired:,} times were fired as the reference says", flush=True)
        if time.monotonic() >= until:
            return fired
        seed += 1


def test_a_few_hours_agree() -> None:
    days = Days(7, schedules=200, days=0.25)
    days.play()
    assert days.fired > 300


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_days_of_a_thousand_schedules_agree() -> None:
    seconds = float(os.environ.get("TASKQUEUE_TEST_SOAK") or 0)
    assert soak(seconds, int(os.environ.get("TASKQUEUE_TEST_SEED") or 1)) > 10_000
