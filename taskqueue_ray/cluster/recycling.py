"""When an executor is worn and is replaced by a fresh one, between two of its jobs."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from taskqueue_ray.cluster.executor_slot import ExecutorSlot


class Growth(NamedTuple):
    """An executor that has grown by so many bytes, most of them with runs of this job type."""

    pid: int
    type: str
    size: int


LOOK = 0.25
"""Seconds between two looks at an executor's memory, at least."""


class Recycling:
    """The limits of one worker's executors; None is without limit. `memory` is in bytes, `max_age`
    in seconds.

    Memory counts as private and above what the executor had when it was forked, so what the
    application's modules take, which all executors share, is not charged to any.
    """

    def __init__(
        self,
        max_jobs: int | None = None,
        memory: int | None = None,
        max_age: float | None = None,
    ) -> None:
        self._max_jobs = max_jobs
        self._memory = memory
        self._max_age = max_age
        self._looked: dict[int, tuple[float, int]] = {}
        self._grown: list[Growth] = []

    def left(self, slot: "ExecutorSlot") -> int:
        """How many more jobs the executor may be given."""
        if self._max_jobs is None:
            return _MANY
        return max(0, self._max_jobs - slot.finished - len(slot.held))

    def is_worn(self, slot: "ExecutorSlot", now: float) -> bool:
        """Whether the executor is to be replaced; asked now and then."""
        if not slot.worn:
            slot.worn = self._had_all(slot) or self._is_old(slot, now) or self._has_grown(slot, now)
        if slot.worn:
            self._looked.pop(slot.pid, None)
        return slot.worn

    def _had_all(self, slot: "ExecutorSlot") -> bool:
        return self._max_jobs is not None and slot.finished >= self._max_jobs

    def take_grown(self) -> "list[Growth]":
        """What grew too large since this was last asked."""
        grown, self._grown = self._grown, []
        return grown

    def _is_old(self, slot: "ExecutorSlot", now: float) -> bool:
        if self._max_age is None or not slot.pid:
            return False
        slot.born_at = slot.born_at or now
        return now - slot.born_at >= self._max_age

    def _has_grown(self, slot: "ExecutorSlot", now: float) -> bool:
        if self._memory is None:
            return False
        at, finished = self._looked.get(slot.pid, (-LOOK, 0))
        # Reading it costs some 0.1 ms: not after each short job, and not while there is none.
        if now - at < LOOK or finished == slot.finished:
            return False
        self._looked[slot.pid] = (now, slot.finished)
        grown = private_memory(slot.pid) - slot.born_with
        slot.charge(grown)
        if grown <= self._memory:
            return False
        self._grown.append(Growth(slot.pid, slot.hungriest(), grown))
        return True


NEVER = Recycling()
_MANY = 1 << 30


def private_memory(pid: int) -> int:
    """The bytes that only this process has; 0 when it has gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
