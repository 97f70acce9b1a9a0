"""Jobs that have left memory: they are listed, and can be dropped."""

import pytest

import taskqueue_ray as tq
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
    bench.q.enqueue(send, "a@b.c")
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
