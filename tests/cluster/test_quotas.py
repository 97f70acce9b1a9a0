"""Quotas where workers start."""

import pytest

import taskqueue_ray as tq
from tests.cluster import trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place


def test_a_quota_holds_workers_back_and_says_so(place: Place) -> None:
    q = place.connect()
    gate = place.base / "gate"
    q.quotas.set("cpu", 2)
    with pytest.raises(tq.QuotaBelowWorker, match="below one worker"):
        q.workers(concurrency=3).start()
    q.quotas.set("cpu", 2, queue="trial")
    seen = set()
    with q.workers(min=1, max=3, concurrency=1) as workers:
        jobs = [
            q.enqueue(trial_jobs.waits_for, str(place.witness), str(gate), 60.0) for _ in range(9)
        ]

        def held_back() -> bool:
            seen.add(len(q.worker_health()))
            assert len(workers.names) <= 2
            full = {(one.held, one.ceiling) for one in q.quotas.list()} == {(2.0, 2.0)}
            return full and q.why(jobs[-1]).reason == "quota"

        eventually(held_back, "a quota holds it")
        assert max(seen) <= 2
        assert q.quotas.delete("cpu")
        assert q.quotas.delete("cpu", queue="trial")
        eventually(lambda: len(q.worker_health()) == 3, "the third starts")
        (node,) = q.nodes.list()
        assert (node.state, len(node.workers)) == ("alive", 3)
        eventually(lambda: q.nodes.get(node.id).running == 3, "all are busy")
        eventually(lambda: q.nodes.get(node.id).memory_used, "a worker has measured its node")
        assert node.resources["CPU"] > 0
        gate.touch()
        tq.gather(*jobs, timeout=60)
