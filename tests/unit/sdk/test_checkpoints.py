"""Checkpoints as a program sees them: a job goes on where it was, and its record says so."""

from datetime import UTC, datetime

import taskqueue_ray as tq
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import copy


def test_a_job_goes_on_where_it_was(bench: Bench) -> None:
    handle = bench.q.enqueue(copy, 5, 3)
    bench.work()
    bench.restart()
    bench.advance(10)
    bench.work()
    assert handle.result() == [3, 4]


def test_its_record_says_when_and_how_large_and_nothing_else(bench: Bench) -> None:
    handle = bench.q.enqueue(copy, 5, 3)
    assert handle.info().checkpoint is None
    assert "checkpoint" not in handle.info().to_dict()
    bench.work()
    kept = handle.info().checkpoint
    assert kept is not None
    assert kept.at == datetime.fromtimestamp(bench.host.clock.now(), UTC)
    assert 40 < kept.size < 100
    assert handle.info().to_dict()["checkpoint"] == {"at": kept.at, "size": kept.size}
    bench.advance(10)
    bench.work()
    assert handle.info().checkpoint is None, "a job that has completed needs none"


def test_a_redriven_dead_letter_goes_on_as_well(bench: Bench) -> None:
    handle = bench.q.enqueue(copy.options(max_attempts=1), 5, 3)
    bench.work()
    assert handle.status() is tq.JobState.FAILED
    bench.fold()
    bench.restart()
    bench.q.redrive(handle)
    bench.work()
    assert handle.result() == [3, 4]
