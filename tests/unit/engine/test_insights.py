"""Lists, statistics and single jobs."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from taskqueue_ray.core.commands import Purge, Redrive
from taskqueue_ray.core.exchange import Cursor, JobFilter, JobView, OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Job, JobId
from taskqueue_ray.engine import insights
from tests.ledger import number_of
from tests.records import START, job_id, options, outcome, spec
from tests.unit.engine.engine_trial import Hand, Trial

EVERYTHING = JobFilter()


def _trial(jobs: int = 9) -> Trial:
    """Of each three jobs one has completed, one failed, and one is waiting."""
    trial = Trial()
    hand = Hand(trial)
    for number in range(1, jobs + 1):
        trial.clock.at += 1
        trial.enqueued(spec(number), shared=options(tags=(f"t{number % 2}",), category="c"))
        if number % 3:
            (grant,) = hand.exchange(want=1).grants
            kind = OutcomeKind.COMPLETED if number % 3 == 1 else OutcomeKind.ERRORED
            hand.exchange(outcome(grant, kind, final=True))
        else:
            (grant,) = hand.exchange(want=1).grants
            trial.clock.at += 1
    return trial


def _all(trial: Trial, wanted: JobFilter = EVERYTHING, limit: int = 2) -> list[JobView]:
    views: list[JobView] = []
    cursor: Cursor | None = None
    while True:
        page = trial.engine.insights.jobs(wanted, cursor, limit)
        assert len(page.jobs) <= limit
        views += page.jobs
        cursor = page.cursor
        if cursor is None:
            return views


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9, 10, 1000])
def test_pages_hold_every_job_once(limit: int) -> None:
    numbers = [number_of(view.id) for view in _all(_trial(), limit=limit)]
    assert numbers == [2, 3, 5, 6, 8, 9, 1, 4, 7]  # what is live and dead letters, then the ended


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (JobFilter(state=JobState.COMPLETED), [1, 4, 7]),
        (JobFilter(state=JobState.FAILED), [2, 5, 8]),
        (JobFilter(state=JobState.PROCESSING), [3, 6, 9]),
        (JobFilter(state=JobState.PENDING), []),
        (JobFilter(tag="t0"), [2, 6, 8, 4]),
        (JobFilter(tag="t0", state=JobState.COMPLETED), [4]),
        (JobFilter(queue="other"), []),
        (JobFilter(type="t"), [2, 3, 5, 6, 8, 9, 1, 4, 7]),
        (JobFilter(category="c", queue="q", type="t"), [2, 3, 5, 6, 8, 9, 1, 4, 7]),
        (JobFilter(since=START + 8), [8, 9, 7]),
    ],
)
def test_filters(wanted: JobFilter, numbers: list[int]) -> None:
    trial = _trial()
    if wanted.since:
        since = trial.state.settled[job_id(7)].enqueued_at  # type: ignore[union-attr]
        wanted = JobFilter(since=since)
    assert [number_of(view.id) for view in _all(trial, wanted)] == numbers


def test_many_ends_at_the_same_time_are_paged_without_loss() -> None:
    trial = Trial()
    hand = Hand(trial)
    trial.enqueued(*[spec(n) for n in range(1, 12)])
    hand.exchange(*[outcome(grant) for grant in hand.exchange(want=11).grants])
    assert len(_all(trial, limit=3)) == 11


def test_a_job_that_was_redriven_is_listed_once() -> None:
    trial = _trial(3)
    trial.command(Redrive, "c", job_id(2))
    trial.writer.settle()
    hand = Hand(trial, "v")
    (grant,) = hand.exchange(want=1).grants
    hand.exchange(outcome(grant))
    assert sorted(number_of(view.id) for view in _all(trial)) == [1, 2, 3]
    ended = trial.engine.insights.ended(0.0, None, 100).jobs
    assert [(number_of(v.id), v.generation, v.state.value) for v in ended] == [
        (1, 0, "completed"),
        (2, 0, "failed"),
        (2, 1, "completed"),
    ]


def test_a_page_looks_at_a_bounded_number_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insights, "SCAN", 3)
    trial = _trial()
    looks = Looks(monkeypatch)
    page = trial.engine.insights.jobs(JobFilter(tag="none"), None, 100)
    assert (page.jobs, looks.count) == ([], 3)
    assert page.cursor is not None
    assert len(_all(trial, JobFilter(tag="t0"), limit=100)) == 4


class Looks:
    """Counts the jobs that lists look at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = insights._matches

        def matches(job: Job, wanted: JobFilter) -> bool:
            self.count += 1
            return real(job, wanted)

        monkeypatch.setattr(insights, "_matches", matches)


