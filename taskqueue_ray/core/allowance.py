"""What one lease may take of jobs under limits: of each limit what is left, and what can start.

Jobs under limits are not leased ahead, since a lease counts as a start: a worker has at most as
many of them as it has executors.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from taskqueue_ray.core.meters import MeterId
from taskqueue_ray.core.model import Job, Options, Use
from taskqueue_ray.core.usage import Gate, Usage

if TYPE_CHECKING:
    from taskqueue_ray.core.gatelines import GateLine


class Allowance:
    """Counts down while jobs are picked; nothing else changes.

    `claims` are lines that wait for more than is left. `slots` is how many jobs the worker runs at
    a time, `held` what it has in hand.
    """

    __slots__ = ("_claims", "_left", "_rooms", "_slots", "_usage", "noted", "now")

    def __init__(
        self,
        usage: Usage,
        claims: Mapping[MeterId, "GateLine"],
        now: float,
        slots: int = 1 << 30,
        held: Iterable[Job] = (),
    ) -> None:
        self._usage = usage
        self._claims = claims
        self.now = now
        self._slots = slots
        self._left: dict[MeterId, list[int]] = {}
        self._rooms: dict[str, float] = {}
        self.noted: list[tuple[GateLine, Use]] = []
        """Lines that could not go, each with the limit that holds it."""
        for job in usage.gated(held):
            self._fill(job.options)

    def has_room(self, kind: str) -> bool:
        """Whether the worker could start another job of this kind of executor soon."""
        return kind != "process" or self._rooms.get(kind, 0.0) < self._slots

    def passes(self, line: "GateLine", *, note: bool = False) -> bool:
        """Whether one more job of a line may start. The first that may not for want of units has
        what is left: what is behind it must not take that, bit by bit, for ever.
        """
        for use in line.gate:
            claim = self._claims.get((use.name, use.key))
            if claim is not None and claim is not line and claim.rank < line.rank:
                if note:
                    self.noted.append((line, use))
                return False
            if not self._enough(use):
                if note and not self._usage.admits(use, self.now):
                    self.noted.append((line, use))
                self._of(use)[0] = 0
                return False
        return True

    def admitted(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Those that may go, counted as they are taken."""
        for job in jobs:
            gate = self._usage.gate_of(job)
            if not gate:
                yield job
            elif self.has_room(job.options.executor) and all(map(self._enough, gate)):
                self._count(job, gate)
                yield job

    def _count(self, job: Job, gate: Gate) -> None:
        for use in gate:
            left, units = self._of(use), self._usage.units(use)
            left[0] -= units
            left[1] -= units
        self._fill(job.options)

    def _enough(self, use: Use) -> bool:
        left, due = self._of(use)
        return left >= self._usage.units(use) and due > 0

    def _of(self, use: Use) -> list[int]:
        mid = (use.name, use.key)
        found = self._left.get(mid)
        if found is None:
            found = self._left[mid] = [*self._usage.left(*mid, self.now)]
        return found

    def _fill(self, options: Options) -> None:
        kind = options.executor
        self._rooms[kind] = self._rooms.get(kind, 0.0) + 1.0 / max(1, options.batch)
