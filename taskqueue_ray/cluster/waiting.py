"""Jobs in a worker's hands that no executor has been given yet."""

from collections import deque
from collections.abc import Callable, Iterator

from taskqueue_ray.core.exchange import Grant
from taskqueue_ray.core.model import Options


class Ticket:
    """A leased job in hand. `expected` is its guessed run time, in seconds, once it is given out.

    `cancel_by` is when its executor is killed if it has not ended; 0.0 as long as nobody asked
    for it to be cancelled.
    """

    __slots__ = ("cancel_by", "expected", "grant", "options")

    def __init__(self, grant: Grant, options: Options) -> None:
        self.grant = grant
        self.options = options
        self.expected = 0.0
        self.cancel_by = 0.0


class Waiting:
    """Tickets by priority, the higher first, and inside a priority in the order they came."""

    def __init__(self) -> None:
        self._lines: dict[int, deque[Ticket]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Ticket]:
        for priority in sorted(self._lines, reverse=True):
            yield from self._lines[priority]

    def add(self, ticket: Ticket) -> None:
        """Put a ticket behind those of its priority."""
        self._line(ticket).append(ticket)
        self._count += 1

    def put_back(self, tickets: list[Ticket]) -> None:
        """Put tickets, in their order, before those of their priorities."""
        for ticket in reversed(tickets):
            self._line(ticket).appendleft(ticket)
        self._count += len(tickets)

    def take(self) -> Ticket:
        """The next ticket. Raises `LookupError` when there is none."""
        priority = max(self._lines) if len(self._lines) > 1 else next(iter(self._lines), None)
        if priority is None:
            raise LookupError("nothing waits")
        line = self._lines[priority]
        ticket = line.popleft()
        if not line:
            del self._lines[priority]
        self._count -= 1
        return ticket

    def take_alike(self, ticket: Ticket, count: int) -> list[Ticket]:
        """Up to `count` tickets of the type and priority of this one, wherever they stand."""
        priority, type_name = ticket.options.priority, ticket.options.type
        line = self._lines.get(priority)
        found: list[Ticket] = []
        if line is None:
            return found
        others: list[Ticket] = []
        while line and len(found) < count:
            one = line.popleft()
            (found if one.options.type == type_name else others).append(one)
        line.extendleft(reversed(others))
        if not line:
            del self._lines[priority]
        self._count -= len(found)
        return found

    def take_all(self) -> list[Ticket]:
        """Every ticket, in order; none is left."""
        tickets = list(self)
        self._lines.clear()
        self._count = 0
        return tickets

    def remove(self, unwanted: Callable[[Ticket], bool]) -> list[Ticket]:
        """Take out the tickets that `unwanted` says, wherever they stand."""
        removed = [ticket for ticket in self if unwanted(ticket)]
        if removed:
            gone = {id(ticket) for ticket in removed}
            for ticket in self.take_all():
                if id(ticket) not in gone:
                    self.add(ticket)
        return removed

    def _line(self, ticket: Ticket) -> deque[Ticket]:
        priority = ticket.options.priority
        line = self._lines.get(priority)
        if line is None:
            line = self._lines[priority] = deque()
        return line
