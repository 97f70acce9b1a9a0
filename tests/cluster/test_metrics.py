"""Metrics of real work: on Ray's own endpoint, as text, over the death of the queue actor."""

import os
import re
import signal
import time
import urllib.request

import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families

import taskqueue_ray as tq
from tests import monitoring
from tests.cluster import trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place


def _scrape_ray() -> dict[str, float]:
    """What Ray's endpoint has of ours, summed over labels but the queue's and the state's."""
    port = ray.nodes()[0]["MetricsExportPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10.0) as answer:
        return _samples(answer.read().decode())


def _samples(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "taskqueue_" in sample.name:
                state = sample.labels.get("state")
                name = f"{sample.name} {state}" if state else sample.name
                found[name] = found.get(name, 0.0) + sample.value
                found[sample.name] = found.get(sample.name, 0.0) + (sample.value if state else 0)
    return found


def _work(q: tq.TaskQueue) -> None:
    handles = q.enqueue_many(trial_jobs.add.item(number, 1) for number in range(50))
    broken = q.enqueue(trial_jobs.fails_until.options(max_attempts=2), 9)
    assert len(tq.gather(*handles, timeout=60.0)) == 50
    with pytest.raises(tq.JobFailed):
        broken.result(timeout=60.0)


def test_metrics_of_real_work(place: Place) -> None:
    q = place.connect()
    with q.workers(concurrency=2):
        _work(q)
        measured = q.performance_metrics("1m")
        assert (measured.total.completed, measured.total.failed, measured.total.retried) == (
            50,
            1,
            1,
        )
        assert measured.total.running.p95 > 0
        assert measured.total.waiting.count == 51
        own = _samples(q.prometheus())
        assert own["taskqueue_jobs_ended_total completed"] == 50
        assert own["taskqueue_job_run_seconds_count"] == 52

        def healthy() -> bool:
            [worker] = q.worker_health()
            return worker.jobs_done == 52 and worker.memory > 10 << 20 and worker.executors > 0

        eventually(healthy, "the worker says how it is", within=30.0)
        [worker] = q.worker_health()
        assert worker.node == ray.nodes()[0]["NodeID"]

        def scraped() -> dict[str, float] | None:
            time.sleep(0.3)  # who asks all the time slows what it waits for
            found = _scrape_ray()
            done = found.get("ray_taskqueue_jobs_ended_total completed", 0) >= 50
            return found if done and found.get("ray_taskqueue_worker_memory_bytes", 0) else None

        there = eventually(scraped, "Ray's endpoint has our metrics")
        for query in [*monitoring.panel_queries(), *monitoring.alert_queries()]:
            if re.search(r"_bucket\b", query.text):
                continue  # on our own endpoint, as the panel says
            for name in query.names:
                assert f"ray_{name}" in there, query.owner


def test_counters_outlive_the_queue_actor(place: Place) -> None:
    q = place.connect()
    with q.workers():
        _work(q)
    before = _samples(q.prometheus())
    os.kill(place.ping().pid, signal.SIGKILL)
    after = _samples(q.prometheus())
    totals = [name for name in before if "_total" in name and "openings" not in name]
    assert len(totals) > 5
    for name in totals:
        assert after[name] == before[name], name
    assert after["taskqueue_openings_total"] == before["taskqueue_openings_total"] + 1
