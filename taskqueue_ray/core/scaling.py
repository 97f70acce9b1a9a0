"""How many workers of each shape a pool is to have. Pure: what is seen comes in, with the time.

By Little's law jobs that come at a rate and take a run time keep `rate * run time` executors busy;
what waits already is to be worked off within the target. As long as no run has ended its time is
not known: then the pool grows towards an executor for each job, twice as many at each look.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from taskqueue_ray.core.demand import Demand, Staff
from taskqueue_ray.core.pool import PLAIN, Pool, executors_of
from taskqueue_ray.core.shape import Shape

MEMORY = 20.0
"""Seconds over which the rate of arrivals is smoothed."""

FORGETS = 0.9
"""What is left of an earlier run time after one more run."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds before a worker that could not start is tried again: doubled each time, up to this."""

Condition = Literal["starting", "ready", "draining"]


class Member(NamedTuple):
    """A worker as it is now. `jobs` are in its hands. `impossible`: no node can hold it.

    `current` is False when it was started for a pool that has been changed since. A `barred` one
    gets no jobs, as its node is closed.
    """

    name: str
    shape: str
    condition: Condition
    jobs: int = 0
    impossible: bool = False
    current: bool = True
    barred: bool = False


class Plan(NamedTuple):
    """What to do now. `start` says how many of which shape; `retire` are idle workers, which are
    to end if they still are; `drain` are such that finish what they run and take nothing more.
    `move` are idle ones on closed nodes, which are to end if there is any open node.
    """

    start: list[tuple[Shape, int]]
    retire: list[str]
    drain: list[str]
    wanted: dict[str, int]
    move: Sequence[str] = ()


class Trouble(NamedTuple):
    """Workers of a shape do not start: why, how often in a row, and when one is tried again."""

    problem: str
    failures: int
    retry_at: float


class Pulse:
    """What was learnt of the jobs of one shape: how many come in a second, how long they run."""

    __slots__ = ("_at", "_ended", "_present", "_seconds", "arrivals", "run")

    def __init__(self) -> None:
        self.arrivals = 0.0
        self.run: float | None = None
        self._at: float | None = None
        self._present = self._ended = 0
        self._seconds = 0.0

    def feel(self, demand: Demand, held: int, now: float) -> None:
        """Take in one look. What came is what is there more, and what has ended meanwhile."""
        ended, seconds = demand.ended - self._ended, demand.seconds - self._seconds
        present = demand.waiting + held
        if self._at is not None and now > self._at and ended >= 0:
            elapsed = now - self._at
            came = max(0, present - self._present + ended)
            fresh = 1.0 - math.exp(-elapsed / MEMORY)
            self.arrivals += fresh * (came / elapsed - self.arrivals)
        if ended > 0 and seconds >= 0.0:
            mean, kept = seconds / ended, FORGETS**ended
            self.run = mean if self.run is None else kept * self.run + (1.0 - kept) * mean
        self._at, self._present = now, present
        self._ended, self._seconds = demand.ended, demand.seconds


class Surplus(NamedTuple):
    """Since when fewer workers would do, and the most that were wanted since."""

    since: float
    peak: int


