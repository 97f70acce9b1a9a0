"""Stored pools within quotas, and on nodes that are closed."""

import taskqueue_ray as tq
from tests.cluster import trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place


def test_a_stored_pool_keeps_to_a_quota_and_leaves_a_cordoned_node(place: Place) -> None:
    q = place.connect()
    gate = place.base / "gate"
    q.quotas.set("cpu", 1)
    q.pools.set("p", min=1, max=2, cool_down="1s")
    jobs = [q.enqueue(trial_jobs.waits_for, str(place.witness), str(gate), 60.0) for _ in range(3)]
    eventually(lambda: q.why(jobs[-1]).reason == "quota", "the second may not start")
    eventually(lambda: len(q.worker_health()) == 1, "the first is up")
    eventually(lambda: _refused(q), "the pool says so")
    assert [(one.held, one.ceiling) for one in q.quotas.list()] == [(1.0, 1.0)]
    q.quotas.delete("cpu")
    eventually(lambda: len(q.worker_health()) == 2, "it may now")
    [node] = q.nodes.list()
    q.nodes.cordon(node.id)
    eventually(lambda: q.why(jobs[-1]).reason == "nodes", "no node is open")
    assert len(q.worker_health()) == 2, "they wait for a node, since there is no other"
    q.nodes.drain(node.id, within="1s")
    eventually(lambda: not q.worker_health(), "they left within its time, not within theirs")
    assert not any(one.info().attempts for one in jobs)
    q.nodes.readmit(node.id)
    gate.touch()
    tq.gather(*jobs, timeout=60)
    q.pools.delete("p")
    eventually(lambda: not q.worker_health(), "its workers have left")


def _refused(q: tq.TaskQueue) -> bool:
    pool = q.pools.get("p")
    return pool is not None and any("the quota of cpu" in row.refused for row in pool.staff)
