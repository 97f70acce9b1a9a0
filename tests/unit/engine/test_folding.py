"""Marking, sealing, folding and publishing; and a power cut at each step of it."""

from random import Random

import pytest

from taskqueue_ray.core.errors import StorageFull, Unavailable
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Settled
from taskqueue_ray.engine.folding import FoldPolicy
from taskqueue_ray.storage.compaction import fold
from taskqueue_ray.storage.history import read_history, to_views
from taskqueue_ray.storage.publication import FoldRequest, FoldResult, publish
from tests.faultfs import Fault, FaultFileSystem, PowerCut
from tests.ledger import facts, meaning
from tests.records import START, job_id, outcome, spec
from tests.unit.engine.engine_trial import Hand, Trial
from tests.unit.engine.folded_trial import Stored

POLICY = FoldPolicy(rows=3, commits=20, age=60.0, retry=10.0)


def _complete(trial: Trial, *numbers: int) -> None:
    hand = Hand(trial, f"hand{numbers[0]}")
    trial.enqueued(*[spec(n) for n in numbers])
    hand.exchange(*[outcome(grant) for grant in hand.exchange(want=len(numbers)).grants])


def _done(trial: Trial) -> None:
    """The fold that is asked for comes to its end."""
    request, done = trial.folds.pop()
    done(FoldResult(request.through, request.sequence + 1, (), 0))
    trial.writer.settle()


def test_enough_finished_jobs_are_a_reason() -> None:
    trial = Trial(policy=POLICY)
    _complete(trial, 1, 2)
    trial.pass_time(1)
    assert trial.folds == []
    _complete(trial, 3)
    trial.pass_time(1)
    ((request, _),) = trial.folds
    assert request.through == len(trial.writer.durable)
    assert trial.state.unfolded == {}
    assert len(trial.state.marked[request.through]) == 3


def test_so_are_many_commits_and_time() -> None:
    trial = Trial(policy=POLICY)
    for number in range(1, 25):
        trial.enqueued(spec(number))
    trial.pass_time(1)
    assert len(trial.folds) == 1
    _done(trial)
    _complete(trial, 30)
    trial.pass_time(POLICY.age - 1)
    assert trial.folds == []
    trial.pass_time(1)
    assert len(trial.folds) == 1


def test_time_alone_is_none() -> None:
    trial = Trial(policy=POLICY)
    trial.enqueued(spec(1))
    for _ in range(5):
        trial.pass_time(POLICY.age)
    assert trial.folds == []


def test_one_fold_at_a_time_and_then_memory_lets_go() -> None:
    trial = Trial(policy=POLICY)
    _complete(trial, 1, 2, 3)
    trial.pass_time(1)
    _complete(trial, 4, 5, 6)
    trial.pass_time(1)
    trial.engine.folding.request()
    trial.writer.settle()
    assert len(trial.folds) == 1
    _done(trial)
    assert isinstance(trial.state.settled[job_id(1)], Settled)
    assert len(trial.state.unfolded) == 3
    trial.pass_time(1)
    assert len(trial.folds) == 1


def test_a_fold_that_failed_is_done_again_with_what_was_sealed() -> None:
    trial = Trial(policy=POLICY)
    _complete(trial, 1, 2, 3)
    trial.pass_time(1)
    request, done = trial.folds.pop()
    done(Unavailable("no node"))
    assert trial.engine.folding.failures == 1
    trial.pass_time(POLICY.retry - 1)
    assert trial.folds == []
    trial.pass_time(1)
    assert trial.folds[0][0] == request
    _done(trial)
    assert trial.engine.folding.error is None
    assert trial.state.folded == request.through


def test_a_segment_that_cannot_be_sealed_is_marked_again() -> None:
    trial = Trial(policy=POLICY)
    _complete(trial, 1, 2, 3)
    trial.writer.can_seal = False
    trial.pass_time(1)
    assert trial.folds == []
    assert isinstance(trial.engine.folding.error, StorageFull)
    first = next(iter(trial.state.marked))
    trial.writer.can_seal = True
    trial.pass_time(POLICY.retry)
    ((request, _),) = trial.folds
    assert request.through > first
    _done(trial)
    assert trial.state.marked == {}


def test_a_fold_waits_while_the_disk_is_full() -> None:
    trial = Trial(policy=POLICY)
    _complete(trial, 1, 2, 3)
    trial.enqueue(spec(4))
    trial.writer.fail(StorageFull("here"))
    for _ in range(3):
        trial.clock.at += 100
        trial.engine.tick()
        trial.writer.fail(StorageFull("here"))
    assert trial.folds == []
    trial.pass_time(1)
    assert len(trial.folds) == 1


# --- on a disk -----------------------------------------------------------------------------------


