"""Jobs that have left memory: they are listed, and can be dropped."""

from itertools import count

import pytest

import taskqueue_ray as tq
from taskqueue_ray.engine.verifying import verify
from taskqueue_ray.sdk import purging
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import break_down, send


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


@pytest.fixture
def in_a_fold(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A fold that goes on until somebody pauses for it."""
    bench.host.slow_fold = True

    def pause(_: float) -> None:
        with bench.host.lock:
            bench.host.folds.pop(0)()

    monkeypatch.setattr(purging, "sleep", pause)
    return bench


def test_a_purge_is_complete_when_a_fold_is_on_its_way(in_a_fold: Bench) -> None:
    bench = in_a_fold
    earlier = [bench.q.enqueue(send, "a@b.c") for _ in range(3)]
    bench.work()
    bench.fold()
    later = [bench.q.enqueue(send, "a@b.c") for _ in range(2)]
    bench.work()
    assert len(bench.host.folds) == 1
    assert bench.q.purge(state="completed") == 5
    assert list(bench.q.jobs(state="completed")) == []
    assert len(bench.q.history()) == 0
    for handle in [*earlier, *later]:
        with pytest.raises(tq.JobNotFound):
            bench.q.job(handle.id)
    bench.host.slow_fold = False
    bench.restart()
    bench.fold()
    assert len(bench.q.history()) == 0


def test_a_purge_asks_for_the_fold_that_the_mark_of_another_left_undone(in_a_fold: Bench) -> None:
    bench = in_a_fold
    _ = bench.q.enqueue(send, "a@b.c")
    bench.work()
    bench.fold()
    bench.host.folds.clear()
    bench.restart()
    assert bench.q.purge(state="completed") == 1
    assert len(bench.q.history()) == 0


def test_a_purge_waits_for_no_fold_of_jobs_that_it_does_not_drop(in_a_fold: Bench) -> None:
    bench = in_a_fold
    kept = bench.q.enqueue(send, "a@b.c")
    dead = bench.q.enqueue(break_down, "why")
    bench.work()
    bench.fold()
    assert bench.q.purge(state="completed", older_than="1h") == 0
    assert bench.q.purge(state="failed") == 1
    assert len(bench.host.folds) == 1
    assert bench.q.job(kept.id).state == "completed"
    with pytest.raises(tq.JobNotFound):
        bench.q.job(dead.id)


def test_a_purge_does_not_wait_for_ever(in_a_fold: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = in_a_fold
    _ = bench.q.enqueue(send, "a@b.c")
    bench.work()
    bench.fold()
    moments = count(0.0, 7.0)
    monkeypatch.setattr(purging, "sleep", lambda _: None)
    monkeypatch.setattr(purging, "monotonic", lambda: next(moments))
    asked = bench.host.asked.count("fold")
    with pytest.raises(tq.Unavailable, match="does not end"):
        bench.q.purge(state="completed")
    # Not at every look, since each that fails is work for nothing.
    assert 5 < bench.host.asked.count("fold") - asked < 12


def test_a_job_in_a_fold_can_be_deleted(in_a_fold: Bench) -> None:
    bench = in_a_fold
    gone = bench.q.enqueue(send, "a@b.c")
    waits = bench.q.enqueue(send.options(delay="1h"), "a@b.c")
    bench.work()
    bench.fold()
    bench.q.delete(gone)
    with pytest.raises(tq.JobNotFound):
        bench.q.job(gone.id)
    with pytest.raises(tq.Conflict):
        bench.q.delete(waits)


# --- retention ------------------------------------------------------------------------------------

DAY = 86_400.0


def test_ended_jobs_are_kept_for_as_long_as_their_queue_says(bench: Bench) -> None:
    bench.q.queues.configure("mail", retention={"completed": "1h", "failed": "30d"})
    bench.restart()
    assert str(bench.q.queues.settings("mail").retention) == "completed=1h, failed=30d"
    mail = bench.q.enqueue(send, "a@b.c")
    other = bench.q.enqueue(send.options(queue="other"), "a@b.c")
    dead = bench.q.enqueue(break_down.options(queue="mail"), "why")
    bench.work()
    bench.fold()
    assert {job.id for job in bench.q.jobs(state="completed")} == {mail.id, other.id}
    bench.advance(3601)
    _ = bench.q.enqueue(send, "later")
    bench.work()
    bench.fold()
    assert mail.id not in {job.id for job in bench.q.jobs(state="completed")}
    assert bench.q.job(other.id).state == "completed"
    assert [job.id for job in bench.q.failed_jobs()] == [dead.id]
    bench.advance(30 * DAY)
    assert list(bench.q.failed_jobs()) == []
    assert bench.q.redrive(dead) == []
    bench.fold()
    assert "failed" not in bench.q.history().to_arrow()["state"].to_pylist()


def test_a_queue_returns_to_what_holds_for_all(bench: Bench) -> None:
    configure = bench.q.queues.configure
    assert configure("mail", retention="3d", max_depth=5).retention is not None
    assert configure("mail", weights={"a": 2}).retention is not None
    assert configure("mail", retention=None).retention is None
    assert bench.q.queues.settings("mail").max_depth == 5
