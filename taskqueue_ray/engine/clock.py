"""The queue's clock: wall time at opening plus monotonic time since.

Steps of the wall clock do not move it, and it never runs back behind the journal.
"""

import time
from collections.abc import Callable
from typing import Protocol

LEAP = 3600.0
"""Seconds by which a clock may be ahead of the journal before that is worth a warning."""


class Clock(Protocol):
    """Time in seconds since the Unix epoch."""

    def now(self) -> float:
        """The present time."""


class SteadyClock:
    """A clock that starts at the later of the wall clock and the last event of the journal."""

    def __init__(
        self,
        not_before: float = 0.0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        start = wall()
        self.jump = clock_jump(not_before, start)
        self._monotonic = monotonic
        self._offset = max(start, not_before) - monotonic()

    def now(self) -> float:
        return self._monotonic() + self._offset


def clock_jump(journal: float, wall: float) -> float:
    """How far the wall clock is off the journal's last time, when that is worth noting, else 0."""
    if not journal:
        return 0.0
    ahead = wall - journal
    return ahead if ahead < 0 or ahead > LEAP else 0.0
