"""Dead letters whose term is over are purged; the rest stays."""

import pytest

from taskqueue_ray.core import commands, upkeep
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.events import Purged, decode
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.retention import KEEP, Retention
from tests.ledger import Ledger, count_up, facts
from tests.records import job_id, options, spec, worker

TERM = 100.0


def _ledger(term: float | None = TERM) -> Ledger:
    return Ledger(Bounds(retention=KEEP if term is None else Retention(failed=term)))


def _fail(ledger: Ledger, *numbers: int, queue: str = "q") -> None:
    ledger.enqueue([spec(n) for n in numbers], options(queue=queue, max_attempts=1))
    for grant in ledger.lease(len(numbers)):
        ledger.end(grant, OutcomeKind.ERRORED)


def _retire(ledger: Ledger) -> list[JobId]:
    """The ids of those that are purged, in order."""
    before = len(ledger.commits)
    count = ledger.do(commands.Retire())
    events = [event for raw in ledger.commits[before:] for event in decode(raw)]
    assert all(isinstance(event, Purged) for event in events)
    ids = [one for event in events if isinstance(event, Purged) for one in event.ids]
    assert count == len(ids)
    again = ledger.replayed()
    assert facts(again) == facts(ledger.state)
    count_up(again)
    return ids


def test_those_go_whose_term_is_over_the_oldest_first() -> None:
    ledger = _ledger()
    _fail(ledger, 2)
    ledger.now += 1
    _fail(ledger, 1)
    ledger.now += TERM - 1.5
    assert _retire(ledger) == []
    ledger.now += 0.5
    assert _retire(ledger) == [job_id(2)]
    _fail(ledger, 3)
    ledger.now += TERM
    assert _retire(ledger) == [job_id(1), job_id(3)]
    assert ledger.state.jobs == {}
    assert ledger.state.totals["q"].counts[JobState.FAILED] == 0


def test_without_a_term_they_stay_for_ever() -> None:
    ledger = _ledger(None)
    _fail(ledger, 1)
    ledger.now += 1e9
    assert _retire(ledger) == []


def test_a_queue_may_have_a_term_of_its_own() -> None:
    ledger = _ledger()
    _fail(ledger, 1)
    _fail(ledger, 2, queue="mail")
    _fail(ledger, 3, queue="kept")
    ledger.do(commands.Configure("mail", retention=Retention(failed=10.0)))
    ledger.do(commands.Configure("kept", retention=Retention(failed=None)))
    ledger.now += 10
    assert _retire(ledger) == [job_id(2)]
    ledger.now += TERM
    assert _retire(ledger) == [job_id(1)]
    ledger.do(commands.Configure("kept", retention=None))
    assert _retire(ledger) == [job_id(3)]


def test_one_that_was_redriven_is_counted_from_its_last_failure() -> None:
    ledger = _ledger()
    _fail(ledger, 1)
    ledger.now += TERM - 1
    ledger.redrive(1)
    ledger.now += 5
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED)
    ledger.now += TERM - 1
    assert _retire(ledger) == []
    ledger.now += 1
    assert _retire(ledger) == [job_id(1)]


def test_one_that_went_to_another_queue_has_the_term_of_that() -> None:
    ledger = _ledger()
    ledger.do(commands.Configure("mail", retention=Retention(failed=1000.0)))
    _fail(ledger, 1)
    ledger.redrive(1, queue="mail")
    ledger.end(ledger.lease(info=worker(queues=("mail",)))[0], OutcomeKind.ERRORED)
    ledger.now += TERM
    assert _retire(ledger) == []
    ledger.now += 900
    assert _retire(ledger) == [job_id(1)]


def test_one_that_others_wait_for_stays_and_is_in_nobodys_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upkeep, "PORTION", 1)
    ledger = _ledger()
    _fail(ledger, 1)
    ledger.enqueue([spec(2, parents=[1], on_parent_failure="wait")])
    _fail(ledger, 3)
    ledger.now += TERM
    assert _retire(ledger) == [job_id(3)]
    assert _retire(ledger) == []
    ledger.cancel(2)
    assert _retire(ledger) == [job_id(1)]


def test_many_go_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PORTION", 2)
    ledger = _ledger()
    _fail(ledger, 1, 2)
    _fail(ledger, 3, queue="mail")
    ledger.now += TERM
    assert [len(_retire(ledger)) for _ in range(3)] == [2, 1, 0]


def test_one_is_named_once_although_it_failed_twice_in_a_moment() -> None:
    ledger = _ledger()
    _fail(ledger, 1)
    ledger.redrive(1)
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED)
    ledger.now += TERM
    assert _retire(ledger) == [job_id(1)]


def test_it_is_so_after_a_restart() -> None:
    ledger = _ledger()
    _fail(ledger, 1)
    ledger.state = ledger.replayed()
    ledger.state.rebuild()  # as after a snapshot
    ledger.now += TERM
    assert _retire(ledger) == [job_id(1)]


def test_a_redrive_that_comes_too_late_moves_nothing() -> None:
    ledger = _ledger()
    _fail(ledger, 1)
    ledger.now += TERM
    _retire(ledger)
    assert ledger.redrive(1) == []


@pytest.mark.parametrize("term", [0.0, -1.0, float("nan"), float("inf")])
def test_a_term_that_is_none_is_refused_whoever_sends_it(term: float) -> None:
    ledger = _ledger()
    with pytest.raises(InvalidOption, match=r"retention\.failed"):
        ledger.do(commands.Configure("q", retention=Retention(failed=term)))
    assert ledger.state.settings == {}
