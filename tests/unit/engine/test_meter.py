"""What the queue measures: against naive counts and quantiles, in bounded memory."""

import random

import pytest

from taskqueue_ray.core import events
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.exchange import Outcome, OutcomeKind
from taskqueue_ray.core.metering import PerformanceReport, PerformanceView
from taskqueue_ray.core.model import Failure, JobId, Options
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.meter import SAMPLE, Meter
from taskqueue_ray.engine.series import MOST_QUEUES, MOST_SERIES, OTHER, Names
from tests.records import START, batch, job_id, spec

MAIL = Options(queue="mail", type="send")
REPORT = Options(queue="mail", type="report")


class Trial:
    """A state, the meter beside it, and jobs that take a given time."""

    def __init__(self) -> None:
        self.state = State()
        self.now = START
        self.meter = Meter(self.state, START)
        self._lease = 0
        self._number = 0

    def record(self, event: events.Event) -> None:
        apply(self.state, event)
        self.meter.take(event)

    def enqueue(self, count: int, options: Options = MAIL, due: float = 0.0) -> list[JobId]:
        ids = [job_id(self._number + i + 1) for i in range(count)]
        self._number += count
        specs = [spec(self._number - count + i + 1, due=due) for i in range(count)]
        self.record(events.Enqueued(self.now, batch(specs, options)))
        return ids

    def lease(self, ids: list[JobId]) -> None:
        self._lease += 1
        self.record(events.Leased(self.now, "w", self._lease, ids))

    def outcome(self, one: JobId, seconds: float, kind: OutcomeKind) -> Outcome:
        failed = Failure("error", "ValueError") if kind is OutcomeKind.ERRORED else None
        delivery = self.state.jobs[one].delivery
        return Outcome(one, delivery, self._lease, kind, b"", self.now, seconds, failed)

    def complete(self, ids: list[JobId], seconds: list[float]) -> None:
        done = [
            self.outcome(one, took, OutcomeKind.COMPLETED)
            for one, took in zip(ids, seconds, strict=True)
        ]
        self.record(events.Settled(self.now, "w", done))

    def retry(self, one: JobId) -> None:
        outcome = self.outcome(one, 0.5, OutcomeKind.ERRORED)
        self.record(events.Settled(self.now, "w", retried=[events.Retried(outcome, self.now)]))

    def fail(self, one: JobId) -> None:
        outcome = self.outcome(one, 0.5, OutcomeKind.ERRORED)
        self.record(events.Settled(self.now, "w", failed=[events.Failed(outcome, "attempts")]))

    def pass_time(self, seconds: float, executors: int = 2) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 1.0)
            self.meter.tick(self.now, executors)

    def report(self, window: float = 300.0) -> PerformanceReport:
        return self.meter.report(window, self.now)


def _row(report: PerformanceReport, queue: str = "", type_name: str = "") -> PerformanceView:
    return next(row for row in report.rows if (row.queue, row.type) == (queue, type_name))


@pytest.fixture
def trial() -> Trial:
    return Trial()


def _naive(values: list[float], part: float) -> float:
    return sorted(values)[int(part * (len(values) - 1))]


def test_percentiles_are_within_one_percent(trial: Trial) -> None:
    rolled = random.Random(7)
    seconds = [rolled.lognormvariate(-2, 1.5) for _ in range(3_000)]
    for start in range(0, 3_000, SAMPLE):
        part = seconds[start : start + SAMPLE]
        ids = trial.enqueue(len(part))
        trial.lease(ids)
        trial.complete(ids, part)
    found = _row(trial.report(), "mail", "send").running
    assert found.count == 3_000
    for percentile, share in ((found.p50, 0.5), (found.p95, 0.95), (found.p99, 0.99)):
        assert percentile == pytest.approx(_naive(seconds, share), rel=0.0101)
    assert found.mean == pytest.approx(sum(seconds) / 3_000)
    assert found.most == max(seconds)


def test_large_batches_are_sampled_and_their_counts_and_busy_time_exact(trial: Trial) -> None:
    rolled = random.Random(8)
    total = 0.0
    seconds = []
    for _ in range(20):
        ids = trial.enqueue(500)
        trial.lease(ids)
        took = [rolled.uniform(0.0, 0.002) for _ in ids]
        trial.complete(ids, took)
        total += sum(took)
        seconds += took
    trial.pass_time(10.0)
    row = _row(trial.report(), "mail", "send")
    assert row.completed == 10_000
    assert row.busy * trial.report().seconds == pytest.approx(total)
    assert row.running.count == pytest.approx(10_000)
    assert row.running.p50 == pytest.approx(_naive(seconds, 0.5), rel=0.15)


def test_types_of_one_batch_are_told_apart(trial: Trial) -> None:
    mail, reports = trial.enqueue(40), trial.enqueue(3, REPORT)
    trial.lease(mail + reports)
    trial.complete(mail + reports, [0.01] * 40 + [2.0] * 3)
    report = trial.report()
    assert _row(report, "mail", "send").completed == 40
    assert _row(report, "mail", "report").running.p50 == pytest.approx(2.0, rel=0.01)
    assert _row(report, "mail").completed == 43
    assert _row(report).enqueued == 43


