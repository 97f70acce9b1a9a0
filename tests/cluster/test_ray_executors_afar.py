"""Executors in Ray on another node than their worker's, some of them on one that comes later."""

import pytest

from tests.cluster.programs import Programs

pytestmark = pytest.mark.slow

SCRIPT = """
    import ray
    from ray.cluster_utils import Cluster
    import taskqueue_ray as tq
    from taskqueue_ray.cluster.config import NAMESPACE
    from tests.cluster import ray_trial_jobs, trial_jobs
    from tests.cluster.patience import eventually

    SMALL = {"object_store_memory": 80 << 20}
    WITNESS = "witness"

    KINDS = ("actor", "task")

    @tq.job
    def echo(text: str) -> str:
        return text

    def running(q, handle):
        return any(handle.id in worker.running for worker in q.worker_health())

    def fails(handle):
        try:
            return handle.result(60)
        except tq.JobFailed as failed:
            return failed.fields["error_type"]

    def far(job, kind):
        return job.options(executor=kind, resources={"far": 1})

    if __name__ == "__main__":
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, **SMALL})
        ray.init(address=cluster.address, namespace=NAMESPACE)
        with tq.connect() as q, q.workers(max=1, concurrency=2):
            early = {kind: q.enqueue(far(ray_trial_jobs.uses_ray, kind), 5) for kind in KINDS}
            placeable = ray_trial_jobs.awaited.options(executor="task")
            print("meanwhile", q.enqueue(placeable, 4).result(60))
            eventually(lambda: q.why(early["task"].id).reason == "resources", "it waits for Ray")
            node = cluster.add_node(num_cpus=4, resources={"far": 4}, **SMALL)
            for kind, handle in early.items():
                print("later", kind, handle.result(60)[0], handle.info().losses)
                print("text", kind, len(q.enqueue(far(echo, kind), "x" * 300_000).result(60)))
                child = q.enqueue(far(ray_trial_jobs.asks, kind), 41).result(60)
                print("child", kind, q.handle(child).result(60))
                for how in ("sys.exit", "os._exit", "GIL"):
                    bad = q.enqueue(far(ray_trial_jobs.misbehaves, kind), how)
                    print("bad", kind, how, fails(bad), bad.info().attempts)
                deaf = q.enqueue(far(ray_trial_jobs.ignores_all, kind), WITNESS, "pid")
                eventually(lambda: running(q, deaf), "it runs")
                deaf.cancel()
                eventually(lambda: deaf.status() == "cancelled", "it is killed")
                print("cancelled", kind)
            awaited = far(ray_trial_jobs.awaited, "actor")
            handles = q.enqueue_many(awaited.item(n) for n in range(50))
            print("sum", sum(tq.gather(*handles)))
            kept = q.enqueue(far(ray_trial_jobs.waits, "actor"), WITNESS, "gate")
            eventually(lambda: running(q, kept), "it runs")
            cluster.remove_node(node, allow_graceful=False)
            eventually(lambda: kept.info().attempts == 1, "its node has died")
            cluster.add_node(num_cpus=4, resources={"far": 4}, **SMALL)
            open("gate", "w").close()
            print("after the node", kept.result(60) > 0)
        ray.shutdown()
        cluster.shutdown()
"""


def test_executors_on_a_node_that_comes_later(programs: Programs) -> None:
    text = programs.start(SCRIPT).succeeds(110)
    expected = ["meanwhile 8", "sum 2450", "after the node True"]
    for kind in ("actor", "task"):
        expected += [
            f"later {kind} 5 0",
            f"text {kind} 300000",
            f"child {kind} 42",
            f"bad {kind} sys.exit SystemExit 1",
            f"bad {kind} os._exit ExecutorDied 1",
            f"bad {kind} GIL JobTimeout 1",
            f"cancelled {kind}",
        ]
    for line in expected:
        assert line in text, text


PLACED = """
    import ray
    import taskqueue_ray as tq
    from tests.cluster.patience import eventually

    @tq.job(num_gpus=0.5)
    def on_a_gpu() -> list:
        held = ray.get_runtime_context().get_assigned_resources()["GPU"]
        return [held, ray.get_gpu_ids()]

    @tq.job(executor="actor")
    def where() -> str:
        return "placed"

    ray.init(
        address="local", num_cpus=3, num_gpus=1, labels={"zone": "a"}, namespace="taskqueue",
        object_store_memory=80 << 20, include_dashboard=False, log_to_driver=False,
    )
    with tq.connect() as q, q.workers(max=1, concurrency=2):
        for handle in [q.enqueue(on_a_gpu) for _ in range(2)]:
            print("gpu", *handle.result(60))
        print("zone a", q.enqueue(where.options(label_selector={"zone": "a"})).result(60))
        elsewhere = q.enqueue(where.options(label_selector={"zone": "b"}))
        eventually(lambda: q.why(elsewhere.id).reason == "resources", "no node has that label")
        print("meanwhile", q.enqueue(where).result(60))
        elsewhere.cancel()
        print("zone b", elsewhere.wait(60))
    ray.shutdown()
"""


def test_gpus_are_shared_and_labels_are_heeded(programs: Programs) -> None:
    """Ray counts GPUs that it is told of, be there any or not."""
    text = programs.start(PLACED).succeeds(100)
    assert text.count("gpu 0.5 [0]") == 2, text
    for line in ("zone a placed", "meanwhile placed", "zone b cancelled"):
        assert line in text, text
