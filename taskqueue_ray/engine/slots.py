"""The last hour in slots: of ten seconds for five minutes, of a minute before that."""

from collections import deque

from taskqueue_ray.engine.series import Series
from taskqueue_ray.engine.sketches import sketch

FINE = 10.0
COARSE = 60.0
FINE_KEPT = 30
"""Fine slots, of the last five minutes."""

KEPT = 60
"""Coarse slots, of the last hour."""

COUNTED = ("completed", "failed", "retried", "cancelled", "put_off", "lost")
"""How runs end."""


class Tick:
    """What happened to one series in one slot."""

    __slots__ = (
        "busy", "cancelled", "completed", "failed", "lost", "put_off", "ran", "retried", "waited",
    )  # fmt: skip

    def __init__(self) -> None:
        self.completed = self.failed = self.retried = self.cancelled = self.put_off = 0
        self.lost = 0
        self.busy = 0.0
        self.waited = sketch()
        self.ran = sketch()

    def merge(self, other: "Tick") -> None:
        """Take another one in."""
        self.busy += other.busy
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.waited.merge(other.waited)
        self.ran.merge(other.ran)


class Slot:
    """A stretch of time. `enqueued` is how many jobs each queue had ever got at its start."""

    __slots__ = ("capacity", "enqueued", "span", "start", "ticks")

    def __init__(self, start: float, span: float, enqueued: dict[str, int]) -> None:
        self.start = start
        self.span = span
        self.enqueued = enqueued
        self.capacity = 0.0
        """Executors that there were, times seconds."""
        self.ticks: dict[Series, Tick] = {}

    def tick(self, series: Series) -> Tick:
        """What is counted for a series."""
        found = self.ticks.get(series)
        if found is None:
            found = self.ticks[series] = Tick()
        return found

    def merge(self, later: "Slot") -> None:
        """Take in one that begins later."""
        self.capacity += later.capacity
        for series, tick in later.ticks.items():
            self.tick(series).merge(tick)


class Window:
    """The slots, the oldest first. There is always one."""

    def __init__(self, now: float, enqueued: dict[str, int]) -> None:
        self._old: deque[Slot] = deque()
        self._fine: deque[Slot] = deque([Slot(now, FINE, enqueued)])

    @property
    def newest(self) -> Slot:
        """The one that is being filled."""
        return self._fine[-1]

    def roll(self, now: float, enqueued: dict[str, int]) -> Slot:
        """Begin a new slot. A stretch in which nothing was asked or done may have none."""
        newest = self._fine[-1]
        start = newest.start + FINE * ((now - newest.start) // FINE)
        self._fine.append(Slot(start, FINE, enqueued))
        while self._fine[0].start <= start - FINE * FINE_KEPT:
            self._age(self._fine.popleft())
        while self._old and self._old[0].start + COARSE <= start - COARSE * KEPT:
            self._old.popleft()
        return self._fine[-1]

    def _age(self, slot: Slot) -> None:
        if self._old and slot.start < self._old[-1].start + COARSE:
            self._old[-1].merge(slot)
        else:
            slot.span = COARSE
            self._old.append(slot)

    def since(self, start: float) -> list[Slot]:
        """The slots that are not over before `start`; at least the newest."""
        found = [s for s in (*self._old, *self._fine) if s.start + s.span > start]
        return found or [self.newest]

    def spread(self, series: Series, began: float, ended: float) -> None:
        """Count the seconds of a run in the slots in which they were."""
        for slots in (self._fine, self._old):
            for slot in reversed(slots):
                until = min(ended, slot.start + slot.span)
                if slot is self._fine[-1]:
                    until = ended
                if until > (since := max(began, slot.start)):
                    slot.tick(series).busy += until - since
                if slot.start <= began:
                    return
