"""What programs see of the measurements, and what Prometheus reads: also after restarts."""

import re
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

import taskqueue_ray as tq
from taskqueue_ray.core.exchange import WorkRequest
from taskqueue_ray.core.metering import Vitals
from taskqueue_ray.engine.series import MOST_QUEUES, OTHER
from tests.inprocess import WORKER, Bench


@tq.job(queue="mail")
def send(to: str) -> str:
    return to


@tq.job(queue="mail", max_attempts=2, backoff=tq.Backoff.fixed("1s"))
def break_down(what: str) -> None:
    raise ValueError(what)


def _scrape(bench: Bench) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The values of all samples, by their names and labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(bench.q.prometheus()):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def _counters(bench: Bench) -> dict[Any, float]:
    return {
        (name, labels): value
        for name, samples in _scrape(bench).items()
        for labels, value in samples.items()
        if name.endswith("_total") and "openings" not in name
    }


def _busy_day(bench: Bench) -> None:
    for number in range(20):
        _ = send.enqueue(f"{number}")
    _ = break_down.enqueue("x")
    bench.advance(3.0)
    bench.work()
    bench.advance(2.0)
    bench.work()


def test_throughput_times_and_rates_by_queue_and_type(bench: Bench) -> None:
    _busy_day(bench)
    found = bench.q.performance_metrics(window="1m")
    assert found.seconds == pytest.approx(5.0)
    mail = found.of("mail")
    assert mail is not None
    assert (mail.completed, mail.failed, mail.retried) == (20, 1, 1)
    assert mail.throughput == pytest.approx(4.0)
    assert mail.arrivals == pytest.approx(21 / 5)
    assert mail.error_rate == pytest.approx(2 / 22)
    assert mail.retry_rate == pytest.approx(1 / 22)
    assert mail.waiting.p50 == pytest.approx(3.0, rel=0.01)
    sent = found.of("mail", send.job_type.name)
    assert sent is not None
    assert (sent.completed, sent.error_rate) == (20, 0.0)
    assert found.total.completed == 20
    assert [one.follows for one in found.failures] == ["failed", "retried"]
    assert "wait_p95" in repr(found)
    assert "<table>" in found._repr_html_()
    assert found.of("nothing") is None


async def _both(bench: Bench) -> tuple[int, str]:
    found = await bench.q.aperformance_metrics("10s")
    return found.total.completed, await bench.q.aprometheus()


def test_async_twins(bench: Bench) -> None:
    import asyncio

    _busy_day(bench)
    completed, text = asyncio.run(_both(bench))
    assert completed == 20
    assert "taskqueue_jobs_ended_total" in text


def test_a_window_that_is_not_kept_is_refused(bench: Bench) -> None:
    for window in ("1s", "2h"):
        with pytest.raises(tq.InvalidOption, match="from 10 s to 1 h"):
            bench.q.performance_metrics(window=window)
    with pytest.raises(tq.InvalidOption):
        bench.q.performance_metrics(window="soon")


def test_names_follow_the_conventions(bench: Bench) -> None:
    _busy_day(bench)
    families = list(text_string_to_metric_families(bench.q.prometheus()))
    assert families
    for family in families:
        assert re.fullmatch(r"taskqueue_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        names = {sample.name for sample in family.samples}
        if family.type == "counter":
            assert all(name.endswith("_total") for name in names)
        elif family.type == "gauge":
            assert not any(name.endswith(("_total", "_count", "_sum")) for name in names)


def test_a_histogram_is_cumulative_and_counts_all_runs(bench: Bench) -> None:
    _busy_day(bench)
    found = _scrape(bench)
    buckets = [
        value
        for labels, value in found["taskqueue_job_wait_seconds_bucket"].items()
        if ("type", send.job_type.name) in labels
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 20
    counts = found["taskqueue_job_run_seconds_count"]
    assert sum(counts.values()) == 22


def test_counters_never_go_back(bench: Bench) -> None:
    """Over a restart, a fold, a purge, and a redrive into another queue."""
    _busy_day(bench)
    dead = bench.q.failed_jobs()[0]
    seen = [_counters(bench)]

    def look() -> None:
        now = _counters(bench)
        assert all(now.get(key, 0.0) >= value for key, value in seen[-1].items())
        seen.append(now)

    bench.restart()
    look()
    assert seen[0] == seen[1]
    bench.fold()
    bench.restart()
    look()
    bench.q.redrive(dead.id, options={"queue": "again"})
    look()
    bench.work()
    bench.advance(2.0)
    bench.work()
    look()
    bench.q.purge(state="failed", older_than=0)
    look()
    bench.fold()
    bench.restart()
    look()
    last = seen[-1]
    ended = "taskqueue_jobs_ended_total"
    assert last[ended, (("queue", "mail"), ("state", "completed"))] == 20
    assert last[ended, (("queue", "mail"), ("state", "failed"))] == 1
    assert last[ended, (("queue", "again"), ("state", "failed"))] == 1
    assert last["taskqueue_jobs_redriven_total", (("queue", "again"),)] == 1
    assert last["taskqueue_jobs_enqueued_total", (("queue", "mail"),)] == 21
    assert last["taskqueue_jobs_enqueued_total", (("queue", "again"),)] == 0


def test_labels_have_a_bounded_number_of_values(bench: Bench) -> None:
    many = MOST_QUEUES + 30
    for number in range(many):
        _ = send.options(queue=f"q{number}").enqueue("x")
    bench.work()
    found = _scrape(bench)
    for name, samples in found.items():
        queues = {dict(labels).get("queue") for labels in samples}
        assert len(queues) <= MOST_QUEUES + 1, name
    enqueued = found["taskqueue_jobs_enqueued_total"]
    assert sum(enqueued.values()) == many
    assert enqueued[("queue", OTHER),] == 30


def test_what_is_in_the_queue_now(bench: Bench) -> None:
    _ = send.enqueue("a")
    _ = send.options(delay="1h").enqueue("b")
    bench.q.pause("mail")
    bench.advance(30.0)
    found = _scrape(bench)
    jobs = found["taskqueue_jobs"]
    assert jobs[("queue", "mail"), ("state", "pending")] == 1
    assert jobs[("queue", "mail"), ("state", "scheduled")] == 1
    assert found["taskqueue_queue_paused"] == {(("queue", "mail"),): 1.0}
    bench.q.resume("mail")
    age = _scrape(bench)["taskqueue_oldest_waiting_seconds"]
    assert age[("queue", "mail"),] == pytest.approx(30.0, abs=1.0)


def test_the_health_of_workers(bench: Bench) -> None:
    bench.work()
    vitals = Vitals(100 << 20, 20 << 20, 150.0, 3, 42, 1, 1_800_000_000.0)
    request = WorkRequest(WORKER, 50, 49, [], [], [], 0, vitals=vitals)
    bench.host.serve("work", msgspec.msgpack.encode(request)).result(5.0)
    [worker] = bench.q.worker_health()
    assert (worker.memory, worker.executors_memory) == (120 << 20, 20 << 20)
    assert (worker.cpu, worker.jobs_done, worker.restarts, worker.executors) == (150.0, 42, 1, 3)
    assert worker.state == "working"
    found = _scrape(bench)
    assert found["taskqueue_worker_memory_bytes"] == {(("host", ""),): float(120 << 20)}
    assert found["taskqueue_worker_cpu_cores"] == {(("host", ""),): 1.5}
    bench.advance(25.0)
    [worker] = bench.q.worker_health()
    assert worker.state == "silent"
    assert worker.seen_ago == pytest.approx(25.0)
