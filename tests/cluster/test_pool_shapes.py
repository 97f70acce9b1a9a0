"""Workers that hold GPUs and custom resources, as far as Ray counts them."""

import pytest

from tests.cluster.programs import Programs

pytestmark = pytest.mark.slow

SCRIPT = """
    import os
    import ray
    import taskqueue_ray as tq
    from tests.cluster.patience import eventually

    @tq.job(executor="process", num_gpus=0.5)
    def on_half_a_gpu() -> str:
        return os.environ["CUDA_VISIBLE_DEVICES"]

    @tq.job(executor="process", resources={"licence": 1}, runtime_env={"env_vars": {"MODE": "x"}})
    def licensed() -> str:
        return os.environ["MODE"]

    @tq.job
    def plain() -> str:
        return "plain"

    ray.init(
        address="local", num_cpus=3, num_gpus=1, resources={"licence": 1}, namespace="taskqueue",
        object_store_memory=80 << 20, include_dashboard=False, log_to_driver=False,
    )
    with tq.connect() as q, q.workers(min=0, max=4, concurrency=4):
        print("gpu", {h.result(60) for h in [q.enqueue(on_half_a_gpu) for _ in range(4)]})
        worker = next(w for w in q.worker_health() if "num_gpus" in w.shape)
        print("executors", worker.concurrency, worker.shape)
        print("plain", q.enqueue(plain).result(60))
        # Four licences for a worker of four: there is one.
        stuck = q.enqueue(licensed)
        eventually(lambda: q.why(stuck.id).reason == "impossible", "it says so")
        stuck.cancel()
    with tq.connect() as q, q.workers(min=0, max=2, concurrency=1):
        print("licensed", q.enqueue(licensed).result(90))
    ray.shutdown()
"""


def test_gpus_are_shared_by_the_executors_of_a_worker(programs: Programs) -> None:
    text = programs.start(SCRIPT).succeeds(110)
    for line in ("gpu {'0'}", "executors 2 num_gpus=0.5", "plain plain", "licensed x"):
        assert line in text, text
