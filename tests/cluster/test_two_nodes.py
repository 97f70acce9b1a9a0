"""Two Ray nodes and a folder on the first: what belongs to the folder stays there."""

from tests.cluster.programs import Programs

SCRIPT = """
    import asyncio
    import sys
    import ray
    from ray.cluster_utils import Cluster
    import taskqueue_ray as tq
    from taskqueue_ray.cluster.archive import Archive
    from taskqueue_ray.cluster.config import NAMESPACE
    from taskqueue_ray.cluster.probe import ping
    from taskqueue_ray.storage.filesystem import LocalFileSystem
    from tests.cluster import trial_jobs

    SMALL = {"object_store_memory": 80 << 20}

    class Blocker:
        def ready(self):
            return True

    def node(_location=""):
        return ray.get_runtime_context().get_node_id()

    def second_driver(folder):
        with tq.connect(folder) as q:
            return q.enqueue(trial_jobs.add, 20, 22).id, node()

    async def placed(q, count):
        archive = Archive(q.location, LocalFileSystem(q.location))
        return await asyncio.gather(*(archive._task(node, "node") for _ in range(count)))

    if __name__ == "__main__":
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **SMALL})
        ray.init(address=cluster.address, namespace=NAMESPACE)
        here = node()
        other = cluster.add_node(num_cpus=4, resources={"far": 1}, **SMALL)
        cluster.wait_for_nodes()
        with tq.connect() as q:
            # What could go anywhere goes to the other node now.
            blocker = ray.remote(Blocker).options(num_cpus=0.95).remote()
            ray.get(blocker.ready.remote())
            with q.workers(min=3, max=3):
                workers = q.worker_health()
                print("workers afar", sum(worker.node != here for worker in workers))
                far = ray.remote(second_driver).options(resources={"far": 0.1})
                id, its = ray.get(far.remote(q.location))
                print("second driver afar", its != here)
                print("its job", q.handle(id).result(60))
                handles = q.enqueue_many(trial_jobs.add.item(n) for n in range(300))
                print("sum", sum(tq.gather(*handles)))
            print("queue actor here", ping(q._transport).node == here)
            print("tasks here", set(asyncio.run(placed(q, 8))) == {here})
            print("rows", len(q.history().to_arrow()))
        ray.shutdown()
        cluster.shutdown()
"""


def test_a_folder_and_two_nodes(programs: Programs) -> None:
    text = programs.start(SCRIPT).succeeds(110)
    for line in (
        "second driver afar True",
        "its job 42",
        f"sum {sum(range(1, 301))}",
        "queue actor here True",
        "tasks here True",
        "rows 301",
    ):
        assert line in text, text
    assert "workers afar 0" not in text, text
