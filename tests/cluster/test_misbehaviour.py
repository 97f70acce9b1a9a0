"""Job code that does what it should not: a clear reason for it, and nothing for anyone else."""

import pytest

import taskqueue_ray as tq
from tests.cluster import trial_jobs
from tests.cluster.place import Place, worker_pids
from tests.cluster.witness import Told, starts

REASONS = {
    "unserialisable": "taskqueue_ray.core.errors.Unserialisable",
    "BaseException": "BaseException",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "sys.exit": "SystemExit",
    "os._exit": "exit code 0",
    "segfault": "SIGSEGV",
    "endless": "JobTimeout",
    "swallow": "JobTimeout",
}


def test_bad_manners_are_failed_attempts(place: Place) -> None:
    """All at once, among jobs that behave, on one worker that goes on."""
    q = place.connect()
    brief = trial_jobs.misbehaves.options(timeout=2)
    with q.workers(max=1, concurrency=3):
        before = worker_pids(q)
        bad = {how: q.enqueue(brief, how) for how in REASONS}
        talkative = q.enqueue(trial_jobs.misbehaves, "talk")
        good = q.enqueue_many(trial_jobs.add.item(n) for n in range(300))
        assert tq.gather(*good) == [n + 1 for n in range(300)]
        assert talkative.result(60) == 40
        for how, handle in bad.items():
            with pytest.raises(tq.JobFailed) as caught:
                handle.result(60)
            assert caught.value.fields["error_type"] == REASONS[how], (how, str(caught.value))
            assert handle.info().attempts == 1, how
        assert worker_pids(q) == before
        assert q.enqueue(trial_jobs.add, 1).result(60) == 2


def test_a_poison_job_is_quarantined(place: Place) -> None:
    """It kills its worker each time; after two losses it is a dead letter, and others complete."""
    q, told = place.connect(max_losses=2), Told()
    with q.workers(min=2, max=2, concurrency=2):
        poison = q.enqueue(trial_jobs.kills_its_worker, str(place.witness))
        others = q.enqueue_many(
            trial_jobs.witnessed.item(str(place.witness), 0.01) for _ in range(100)
        )
        with pytest.raises(tq.JobFailed, match="WorkerLost"):
            poison.result(90)
        told.durable(others)
        for handle in others:
            told.result(handle, 60)
        record = poison.info()
        assert (record.reason, record.losses) == ("poison", 2)
        assert starts(place.witness)[poison.id] == 2
    assert [job.id for job in q.failed_jobs()] == [poison.id]
