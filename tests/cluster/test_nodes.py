"""Several Ray nodes: where workers go, and what becomes of jobs when a node goes."""

import pytest

from tests.cluster.programs import Programs

BEGIN = """
    import time
    import ray
    from ray.cluster_utils import Cluster
    import taskqueue_ray as tq
    from taskqueue_ray.cluster.config import NAMESPACE
    from tests.cluster import trial_jobs
    from tests.cluster.patience import eventually

    SMALL = {"object_store_memory": 80 << 20}
    WITNESS, GATE = "witness", "gate"

    def open_cluster(**far):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, **SMALL})
        ray.init(address=cluster.address, namespace=NAMESPACE, log_to_driver=False)
        node = cluster.add_node(num_cpus=2, **far, **SMALL)
        cluster.wait_for_nodes()
        return cluster, node

    def open_queue():
        q = tq.connect()
        eventually(lambda: len(q.nodes.list()) == 2, "both nodes are seen")
        return q

    def waiting(q):
        return q.enqueue(trial_jobs.waits_for, WITNESS, GATE, 100.0)

    def node_of(q, handle):
        '''Where a job runs.'''
        for worker in q.worker_health():
            if handle.id in worker.running:
                return worker.node
        return None

    def workers_on(q, node):
        return len(q.nodes.get(node).workers)
"""

KILLED = (
    BEGIN
    + """
    if __name__ == "__main__":
        cluster, far = open_cluster()
        head = cluster.head_node.node_id
        with open_queue() as q, q.workers(min=2, max=2, concurrency=1):
            print("one each", workers_on(q, head), workers_on(q, far.node_id))
            q.nodes.cordon(head)
            handle = waiting(q)
            eventually(lambda: node_of(q, handle) == far.node_id, "it runs on the open node")
            q.nodes.readmit(head)
            began = time.monotonic()
            cluster.remove_node(far, allow_graceful=False)
            eventually(lambda: node_of(q, handle) == head, "it runs elsewhere")
            print("elsewhere after", round(time.monotonic() - began, 1))
            open(GATE, "w").close()
            handle.result(60)
            print("counted", handle.info().attempts, handle.info().losses)
            eventually(lambda: q.nodes.get(far.node_id).state == "dead", "Ray says that it is dead")
        ray.shutdown()
        cluster.shutdown()
"""
)

OPERATED = (
    BEGIN
    + """
    from ray._raylet import GcsClient

    if __name__ == "__main__":
        cluster, far = open_cluster(resources={"license": 2})
        head = cluster.head_node.node_id
        q = open_queue()
        print("selected", q.load_balancer.select_node(["license"]).id == far.node_id)
        q.nodes.register(far.node_id[:10], capabilities=["ssd"], weight=3)
        q.load_balancer.strategy = "weighted"
        with q.workers(min=4, max=4, concurrency=1):
            print("weighted", workers_on(q, head), workers_on(q, far.node_id))

            # Fence: its jobs run elsewhere though they still run there.
            q.nodes.cordon(head)
            handle = waiting(q)
            eventually(lambda: node_of(q, handle) == far.node_id, "it runs on the far node")
            q.nodes.readmit(head)
            q.fault_tolerance.handle_network_partition(far.node_id, True)
            eventually(lambda: node_of(q, handle) == head, "it runs on the head")
            job = handle.info()
            print("fenced", job.attempts, job.losses, workers_on(q, far.node_id))
            q.fault_tolerance.handle_network_partition(far.node_id, False)
            print("readmitted", q.nodes.get(far.node_id).state)

            # Drain by an operator: they give back, leave, and come up elsewhere.
            q.nodes.cordon(head)
            second = waiting(q)
            eventually(lambda: node_of(q, second) == far.node_id, "it runs on the far node")
            q.nodes.readmit(head)
            began = time.monotonic()
            q.nodes.drain(far.node_id, within="1s")
            eventually(lambda: node_of(q, second) == head, "it runs on the head")
            print("drained after", round(time.monotonic() - began, 1))
            print("counted", second.info().attempts, second.info().losses)
            eventually(lambda: workers_on(q, head) == 4, "all workers are on the head")
            print("left behind", workers_on(q, far.node_id))
            q.nodes.readmit(far.node_id)
            open(GATE, "w").close()
            tq.gather(handle, second, timeout=60)
        import os
        os.remove(GATE)

        # Ray's own notice, as of a spot machine that is to end.
        with q.workers(min=2, max=2, concurrency=1):
            q.nodes.cordon(head)
            third = waiting(q)
            eventually(lambda: node_of(q, third) == far.node_id, "it runs on the far node")
            q.nodes.readmit(head)
            began = time.monotonic()
            end = int((time.time() + 8) * 1000)
            print(GcsClient(address=cluster.address).drain_node(far.node_id, 2, "spot", end))
            eventually(lambda: node_of(q, third) == head, "it runs on the head", 30)
            print("noticed after", round(time.monotonic() - began, 1))
            print("counted", third.info().attempts, third.info().losses)
            open(GATE, "w").close()
            third.result(60)
        q.close()
        ray.shutdown()
        cluster.shutdown()
"""
)


def test_the_jobs_of_a_node_that_is_killed_run_elsewhere_within_seconds(
    programs: Programs,
) -> None:
    text = programs.start(KILLED).succeeds(110)
    assert "one each 1 1" in text, text
    assert "counted 1 1" in text, text
    seconds = float(text.split("elsewhere after")[1].split()[0])
    assert seconds < 15.0, text


@pytest.mark.slow
def test_nodes_are_weighted_fenced_drained_and_ended_by_ray(programs: Programs) -> None:
    text = programs.start(OPERATED).succeeds(170)
    assert "selected True" in text, text
    assert "weighted 1 3" in text, text
    assert "fenced 0 0 0" in text, text
    assert "readmitted alive" in text, text
    assert text.count("counted 0 0") == 2, text
    assert "left behind 0" in text, text