def test_what_was_folded_is_history_and_the_state_is_the_same() -> None:
    stored = Stored(FaultFileSystem())
    stored.run_jobs(1, 10)
    stored.fold()
    stored.run_jobs(10, 14)
    rows = to_views(read_history(stored.fs))
    assert {view.id for view in rows} == {job_id(n) for n in range(1, 10)}
    again = Stored(stored.fs)
    assert stored.differs_from(again) == []
    assert meaning(again.state) == meaning(stored.state)
    assert len(stored.fs.list("snapshots")) == 1
    again.fold()
    assert len(to_views(read_history(stored.fs))) == 13
    assert Stored(stored.fs).differs_from(again) == []


def test_a_publication_that_failed_half_way_loses_no_history() -> None:
    """The manifest was true already; what came after it failed, and the fold is asked for again."""
    for at in range(1, 30):
        stored = Stored(FaultFileSystem())
        stored.run_jobs(1, 6)
        request = stored.sealed_request()
        done = stored.folds.pop()[1]
        result = fold(stored.fs, request)
        fault = stored.fs.fail(Fault(at))
        try:
            publish(stored.fs, stored.fence, result)
        except OSError:
            stored.fs.heal()
            publish(stored.fs, stored.fence, fold(stored.fs, request))
        stored.fs.heal()
        done(result)
        stored.run_jobs(6, 9)
        stored.fold()
        assert len(to_views(read_history(stored.fs))) == 8, at
        assert Stored(stored.fs).differs_from(stored) == [], at
        if not fault.fired:
            return
    pytest.fail("the publication never ended")


def test_the_next_publication_first_finishes_the_one_before() -> None:
    """The next manifest does not name the history files that the last one was to move."""
    for at in range(1, 30):
        stored = Stored(FaultFileSystem())
        stored.run_jobs(1, 6)
        first = fold(stored.fs, stored.sealed_request())
        done = stored.folds.pop()[1]
        fault = stored.fs.fail(Fault(at))
        try:
            publish(stored.fs, stored.fence, first)
        except OSError:
            stored.fs.heal()
            snapshot = stored.fence.manifest.snapshot
            if snapshot is None:
                continue  # that one never became true
        stored.fs.heal()
        done(first)
        stored.run_jobs(6, 9)
        second = fold(stored.fs, stored.sealed_request())
        publish(stored.fs, stored.fence, second)
        assert len(to_views(read_history(stored.fs))) == 8, at
        if not fault.fired:
            return


def _steps_of_a_fold() -> int:
    stored = Stored(FaultFileSystem())
    stored.run_jobs(1, 6)
    before = stored.fs.operations
    stored.fold()
    return stored.fs.operations - before


@pytest.mark.parametrize("chance", [None, 1])
def test_a_power_cut_at_each_step_of_a_fold(chance: int | None) -> None:
    """The old journal goes only after the manifest is durable, so nothing is ever lost or twice."""
    for step in range(1, _steps_of_a_fold() + 2):
        stored = Stored(FaultFileSystem())
        stored.run_jobs(1, 6)
        expected = facts(stored.state)["jobs"], dict(stored.state.totals)
        stored.fs.cut_power_at(stored.fs.operations + step)
        try:
            stored.fold()
            stored.fs.reboot()
        except PowerCut:
            stored.fs.reboot(None if chance is None else Random(chance * 1000 + step))
        again = Stored(stored.fs)
        assert (facts(again.state)["jobs"], dict(again.state.totals)) == expected, step
        ended = [again.state.state_of(job_id(n)) for n in range(1, 6)]
        assert ended == [JobState.COMPLETED] * 5, step
        again.run_jobs(6, 8)
        again.fold()
        rows = [view.id for view in to_views(read_history(again.fs))]
        assert sorted(rows) == [job_id(n) for n in range(1, 8)], step
        assert Stored(again.fs).differs_from(again) == [], step


def test_a_fold_asked_for_again_after_it_was_published_does_nothing_new() -> None:
    stored = Stored(FaultFileSystem())
    stored.run_jobs(1, 6)
    request = stored.sealed_request()
    publish(stored.fs, stored.fence, fold(stored.fs, request))
    files = stored.fs.contents()
    again = fold(stored.fs, FoldRequest(request.through, request.sequence))
    publish(stored.fs, stored.fence, again)
    assert stored.fs.contents() == files


def test_a_fold_goes_on_from_the_last_one() -> None:
    stored = Stored(FaultFileSystem())
    for first in range(1, 20, 3):
        stored.run_jobs(first, first + 3)
        stored.fold()
        stored.clock.at += 7000
    assert len(to_views(read_history(stored.fs))) == 21
    assert stored.clock.at > START + 40_000
    assert Stored(stored.fs).differs_from(stored) == []
