"""How much of what waits an executor is given at a time."""

from taskqueue_ray.cluster.executor_slot import ExecutorSlot
from taskqueue_ray.cluster.pace import CHUNK, CHUNK_JOBS, Pace
from taskqueue_ray.cluster.waiting import Ticket, Waiting

CHUNK_BYTES = 1024 * 1024


def is_open(slot: ExecutorSlot, stuck_before: float) -> bool:
    """Whether to give the executor more: it has little left, and gets on with that.

    One that waits for company for a vectorized call is to do something else rather than wait.
    """
    if slot.killed_at or slot.recalling or slot.worn:
        return False
    if slot.kind == "async":
        return len(slot.held) < slot.slots
    if not slot.held or slot.gathers():
        return True
    return (
        slot.load < CHUNK / 2 and len(slot.held) < CHUNK_JOBS * 2 // 3 and slot.moved > stuck_before
    )


def portion(slot: ExecutorSlot, line: Waiting, share: int, pace: Pace, left: int) -> list[Ticket]:
    """Take from the line what the executor is to get now: at most `share` jobs, and `left`."""
    if slot.kind == "async":
        count = min(len(line), slot.slots - len(slot.held), left)
        return [line.take() for _ in range(count)]
    tickets: list[Ticket] = []
    load, size = 0.0 if slot.gathers() else slot.load, 0
    count = min(share, CHUNK_JOBS - len(slot.held), left)
    while len(tickets) < count and load < CHUNK and size < CHUNK_BYTES:
        ticket = line.take()
        ticket.expected = pace.of(ticket.options.type)
        load += ticket.expected
        size += len(ticket.grant.payload)
        tickets.append(ticket)
        if ticket.options.batch:
            for one in line.take_alike(ticket, min(ticket.options.batch - 1, left - len(tickets))):
                one.expected = ticket.expected
                load += one.expected
                tickets.append(one)
    return tickets


def top_up(slot: ExecutorSlot, line: Waiting, pace: Pace, left: int) -> list[Ticket]:
    """Take from the line what can join the call that the executor gathers jobs for."""
    first = slot.gathers()
    if first is None or slot.killed_at or slot.recalling or slot.worn:
        return []
    tickets = line.take_alike(first, min(first.options.batch - len(slot.held), left))
    for ticket in tickets:
        ticket.expected = pace.of(ticket.options.type)
    return tickets
