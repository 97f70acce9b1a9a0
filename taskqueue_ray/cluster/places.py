"""Where jobs in Ray wait and run: a place for each kind of executor and shape, and its seats."""

from dataclasses import dataclass, field

from taskqueue_ray.cluster.executor_slot import ExecutorSlot
from taskqueue_ray.cluster.waiting import Waiting
from taskqueue_ray.core.model import ExecutorKind
from taskqueue_ray.core.shape import Shape

PATIENCE = 2.0
"""Seconds after which an executor that has not come is taken to wait for resources."""


@dataclass(slots=True)
class Seat:
    """An executor that was asked for at `asked`. `far`: it is on another machine."""

    slot: ExecutorSlot
    token: bytes
    asked: float
    here: bool = False
    far: bool = False

    def is_stuck(self, now: float) -> bool:
        """Whether Ray has nowhere to put it, as it seems."""
        return not self.here and now - self.asked > PATIENCE

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do and stays for what may come."""
        return self.here and not self.slot.held and self.slot.stays


@dataclass(slots=True)
class Place:
    """The jobs of one kind and shape that wait here, and the executors for them."""

    kind: ExecutorKind
    shape: Shape
    waiting: Waiting = field(default_factory=Waiting)
    seats: dict[int, Seat] = field(default_factory=dict)

    def is_full(self, now: float) -> bool:
        """Whether what waits here waits for resources of the cluster."""
        return any(seat.is_stuck(now) for seat in self.seats.values())

    def coming(self) -> list[Seat]:
        """Those that were asked for and have not come."""
        return [seat for seat in self.seats.values() if not seat.here and seat.slot.stays]

    def idle(self) -> list[Seat]:
        """Those without a job."""
        return [seat for seat in self.seats.values() if seat.is_idle]

    def count(self) -> int:
        """The jobs in hand."""
        return len(self.waiting) + sum(len(seat.slot.held) for seat in self.seats.values())
