"""Jobs that wait for jobs which others enqueued, on real actors and through kills."""

import taskqueue_ray as tq
from tests.cluster import processes, trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place, worker_pids

ITEMS = 700


def test_a_map_in_a_batch_through_kills_with_one_executor(place: Place) -> None:
    """What waits keeps no executor: one is enough for the map, its items and the callback."""
    q = place.connect()
    with q.workers(max=2, concurrency=1):
        with q.batch("day", on_complete=trial_jobs.tell, on_failure=trial_jobs.tell) as batch:
            sums = batch.map(trial_jobs.add, batch.add(trial_jobs.numbers, ITEMS), b=2)
        eventually(lambda: batch.progress().done > 1, "items are there")
        processes.kill(worker_pids(q)[0])
        processes.kill(place.ping().pid)
        assert sums.result(120) == [n + 2 for n in range(ITEMS)]
        told = batch.callback("on_complete").result(60)
        assert told == {"total": ITEMS + 2, "failed": 0}
        assert batch.callback("on_failure").wait(60) is tq.JobState.CANCELLED
    assert batch.wait(1).total == ITEMS + 2
    assert sums.info().attempts == 1
