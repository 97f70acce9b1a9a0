"""Requests and replies of calls to the queue that get lost: nothing twice, nothing missing."""

import json

from tests.cluster.programs import Programs
from tests.cluster.witness import check_recovery

LOSSES = {"num_failures": 60, "req_failure_prob": 5, "resp_failure_prob": 5}
"""In each process: at most so many, and the shares of calls in percent."""

SCRIPT = """
    from concurrent.futures import ThreadPoolExecutor
    import taskqueue_ray as tq
    from tests.cluster import trial_jobs

    if __name__ == "__main__":
        with tq.connect() as q:
            with ThreadPoolExecutor(16) as threads:  # a lost call costs seconds
                ids = list(threads.map(lambda n: q.enqueue(trial_jobs.add, n).id, range(900)))
            ids += [h.id for h in q.enqueue_many(trial_jobs.add.item(n) for n in range(100))]
            print("stored", len(set(ids)), flush=True)
            with q.workers(concurrency=2):
                print("sum", sum(tq.gather(*(q.handle(id) for id in ids))), flush=True)
            stats = q.stats("default")
            print("counts", stats.total, stats.completed, stats.losses)
            rows = q.history().to_arrow().to_pylist()
            print("rows", len(rows), len({row["id"] for row in rows} & set(ids)))
"""


def test_lost_requests_and_replies(programs: Programs) -> None:
    text = programs.start(
        SCRIPT,
        RAY_testing_rpc_failure=json.dumps({"CoreWorkerService.grpc_client.PushTask": LOSSES}),
        RAY_testing_rpc_failure_avoid_intra_node_failures="0",
    ).succeeds(110)
    expected = sum(range(1, 901)) + sum(range(1, 101))
    assert f"sum {expected}" in text, text
    assert "counts 1000 1000 0" in text, text
    assert "rows 1000 1000" in text, text
    check_recovery(programs.folder, programs.key_file)