class Scaler:
    """The policy of one pool, with what it remembers from look to look.

    A worker with a job in hand is never stopped: it is passed over, or, when its pool was changed
    or another shape has waited for too long, asked to take nothing more.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.troubles: dict[str, Trouble] = {}
        self._pulses: dict[str, Pulse] = {}
        self._surplus: dict[str, Surplus] = {}
        self._yielded_at = -math.inf

    def failed(self, shape: str, problem: str, now: float) -> Trouble:
        """A worker could not start: none of its shape is started for a while."""
        before = self.troubles.get(shape)
        failures = before.failures + 1 if before else 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 20))
        self.troubles[shape] = Trouble(problem, failures, now + pause)
        return self.troubles[shape]

    def came_up(self, shape: str) -> None:
        """A worker of that shape is at work."""
        self.troubles.pop(shape, None)

    def plan(self, demands: Sequence[Demand], members: Sequence[Member], now: float) -> Plan:
        """What to do, given what is there. Call it once for each look."""
        pool = self.pool
        outdated = [m.name for m in members if not m.current and m.condition != "draining"]
        if pool.suspended:
            staying = [m.name for m in members if m.current and m.condition != "draining"]
            return Plan([], [], outdated + staying, {})
        # Work goes on beside the barred: they finish what they run, over and above the maximum.
        there = [m for m in members if m.current and m.condition != "draining" and not m.barred]
        move = [m.name for m in members if _is_idle_and_barred(m)]
        offered = self._offered(demands)
        wanted = {
            name: self._settle(name, self._want(demand, _of(there, name), now), there, now)
            for name, demand in offered.items()
        }
        hopeful = [name for name in offered if self._may_start(name, there, now)]
        granted = self._share(wanted, hopeful, there, len(outdated))
        start = [
            (offered[name].shape, count)
            for name in hopeful
            if (count := self._startable(name, granted[name], there)) > 0
        ]
        starved = {name: offered[name] for name in hopeful if wanted[name] and not granted[name]}
        retire, drain = self._make_way(wanted, starved, there, now)
        return Plan(start, retire, outdated + drain, wanted, move)

    def staff(
        self, wanted: Mapping[str, int], members: Sequence[Member], now: float
    ) -> list[Staff]:
        """The same for people: a row for each shape that is wanted, there or in trouble."""
        names = dict.fromkeys((*wanted, *(m.shape for m in members), *self.troubles))
        rows = []
        for name in names:
            own = [m for m in members if m.shape == name]
            trouble = self.troubles.get(name, Trouble("", 0, now))
            row = Staff(
                name,
                wanted.get(name, 0),
                ready=sum(m.condition == "ready" for m in own),
                starting=sum(m.condition == "starting" for m in own),
                draining=sum(m.condition == "draining" for m in own),
                problem=trouble.problem,
                failures=trouble.failures,
                retry_in=max(0.0, trouble.retry_at - now),
                impossible=any(m.impossible for m in own),
            )
            rows.append(row)
        return rows

    # --- how many are wanted --------------------------------------------------------------------

    def _offered(self, demands: Sequence[Demand]) -> dict[str, Demand]:
        """The demand of each shape that this pool serves, the longest waiting first."""
        seen = {one.shape.text: one for one in demands}
        shapes = self.pool.shapes
        if shapes is None:
            seen.setdefault("", Demand(PLAIN))
        else:
            seen = {s.text: seen.get(s.text, Demand(s)) for s in shapes}
        return dict(sorted(seen.items(), key=lambda item: -item[1].oldest))

    def _want(self, demand: Demand, own: "list[Member]", now: float) -> int:
        """Workers for this demand, whatever others want."""
        pool, name = self.pool, demand.shape.text
        held = sum(m.jobs for m in own)
        pulse = self._pulses.setdefault(name, Pulse())
        pulse.feel(demand, held, now)
        jobs = demand.waiting + held
        each = executors_of(demand.shape, pool.concurrency)
        have = len(own)
        most = -(-jobs // each)
        if pulse.run is None:
            wanted = min(most, max(1, 2 * have))
        else:
            busy = pulse.arrivals * pulse.run + demand.waiting * pulse.run / pool.target_wait
            wanted = min(most, math.ceil(busy / each))
        late = demand.waiting and demand.oldest > pool.target_wait / 2
        if late and all(m.condition == "ready" for m in own):
            # Whatever the reason (a huge job before it, say), what is there is not enough.
            wanted = max(wanted, min(most, have + max(1, have // 2)))
        if jobs:
            wanted = max(1, wanted)
        return max(wanted, pool.minimum if name == self._first() else 0)

    def _first(self) -> str:
        shapes = self.pool.shapes
        return shapes[0].text if shapes else ""

    def _settle(self, name: str, wanted: int, there: Sequence[Member], now: float) -> int:
        """Shrink only to what was enough for the whole of the cool-down."""
        wanted = min(wanted, self.pool.maximum)
        have = len(_of(there, name))
        if wanted >= have:
            self._surplus.pop(name, None)
            return wanted
        known = self._surplus.get(name, Surplus(now, wanted))
        known = self._surplus[name] = Surplus(known.since, max(known.peak, wanted))
        if now - known.since < self.pool.cool_down:
            return have
        del self._surplus[name]
        return min(known.peak, have)

    # --- who gets the places --------------------------------------------------------------------

    def _share(
        self,
        wanted: Mapping[str, int],
        hopeful: Sequence[str],
        there: Sequence[Member],
        leaving: int,
    ) -> dict[str, int]:
        """How many each may have: those that are there, and one after the other of what is left.

        A worker that no node can hold takes no place.
        """
        granted = {name: _placed(there, name) for name in wanted}
        # Workers of shapes that nobody asks for any more stand in the way until they have left.
        others = sum(m.shape not in wanted and not m.impossible for m in there)
        left = self.pool.maximum - sum(granted.values()) - others - leaving
        while left > 0:
            hungry = [name for name in hopeful if granted[name] < wanted[name]]
            if not hungry:
                break
            for name in hungry[:left]:
                granted[name] += 1
            left -= min(left, len(hungry))
        return granted

    def _may_start(self, name: str, there: Sequence[Member], now: float) -> bool:
        """Whether it makes sense to start a worker of that shape, if there is a place."""
        own = _of(there, name)
        if any(m.impossible for m in own):
            return False
        trouble = self.troubles.get(name)
        if trouble is None:
            return True
        return now >= trouble.retry_at and all(m.condition != "starting" for m in own)

    def _startable(self, name: str, granted: int, there: Sequence[Member]) -> int:
        missing = granted - len(_of(there, name))
        return min(missing, 1) if name in self.troubles else missing

    def _make_way(
        self,
        wanted: Mapping[str, int],
        starved: Mapping[str, Demand],
        there: Sequence[Member],
        now: float,
    ) -> tuple[list[str], list[str]]:
        """Idle workers that nobody needs, and one that is to leave for the sake of others."""
        retire: list[str] = []
        for name in dict.fromkeys(m.shape for m in there):
            own = _of(there, name)
            # Of a shape for which there is no job all stay until the cool-down is over.
            keep = wanted[name] if name in wanted else self._settle(name, 0, own, now)
            idle = [m.name for m in own if not m.jobs]
            retire += idle[: max(0, len(own) - keep)]
        drain: list[str] = []
        if starved and not retire:
            retire = [m.name for m in there if not m.jobs and m.condition == "ready"][:1]
        patient = now - self._yielded_at < max(self.pool.cool_down, self.pool.target_wait)
        if starved and not retire and not patient:
            late = max(one.oldest for one in starved.values())
            if late > self.pool.target_wait / 2 and (yields := self._yields(there)):
                self._yielded_at = now
                drain = [yields]
        return retire, drain

    @staticmethod
    def _yields(there: Sequence[Member]) -> str | None:
        """Who leaves when all places are taken and a shape has none: idle before busy."""
        counts: dict[str, int] = {}
        for member in there:
            counts[member.shape] = counts.get(member.shape, 0) + (not member.impossible)
        able = [m for m in there if not m.impossible and m.condition == "ready"]
        return (
            min(able, key=lambda m: (m.jobs > 0, -counts[m.shape], m.jobs)).name if able else None
        )


def _of(members: Sequence[Member], shape: str) -> list[Member]:
    return [one for one in members if one.shape == shape]


def _is_idle_and_barred(member: Member) -> bool:
    return member.barred and member.current and not member.jobs and member.condition == "ready"


def _placed(members: Sequence[Member], shape: str) -> int:
    return sum(one.shape == shape and not one.impossible for one in members)