def test_waiting_is_from_when_a_job_could_run(trial: Trial) -> None:
    at_once = trial.enqueue(1)
    later = trial.enqueue(1, due=START + 60.0)
    trial.pass_time(90.0)
    trial.record(events.Promoted(trial.now))
    trial.lease(at_once + later)
    found = _row(trial.report(), "mail").waiting
    assert found.count == 2
    assert found.most == pytest.approx(90.0)
    assert found.mean == pytest.approx((90.0 + 30.0) / 2)


def test_only_a_first_delivery_says_how_long_a_job_waited(trial: Trial) -> None:
    [one] = trial.enqueue(1)
    trial.lease([one])
    trial.record(events.Released(trial.now, [one]))
    trial.pass_time(50.0)
    trial.lease([one])
    assert _row(trial.report(), "mail").waiting.count == 1


def test_rates_of_errors_and_what_failed_lately(trial: Trial) -> None:
    told: list[tuple[str, str]] = []
    trial.meter.on_failed = lambda options, outcome, follows: told.append((options.type, follows))
    ids = trial.enqueue(4)
    trial.lease(ids)
    trial.retry(ids[0])
    trial.fail(ids[1])
    trial.complete(ids[2:], [0.1, 0.1])
    row = _row(trial.report(), "mail")
    assert (row.completed, row.failed, row.retried) == (2, 1, 1)
    latest = trial.report().failures
    assert [(one.id, one.follows) for one in latest] == [(ids[1], "failed"), (ids[0], "retried")]
    assert told == [("send", "retried"), ("send", "failed")]


def test_a_lost_run_counts_as_lost(trial: Trial) -> None:
    [one] = trial.enqueue(1)
    trial.lease([one])
    trial.record(events.Started(trial.now, [one]))
    trial.record(events.Lost(trial.now, "w", running=[one]))
    assert _row(trial.report(), "mail").lost == 1


def test_a_long_run_keeps_an_executor_busy_while_it_runs_and_not_when_it_ends(
    trial: Trial,
) -> None:
    [one] = trial.enqueue(1)
    trial.lease([one])
    trial.record(events.Started(trial.now, [one]))
    trial.pass_time(100.0)
    running = trial.report(60.0)
    assert _row(running).busy == pytest.approx(1.0)
    assert running.capacity == pytest.approx(2.0, rel=0.05)
    trial.complete([one], [100.0])
    trial.pass_time(100.0)
    assert _row(trial.report(300.0)).busy == pytest.approx(0.5)
    assert all(row.busy == 0.0 for row in trial.report(60.0).rows)


def test_a_window_holds_what_is_in_it(trial: Trial) -> None:
    for _ in range(70):
        ids = trial.enqueue(6)
        trial.lease(ids)
        trial.complete(ids, [0.1] * 6)
        trial.pass_time(60.0)
    assert _row(trial.report(60.0)).completed == 6
    assert _row(trial.report(900.0)).completed == pytest.approx(15 * 6, abs=6)
    hour = trial.report(3600.0)
    assert _row(hour).completed == pytest.approx(60 * 6, abs=6)
    assert hour.seconds == pytest.approx(3600.0, abs=60.0)
    assert sum(trial.report().recent) == pytest.approx(5 * 6, abs=6)


def test_memory_is_bounded_over_a_day(trial: Trial) -> None:
    ids = trial.enqueue(1)
    trial.lease(ids)
    trial.complete(ids, [0.1])
    window = trial.meter._window
    for _ in range(24 * 60):
        trial.now += 60.0
        trial.meter.tick(trial.now, 1)
        assert len(window._fine) + len(window._old) <= 31 + 61
    assert all(not slot.ticks for slot in window.since(0.0))


def test_names_are_bounded() -> None:
    names = Names()
    for number in range(300):
        names.of(Options(queue="mail", type=f"t{number}"))
    assert names.of(Options(queue="mail", type="t0")) == ("mail", "t0")
    assert names.of(Options(queue="mail", type="t299")) == ("mail", OTHER)
    for number in range(300):
        names.of(Options(queue=f"q{number}", type="t"))
    assert names.of(Options(queue="q299", type="t")) == (OTHER, OTHER)
    every = {names.of(Options(queue=f"q{n}", type=f"t{n}")) for n in range(1_000)}
    assert len(every) <= MOST_QUEUES + MOST_SERIES + 1


@pytest.mark.parametrize("window", [0.0, 9.0, 3601.0, float("nan")])
def test_windows_that_are_not_kept_are_refused(trial: Trial, window: float) -> None:
    with pytest.raises(InvalidOption, match="from 10 s to 1 h"):
        trial.report(window)


def test_a_costly_answer_is_given_again_for_a_moment(trial: Trial) -> None:
    shared = [Options(queue="mail", type=f"t{number}") for number in range(60)]
    for _ in range(10):
        for options in shared:
            ids = trial.enqueue(1, options)
            trial.lease(ids)
            trial.complete(ids, [0.1])
        trial.pass_time(10.0)
    first = trial.report(300.0)
    trial.now += 1.0
    assert trial.report(300.0) is first
    trial.now += 3.0
    assert trial.report(300.0) is not first
    assert trial.report(10.0) is not trial.report(10.0)
