"""Two Ray nodes and a folder on the first: what belongs to the folder stays there."""

from tests.cluster.programs import Programs

SCRIPT = """
    import sys
    import ray
    from ray.cluster_utils import Cluster
    import taskqueue_ray as tq
    from taskqueue_ray.cluster.config import NAMESPACE
    from tests.cluster import trial_jobs
    from tests.cluster.patience import eventually

    def second_driver(folder, key_file):
        with tq.connect(folder, key_file=key_file) as q:
            return q.enqueue(trial_jobs.add, 20, 22).id, ray.get_runtime_context().get_node_id()

    if __name__ == "__main__":
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "object_store_memory": 80 << 20,
                            "include_dashboard": False},
        )
        ray.init(address=cluster.address, namespace=NAMESPACE)
        here = ray.get_runtime_context().get_node_id()
        q = tq.connect()
        other = cluster.add_node(num_cpus=2, resources={"far": 1}, object_store_memory=80 << 20)
        cluster.wait_for_nodes()
        from tests.cluster.place import ping
        assert ping(q).node == here, "the queue actor is where its folder is"
        with q.workers(min=3, max=3):
            nodes = {worker.node for worker in q.worker_health()}
            print("nodes of workers", len(nodes))
            settings = q.location, sys.argv[2]
            far = ray.remote(resources={"far": 0.1})(second_driver)
            id, node = ray.get(far.remote(*settings))
            assert node != here
            print("from afar", q.handle(id).result(60))
            handles = q.enqueue_many(trial_jobs.where.item() for _ in range(300))
            print("ran on", len(set(tq.gather(*handles))), "nodes")
            q.fold()
        rows = q.history().to_arrow().to_pylist()
        print("rows", len(rows))
        from ray.util.state import list_tasks
        q.close()
        ray.shutdown()
        cluster.shutdown()
"""
