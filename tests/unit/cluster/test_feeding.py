"""What executors are given of what waits, when calls take many jobs."""

from collections.abc import Callable
from typing import Any

from taskqueue_ray.cluster.appetite import Appetite
from taskqueue_ray.cluster.feeding import is_open, portion, top_up
from taskqueue_ray.cluster.pace import CHUNK, Pace, shared
from taskqueue_ray.cluster.waiting import Ticket, Waiting
from taskqueue_ray.core.exchange import Grant
from taskqueue_ray.core.model import JobId, Options

MANY = 1 << 30
PLAIN = Options(queue="q", type="plain")
EMBED = Options(queue="q", type="embed", batch=64)
_made = iter(range(1, MANY))


class Slot:
    """As much of an `ExecutorSlot` as feeding looks at."""

    def __init__(self, *held: Ticket, runs: int = 0) -> None:
        self.kind = "process"
        self.held = dict(enumerate(held))
        self.killed_at = self.moved = self.retired_at = 0.0
        self.recalling = self.worn = False
        self.load = sum(ticket.expected for ticket in held)
        self._runs = runs

    def gathers(self) -> Ticket | None:
        first = next(iter(self.held.values()), None)
        return first if first and first.options.batch and not self._runs else None


def _ticket(options: Options = EMBED, expected: float = 0.0) -> Ticket:
    ticket = Ticket(Grant(JobId(next(_made).to_bytes(16, "big")), 1, 1, 1, 0, b"", 1.0), options)
    ticket.expected = expected
    return ticket


def _tickets(count: int, options: Options = EMBED, expected: float = 0.0) -> list[Ticket]:
    return [_ticket(options, expected) for _ in range(count)]


def _line(*tickets: Ticket) -> Waiting:
    line = Waiting()
    for ticket in tickets:
        line.add(ticket)
    return line


def _given(line: Waiting, slot: Any, share: int = 1, left: int = MANY) -> list[Ticket]:
    return portion(slot, line, share, Pace(), left)


def test_a_portion_fills_a_call_whatever_the_share_and_the_load() -> None:
    line = _line(*_tickets(100))
    assert len(_given(line, Slot())) == 64
    assert len(line) == 36


def test_a_portion_of_plain_jobs_is_as_it_was() -> None:
    line = _line(*_tickets(100, PLAIN))
    assert len(_given(line, Slot(), share=50)) == 2, "two unknown ones are a chunk"
    assert len(_given(line, Slot(), share=1)) == 1


def test_company_is_found_behind_others_which_keep_their_order() -> None:
    one, two, three = _tickets(3)
    plain = _tickets(3, PLAIN)
    line = _line(one, plain[0], two, plain[1], three, plain[2])
    assert _given(line, Slot()) == [one, two, three]
    assert list(line) == plain
    assert len(line) == 3


def test_company_has_the_same_priority() -> None:
    urgent = _ticket(Options(queue="q", type="embed", batch=64, priority=9))
    line = _line(*_tickets(3), urgent)
    assert _given(line, Slot()) == [urgent]


def test_an_executor_gets_no_more_than_its_last_jobs() -> None:
    assert len(_given(_line(*_tickets(100)), Slot(), left=10)) == 10


def test_what_waits_for_company_is_topped_up_and_what_runs_is_not() -> None:
    line = _line(*_tickets(5), *_tickets(5, PLAIN))
    held = _tickets(61)
    busy: Any = Slot(*held, runs=61)
    waits: Any = Slot(*held)
    assert top_up(busy, line, Pace(), MANY) == []
    assert [one.options.batch for one in top_up(waits, line, Pace(), MANY)] == [64, 64, 64]
    assert top_up(waits, line, Pace(), 1) != []
    waits.recalling = True
    assert top_up(waits, line, Pace(), MANY) == []
    assert len(line) == 6


def test_other_work_goes_to_one_that_only_waits() -> None:
    slow = _tickets(2, EMBED, expected=CHUNK)
    waits: Any = Slot(*slow)
    busy: Any = Slot(*slow, runs=2)
    assert is_open(waits, stuck_before=1.0)
    assert not is_open(busy, stuck_before=-1.0)
    assert len(_given(_line(_ticket(PLAIN)), waits)) == 1


def _room(*slots: Any, waiting: int = 0, busy: int = 0, seen: Options = EMBED) -> int:
    appetite = Appetite()
    appetite.note([EMBED])
    appetite.note([seen])
    return appetite.room(slots, _line(*_tickets(waiting)), 2, busy)


def test_the_wish_for_jobs_of_batches_doubles_up_to_two_calls_for_each_executor() -> None:
    grows: list[Callable[[], int]] = [
        lambda: _room(Slot()),
        lambda: _room(Slot(*_tickets(12))),
        lambda: _room(Slot(*_tickets(64)), Slot(*_tickets(64))),
        lambda: _room(Slot(*_tickets(64)), Slot(*_tickets(64)), waiting=128),
    ]
    # Each is about the wish beyond `concurrency` less all that is in hand, which counts batches.
    present = [0, 12, 128, 256]
    taken = [0, 1, 2, 2]
    wanted = [room() - (now - used) for room, now, used in zip(grows, present, taken, strict=True)]
    assert wanted == [1, 12, 128, 0]


def test_nothing_more_is_wanted_behind_long_calls_or_when_no_more_come() -> None:
    slots = [Slot(*_tickets(64), runs=64), Slot(*_tickets(64), runs=64)]
    assert _room(*slots, busy=2) == 128 - 2
    assert _room(*slots, seen=PLAIN) == 128 - 2


def test_the_time_of_a_call_is_shared_by_its_jobs() -> None:
    runs = [("embed", 0.4)] * 4 + [("embed", 0.1), ("plain", 0.4)]
    assert shared(runs) == [("embed", 0.1)] * 5 + [("plain", 0.4)]
