"""Large payloads and results on real actors: two nodes, and the death of the queue's process."""

import os
import signal
from random import Random

import pytest

import taskqueue_ray as tq
from tests.cluster import trial_jobs
from tests.cluster.place import Place
from tests.cluster.programs import Programs

SIZE = 5_000_000


def test_there_and_back(place: Place) -> None:
    q = place.connect()
    data = Random(1).randbytes(SIZE)
    with q.workers(min=1, max=1, concurrency=2):
        handle = q.enqueue(trial_jobs.reversed_bytes, data)
        assert handle.result(60) == data[::-1]
        small = q.enqueue_many(trial_jobs.reversed_bytes.item(data[:n]) for n in range(50))
        large = [q.enqueue(trial_jobs.reversed_bytes, data[: SIZE // n]) for n in range(1, 5)]
        assert [len(one) for one in tq.gather(*small, *large)] == [
            *range(50), *(SIZE // n for n in range(1, 5)),
        ]  # fmt: skip
        record = handle.info()
        assert record.result == data[::-1]
        assert record.arguments == {"data": data}
    files = list((place.folder / "blobs").iterdir())
    assert len(files) == 10
    journal = sum(len(p.read_bytes().rstrip(b"\0")) for p in (place.folder / "journal").iterdir())
    assert journal < 200_000


def test_the_queue_dies_with_them(place: Place) -> None:
    q = place.connect()
    data = Random(2).randbytes(SIZE)
    handles = [q.enqueue(trial_jobs.reversed_bytes, data[n:]) for n in range(3)]
    os.kill(place.ping().pid, signal.SIGKILL)
    handles.append(q.enqueue(trial_jobs.reversed_bytes, data))
    with q.workers(min=1, max=1):
        assert [len(handle.result(60)) for handle in handles] == [SIZE, SIZE - 1, SIZE - 2, SIZE]


SCRIPT = """
    from random import Random
    import ray
    from ray.cluster_utils import Cluster
    import taskqueue_ray as tq
    from taskqueue_ray.cluster.config import NAMESPACE
    from tests.cluster import trial_jobs

    SMALL = {"object_store_memory": 80 << 20}
    DATA = Random(3).randbytes(5_000_000)

    class Blocker:
        def ready(self):
            return True

    def node():
        return ray.get_runtime_context().get_node_id()

    def far_driver(folder):
        with tq.connect(folder) as q:
            return node(), q.enqueue(trial_jobs.reversed_bytes, DATA).id

    if __name__ == "__main__":
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **SMALL})
        ray.init(address=cluster.address, namespace=NAMESPACE)
        here = node()
        cluster.add_node(num_cpus=4, resources={"far": 1}, **SMALL)
        cluster.wait_for_nodes()
        with tq.connect() as q:
            # What could go anywhere goes to the other node now.
            blocker = ray.remote(Blocker).options(num_cpus=0.95).remote()
            ray.get(blocker.ready.remote())
            far = ray.remote(far_driver).options(resources={"far": 0.1})
            where, id = ray.get(far.remote(q.location))
            print("sent from afar", where != here)
            with q.workers(min=3, max=3):
                handles = [q.enqueue(trial_jobs.reversed_bytes, DATA[n:]) for n in range(12)]
                print("result", q.handle(id).result(60) == DATA[::-1])
                print("all", all(h.result(60) == DATA[n:][::-1] for n, h in enumerate(handles)))
                workers = q.worker_health()
                print("workers afar", sum(worker.node != here for worker in workers))
        ray.shutdown()
        cluster.shutdown()
"""


@pytest.mark.slow
def test_two_nodes(programs: Programs) -> None:
    text = programs.start(SCRIPT).succeeds(110)
    for line in ("sent from afar True", "result True", "all True"):
        assert line in text, text
    assert "workers afar 0" not in text, text
