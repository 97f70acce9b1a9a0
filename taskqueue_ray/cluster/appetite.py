"""How many jobs a worker likes to have in hand so that vectorized calls can be filled."""

from collections.abc import Iterable

from taskqueue_ray.cluster.executor_slot import ExecutorSlot
from taskqueue_ray.cluster.waiting import Ticket
from taskqueue_ray.core.model import Options


class Appetite:
    """Follows what comes. As long as no job of a batch has come, it costs a look at each grant."""

    def __init__(self) -> None:
        self.seen = False
        self._width = 0

    def note(self, options: Iterable[Options]) -> None:
        """Jobs of these options have come."""
        self._width = max((one.batch for one in options), default=0)
        self.seen = self.seen or self._width > 0

    def room(
        self, slots: Iterable[ExecutorSlot], line: Iterable[Ticket], concurrency: int, busy: int
    ) -> int:
        """How many jobs more or less are wanted than if each executor took one at a time.

        Jobs of batches are counted by themselves: twice what there is, as long as such jobs come,
        up to a call for each executor and another one for those that are not `busy` for long. An
        executor that has such a call takes nothing else meanwhile.
        """
        present, taken = _count(line), 0
        for slot in slots:
            count = _count(slot.held.values())
            present += count
            taken += count > 0
        target = min(self._width * (2 * concurrency - busy), max(1, 2 * present))
        return present - taken + max(0, target - present)


def _count(tickets: Iterable[Ticket]) -> int:
    return sum(1 for ticket in tickets if ticket.options.batch)
