"""Producers that wait for workers, in a program and in a job."""

import taskqueue_ray as tq
from tests.cluster import trial_jobs
from tests.cluster.place import Place


def test_producers_wait_for_workers(place: Place) -> None:
    q = place.connect()
    q.queues.configure("narrow", max_depth=10)
    with q.workers(["narrow"]), q.workers(["default"]), tq.patient("1m"):
        handles = q.enqueue_many(trial_jobs.narrow.item(n) for n in range(100))
        with q.pipeline() as p:
            handles += [p.enqueue(trial_jobs.narrow, n) for n in range(100)]
        assert trial_jobs.feed.enqueue(50).result(60) == 50
        assert sum(tq.gather(handles, timeout=60)) == 2 * sum(range(100))
    assert q.stats("narrow").completed == 250
