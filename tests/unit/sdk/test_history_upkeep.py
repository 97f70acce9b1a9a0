"""Jobs that have left memory: they are listed, and can be dropped."""

import pytest

import taskqueue_ray as tq
from taskqueue_ray.engine.verifying import verify
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send


def test_completed_jobs_are_listed_when_history_has_them(bench: Bench) -> None:
    handles = [bench.q.enqueue(send, "a@b.c") for n in range(3)]
    bench.work()
    bench.fold()
    late = bench.q.enqueue(send, "a@b.c")
    bench.work()
    listed = bench.q.jobs(state="completed")
    assert {record.id for record in listed} == {handle.id for handle in [*handles, late]}
    assert listed[0].id == late.id


def test_a_purge_drops_old_rows_of_the_history_and_no_others(bench: Bench) -> None:
    _ = bench.q.enqueue(send, "a@b.c")
    bench.work()
    bench.fold()
    assert bench.q.purge(state="completed", older_than="30d") == 0
    assert len(bench.q.history()) == 1
    assert bench.q.purge(state="cancelled") == 0
    assert bench.q.purge(state="completed") == 1
    assert len(bench.q.history()) == 0


def test_a_job_in_the_history_can_be_deleted_once(bench: Bench) -> None:
    kept, gone = (bench.q.enqueue(send, "a@b.c") for n in range(2))
    bench.work()
    bench.fold()
    bench.q.delete(gone)
    with pytest.raises(tq.JobNotFound):
        bench.q.job(gone.id)
    assert bench.q.job(kept.id).state == "completed"
    with pytest.raises(tq.JobNotFound):
        bench.q.delete(gone)


def test_a_pruned_history_survives_a_restart_and_the_next_fold(bench: Bench) -> None:
    kept, *gone = (bench.q.enqueue(send, "a@b.c") for _ in range(3))
    bench.work()
    bench.fold()
    for handle in gone:
        bench.q.delete(handle)
    bench.restart()
    later = bench.q.enqueue(send, "a@b.c")
    bench.work()
    bench.fold()
    bench.restart()
    assert {record.id for record in bench.q.jobs(state="completed")} == {kept.id, later.id}
    assert verify(bench.host.fs).history_rows == 2
    assert bench.q.purge(state="completed") == 2
    bench.restart()
    assert len(bench.q.history()) == 0


def test_a_purge_does_not_stop_at_the_end_of_a_page(bench: Bench) -> None:
    bench.q.enqueue_many(send.item("a@b.c") for _ in range(1_200))
    while bench.work():
        pass
    assert bench.q.purge(state="completed") == 1_200
