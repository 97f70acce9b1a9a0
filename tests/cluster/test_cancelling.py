"""The time that running jobs have to stop when they are cancelled."""

import taskqueue_ray as tq
from tests.cluster import trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place
from tests.cluster.witness import starts


def test_the_setting_of_a_worker_and_a_jobs_own(place: Place) -> None:
    """Longer than the default of 5 s for the one, none for the other."""
    q = place.connect(cancel_grace="5m")
    file = str(place.witness)
    with q.workers(concurrency=2):
        slow = q.enqueue(trial_jobs.stops_slowly, file, 6.0)
        deaf = q.enqueue(trial_jobs.clings.options(cancel_grace=0), file)
        eventually(lambda: len(starts(place.witness)) == 2, "both run")
        q.cancel(slow)
        q.cancel(deaf)
        assert deaf.wait(60)
        assert deaf.status() is tq.JobState.CANCELLED
        assert slow.status() is tq.JobState.PROCESSING
        assert slow.wait(60)
        assert slow.status() is tq.JobState.COMPLETED, "what ends by itself counts as it ended"
