"""Simulated time: what is to happen, in order, and a clock that moves only from one to the next."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from tests.records import START

Deed = Callable[[], None]


class Agenda:
    """The one loop of a simulation. Deeds of the same time happen in the order of their entry."""

    def __init__(self) -> None:
        self.now = START
        self.steps = 0
        self._entries: list[tuple[float, int, Deed]] = []
        self._order = count()

    def later(self, delay: float, deed: Deed) -> None:
        heappush(self._entries, (self.now + delay, next(self._order), deed))

    def every(self, period: float, deed: Deed, goes_on: Callable[[], bool]) -> None:
        """Repeat a deed for as long as it is wanted."""

        def again() -> None:
            if goes_on():
                deed()
                self.later(period, again)

        self.later(period, again)

    def step(self) -> bool:
        """Do what comes next; False when there is nothing."""
        if not self._entries:
            return False
        at, _, deed = heappop(self._entries)
        self.now = max(self.now, at)
        self.steps += 1
        deed()
        return True

    def leap(self, seconds: float) -> None:
        """Nobody does anything for so long; what was due meanwhile comes late."""
        self.now += seconds