def test_a_page_in_the_middle_does_not_walk_there(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial()
    trial.enqueued(*[spec(n) for n in range(1, 501)])
    middle = trial.state.jobs[job_id(400)]
    cursor = Cursor("live", middle.ordinal, middle.id)
    trial.engine.insights.jobs(EVERYTHING, cursor, 10)
    monkeypatch.setattr(trial.state, "jobs", Untouched(trial.state.jobs))
    page = trial.engine.insights.jobs(EVERYTHING, cursor, 10)
    assert [number_of(view.id) for view in page.jobs] == list(range(401, 411))


class Untouched(dict[JobId, Job]):
    """Jobs of which the newest may be looked at, and single ones."""

    def values(self) -> Any:
        return Newest(super().values())

    def __iter__(self) -> Iterator[JobId]:
        raise AssertionError("the jobs were walked")


class Newest:
    def __init__(self, jobs: Any) -> None:
        self._jobs = jobs

    def __iter__(self) -> Iterator[Job]:
        raise AssertionError("the jobs were walked")

    def __reversed__(self) -> Iterator[Job]:
        yield from islice(reversed(self._jobs), 2)
        raise AssertionError("the jobs were walked from their end")


@pytest.mark.parametrize(
    ("state", "numbers"),
    [
        (JobState.PENDING, [5, 6]),
        (JobState.PROCESSING, [1, 2]),
        (JobState.SCHEDULED, [3, 4]),
        (JobState.BLOCKED, [7, 8]),
    ],
)
def test_jobs_of_one_state_come_from_its_index(
    state: JobState, numbers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial()
    hand = Hand(trial)
    trial.enqueued(spec(1), spec(2))
    hand.exchange(want=2)
    # The later one is due first: lists are in the order of enqueueing all the same.
    trial.enqueued(spec(3, due=trial.clock.at + 9), spec(4, due=trial.clock.at + 5))
    trial.enqueued(spec(5), spec(6), spec(7, parents=[5, 6]), spec(8, parents=[6]))
    looks = Looks(monkeypatch)
    assert [number_of(view.id) for view in _all(trial, JobFilter(state=state), limit=2)] == numbers
    assert looks.count == 2
    assert _all(trial, JobFilter(state=state, queue="other")) == []


def test_a_job_that_came_back_is_listed_once() -> None:
    trial = Trial()
    hand = Hand(trial)
    trial.enqueued(spec(1), spec(2))
    for _ in range(3):
        grants = hand.exchange(want=2).grants
        hand.exchange(*[outcome(grant, OutcomeKind.RELEASED) for grant in grants])
    assert [number_of(view.id) for view in _all(trial, JobFilter(state=JobState.PENDING))] == [1, 2]


def test_more_of_a_state_than_a_page_may_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insights, "SCAN", 3)
    trial = Trial()
    trial.enqueued(*[spec(n, due=trial.clock.at + n) for n in range(1, 9)])
    wanted = JobFilter(state=JobState.SCHEDULED)
    assert trial.engine.insights._indexed(wanted) is None
    views = _all(trial, wanted)
    assert [number_of(view.id) for view in views] == list(range(1, 9))


@pytest.mark.parametrize("state", [None, JobState.COMPLETED])
def test_a_list_goes_on_when_the_job_it_stopped_at_has_gone(state: JobState | None) -> None:
    """All ended at the same time: there is nothing but the job to tell the place."""
    trial = Trial()
    hand = Hand(trial)
    trial.enqueued(*[spec(n) for n in range(1, 10)])
    hand.exchange(*[outcome(grant) for grant in hand.exchange(want=9).grants])
    seen: list[int] = []
    cursor: Cursor | None = None
    while True:
        page = trial.engine.insights.jobs(JobFilter(state=state), cursor, 2)
        seen += [number_of(view.id) for view in page.jobs]
        cursor = page.cursor
        if cursor is None:
            break
        trial.command(Purge, f"purge {len(seen)}", *[view.id for view in page.jobs])
        trial.writer.settle()
        # What came meanwhile must not move the others.
        trial.enqueued(spec(100 + len(seen)))
    assert sorted(one for one in seen if one < 100) == list(range(1, 10))


def test_a_list_of_live_jobs_goes_on_while_they_end_and_others_come() -> None:
    trial = Trial()
    hand = Hand(trial)
    trial.enqueued(*[spec(n) for n in range(1, 201)])
    seen: list[int] = []
    cursor: Cursor | None = None
    new = 1_000
    while cursor is None or seen[-1] < 200:
        page = trial.engine.insights.jobs(JobFilter(state=JobState.PENDING), cursor, 20)
        seen += [number_of(view.id) for view in page.jobs]
        cursor = page.cursor
        assert cursor is not None
        # The older ones end, of which the list has had some and some are still to come.
        hand.exchange(*[outcome(grant) for grant in hand.exchange(want=4).grants])
        trial.enqueued(spec(new := new + 1))
    assert seen[: seen.index(200) + 1] == list(range(1, 201))


def test_places_are_forgotten_when_nobody_lists() -> None:
    trial = _trial()
    _all(trial)
    view = trial.engine.insights
    assert len(view._live_places) == 6
    assert len(view._ended_places) > 0
    trial.pass_time(1)
    trial.pass_time(insights.KEPT + 1)
    assert len(view._live_places) == len(view._ended_places) == 0
    assert len(_all(trial)) == 9


def test_statistics_add_up() -> None:
    trial = _trial()
    trial.enqueued(spec(20), spec(21, due=trial.clock.at + 9), shared=options(queue="other"))
    first, second = trial.engine.insights.stats()
    assert (first.queue, second.queue) == ("other", "q")
    assert sum(second.counts.values()) == second.total == 9
    assert second.counts[JobState.FAILED] == 3
    assert first.oldest_waiting == trial.clock.at
    assert trial.engine.insights.stats("q") == [second]
    assert trial.engine.insights.stats("none")[0].total == 0
    assert set(trial.engine.insights.stats("none")[0].counts) == set(JobState)


def test_one_job_in_each_state() -> None:
    trial = _trial(3)
    trial.enqueued(spec(10, due=trial.clock.at + 9), spec(11), spec(12, parents=[11]))
    view = trial.engine.insights.job
    completed, failed, leased = (view(job_id(n)) for n in (1, 2, 3))
    assert completed is not None
    assert (completed.state, completed.result) == (JobState.COMPLETED, b"result")
    assert failed is not None
    assert (failed.reason, failed.attempts, len(failed.history)) == ("final", 1, 1)
    assert leased is not None
    assert (leased.worker, leased.delivery) == ("w", 1)
    scheduled, blocked = view(job_id(10)), view(job_id(12))
    assert scheduled is not None
    assert scheduled.due == trial.clock.at + 9
    assert blocked is not None
    assert blocked.parents == (job_id(11),)
    assert view(job_id(99)) is None


def test_workers_are_shown_with_what_they_hold() -> None:
    trial = _trial(3)
    trial.clock.at += 4
    (view,) = trial.engine.insights.workers(trial.clock.at)
    assert (view.info.id, view.held, view.draining) == ("w", 1, False)
    assert view.seen_ago == 5.0
