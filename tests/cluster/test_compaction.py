"""Snapshots and history written beside a queue that goes on, and what is found in them later."""

from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

import taskqueue_ray as tq
from taskqueue_ray.cluster import bootstrap
from taskqueue_ray.cluster.config import QueueConfig
from taskqueue_ray.core.envelopes import encode
from tests.cluster import processes, trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place
from tests.cluster.witness import Told, check, check_recovery

NIL = b"\xc0"


def _snapshots(place: Place) -> list[str]:
    return sorted(path.name for path in (place.folder / "snapshots").glob("*"))


def _has_files(place: Place, count: int) -> bool:
    """Whether history has that many files, which are named by the range that they fold."""
    return len(list((place.folder / "history").rglob("*.parquet"))) >= count


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues made here fold every hundred jobs, and remember none that history has."""
    usual = bootstrap._queue_config

    def made(*arguments: Any, **options: Any) -> QueueConfig:
        found = usual(*arguments, **options)
        bounds = replace(found.bounds, remember_seconds=0.0)
        return replace(found, bounds=bounds, fold_rows=100)

    monkeypatch.setattr(bootstrap, "_queue_config", made)


def test_folding_under_load(place: Place, eager: None) -> None:
    """Several folds while jobs come and go, and a kill; then everything is in history once."""
    q, told = place.connect(), Told()
    job = trial_jobs.witnessed.options(queue="trial")
    with q.workers(concurrency=2):
        waiting = trial_jobs.add.options(delay=3600).enqueue(1)
        for folds in (1, 2, 3):
            handles = q.enqueue_many(job.item(str(place.witness)) for _ in range(150))
            told.durable(handles)
            for handle in handles:
                told.result(handle, 60)
            eventually(partial(_has_files, place, folds), "history grows")
        eventually(lambda: len(_snapshots(place)) == 1, "old snapshots are deleted")
        late = q.enqueue_many(job.item(str(place.witness)) for _ in range(50))
        told.durable(late)
        processes.kill(place.ping().pid)
        for handle in late:
            told.result(handle, 60)
        assert waiting.status() is tq.JobState.SCHEDULED
        waiting.cancel()
    check(q, place.witness, told)
    q.close()  # an open client would bring the actor back
    place.shut_down()
    state = check_recovery(place.folder, place.key_file)
    assert state.folded > 0, "recovery begins with a snapshot"


def test_jobs_that_left_memory(place: Place, eager: None) -> None:
    """Results, records and ids of jobs that only history knows."""
    q = place.connect()
    kept = tq.new_id()
    with q.workers():
        handle = trial_jobs.add.options(id=kept).enqueue(20, 22)
        assert handle.result(60) == 42
        place.call("fold")
        eventually(lambda: place.call("job", encode(handle.raw_id)) == NIL, "memory forgets it")
        fresh = place.connect().handle(kept)
        assert fresh.result(60) == 42
        assert fresh.info().arguments == {"a": 20, "b": 22}
        again = trial_jobs.add.options(id=kept).item(20, 22)
        assert q.enqueue(again).id == handle.id == kept
        assert q.enqueue(again).result(60) == 42
        assert q.stats("default").total == 1
    assert len(q.history().to_arrow()) == 1


@pytest.mark.slow
def test_ended_jobs_are_kept_for_their_term(place: Place, eager: None) -> None:
    """Rows go after a fold, by a task of their own; dead letters are purged by the queue."""
    q = place.connect()
    q.queues.configure("short", retention={"completed": "1s", "failed": "1s"})
    with q.workers():
        gone = trial_jobs.add.options(queue="short").enqueue(1, 2)
        kept = trial_jobs.add.enqueue(1, 2)
        dead = trial_jobs.fails_until.options(queue="short", max_attempts=1).enqueue(9)
        assert (gone.result(60), kept.result(60)) == (3, 3)
        assert dead.wait(60) is tq.JobState.FAILED
    eventually(lambda: not q.failed_jobs(), "the dead letter is purged")
    place.call("fold")

    def rows() -> list[str]:
        return [row["id"] for row in q.history().to_arrow().to_pylist()]

    def only_kept() -> bool:
        if kept.id in rows():
            _ = trial_jobs.add.options(queue="short", delay="1h").enqueue(1).cancel()
            place.call("fold")
        return gone.id not in rows() and kept.id in rows()

    eventually(only_kept, "history drops what is beyond its term")
