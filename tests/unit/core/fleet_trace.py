"""A fleet on paper: jobs of a trace, workers that take time to start, and the scaler in between."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from taskqueue_ray.core.demand import Demand
from taskqueue_ray.core.pool import PLAIN, Pool
from taskqueue_ray.core.scaling import Member, Scaler

STEP = 0.25
LOOK = 1.0


@dataclass
class Hand:
    """A worker on paper."""

    name: str
    ready_at: float
    draining: bool = False
    ends: list[float] = field(default_factory=list)
    """When each of its jobs ends."""


@dataclass
class Trace:
    """Runs jobs, given as (time, seconds), with what the scaler provides."""

    pool: Pool
    jobs: list[tuple[float, float]]
    start_up: float = 2.0
    fails: Callable[[float], str] = lambda _now: ""
    now: float = 0.0
    hands: dict[str, Hand] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    counts: list[tuple[float, int, int]] = field(default_factory=list)
    """At each look: the time, the jobs that wait, and the workers there are."""
    starts: list[float] = field(default_factory=list)
    stopped_busy: int = 0
    _line: deque[tuple[float, float]] = field(default_factory=deque)
    _number: int = 0
    _ended: int = 0
    _seconds: float = 0.0

    def run(self, until: float) -> "Trace":
        scaler = Scaler(self.pool)
        coming = deque(sorted(self.jobs))
        look_at = self.now
        while self.now < until:
            while coming and coming[0][0] <= self.now:
                self._line.append(coming.popleft())
            self._work()
            if self.now >= look_at:
                self._look(scaler)
                look_at += LOOK
            self.now += STEP
        return self

    def _work(self) -> None:
        for hand in list(self.hands.values()):
            while hand.ends and hand.ends[0] <= self.now:
                heapq.heappop(hand.ends)
                self._ended += 1
            free = self.pool.concurrency - len(hand.ends)
            if hand.draining or hand.ready_at > self.now:
                free = 0
            while free and self._line:
                came, seconds = self._line.popleft()
                self.waits.append(self.now - came)
                heapq.heappush(hand.ends, self.now + seconds)
                self._seconds += seconds
                free -= 1
            if hand.draining and not hand.ends:
                del self.hands[hand.name]

    def _look(self, scaler: Scaler) -> None:
        for hand in list(self.hands.values()):
            if hand.ready_at <= self.now and (problem := self.fails(self.now)):
                scaler.failed("", problem, self.now)
                del self.hands[hand.name]
            elif hand.ready_at <= self.now:
                scaler.came_up("")
        oldest = self.now - self._line[0][0] if self._line else 0.0
        demand = Demand(PLAIN, len(self._line), oldest, self._ended, self._seconds)
        self.counts.append((self.now, len(self._line), len(self.hands)))
        plan = scaler.plan([demand], [self._member(h) for h in self.hands.values()], self.now)
        for name in plan.retire:
            self.stopped_busy += bool(self.hands[name].ends)
            del self.hands[name]
        for name in plan.drain:
            self.hands[name].draining = True
        for _, count in plan.start:
            for _ in range(count):
                self._number += 1
                name = f"w{self._number}"
                self.hands[name] = Hand(name, self.now + self.start_up)
                self.starts.append(self.now)

    def _member(self, hand: Hand) -> Member:
        if hand.draining:
            return Member(hand.name, "", "draining", len(hand.ends))
        ready = hand.ready_at <= self.now
        return Member(hand.name, "", "ready" if ready else "starting", len(hand.ends))

    @property
    def most(self) -> int:
        return max(workers for _, _, workers in self.counts)

    def turns(self) -> int:
        """How often the number of workers went down and then up again."""
        turns, falling, last = 0, False, 0
        for _, _, workers in self.counts:
            if workers < last:
                falling = True
            elif workers > last and falling:
                turns, falling = turns + 1, False
            last = workers
        return turns
