"""New jobs: what is taken, what is the same job, what is refused."""

import math
from typing import Any

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.errors import BatchTooLarge, InvalidRequest, QueueFull, TaskQueueError
from taskqueue_ray.core.exchange import EnqueueReply
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId, JobSpec, Options
from taskqueue_ray.core.retry import Backoff
from tests.ledger import Ledger, count_up, facts
from tests.records import batch, job_id, options, spec


def test_accepted_jobs_are_numbered_in_order() -> None:
    ledger = Ledger()
    assert ledger.enqueue([spec(3), spec(1), spec(2)]) == EnqueueReply(3, [])
    assert [ledger.job(n).ordinal for n in (3, 1, 2)] == [1, 2, 3]
    assert ledger.job(1).payload == b"payload 1"
    assert ledger.job(1).enqueued_at == ledger.now


def test_equal_options_are_one_object() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, 0), spec(2, 1)], options(tags=("a",)), options(tags=("a",)))
    ledger.enqueue([spec(3)], options(tags=("a",)))
    assert len({id(ledger.job(n).options) for n in (1, 2, 3)}) == 1


def test_a_repeated_id_is_the_same_job_in_every_state() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in (1, 2, 3)])
    ledger.cancel(2)
    ledger.end(ledger.lease()[0])
    ledger.purge(1)
    before = facts(ledger.state)
    assert ledger.enqueue([spec(1), spec(2), spec(3)]) == EnqueueReply(0, [0, 1, 2])
    assert facts(ledger.state) == before


def test_an_id_twice_in_one_batch_is_one_job() -> None:
    ledger = Ledger()
    first = JobSpec(job_id(1), 0, b"first")
    assert ledger.enqueue([first, spec(1), spec(2)]) == EnqueueReply(2, [1])
    assert ledger.job(1).payload == b"first"
    count_up(ledger.state)


def test_new_jobs_beside_known_ones() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1)])
    assert ledger.enqueue([spec(1), spec(2)]) == EnqueueReply(1, [0])
    assert ledger.order() == [1, 2]


def test_an_id_that_only_history_knows_is_not_taken_again() -> None:
    ledger = Ledger()
    past = {job_id(1): JobState.COMPLETED}
    assert ledger.enqueue([spec(1), spec(2)], past=past) == EnqueueReply(1, [0])
    assert ledger.order() == [2]


def test_an_empty_batch_is_nothing() -> None:
    ledger = Ledger()
    assert ledger.enqueue([]) == EnqueueReply(0, [])
    assert ledger.commits == []


def _refused(jobs: list[JobSpec], *shared: Options, bounds: Bounds | None = None) -> TaskQueueError:
    ledger = Ledger(bounds or Bounds())
    ledger.enqueue([spec(50)])
    before = facts(ledger.state)
    with pytest.raises(TaskQueueError) as caught:
        ledger.enqueue(jobs, *shared)
    assert facts(ledger.state) == before
    assert str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "bad",
    [
        {"queue": ""},
        {"queue": "../x"},
        {"queue": "Größe"},
        {"queue": "q" * 300},
        {"queue": "Q"},
        {"priority": -1},
        {"priority": 101},
        {"max_attempts": 0},
        {"timeout": -1.0},
        {"timeout": math.nan},
        {"cancel_grace": -1.0},
        {"cancel_grace": math.nan},
        {"backoff": Backoff(base=math.nan)},
        {"backoff": Backoff(base=-1)},
        {"backoff": Backoff(factor=math.nan)},
        {"backoff": Backoff(factor=-2.0)},
        {"backoff": Backoff(factor=math.inf)},
        {"backoff": Backoff(max=math.inf)},
    ],
)
def test_bad_options_refuse_the_whole_batch(bad: dict[str, Any]) -> None:
    assert isinstance(_refused([spec(1), spec(2, 1)], options(), options(**bad)), InvalidRequest)


@pytest.mark.parametrize(
    "bad",
    [
        JobSpec(JobId(b"short"), 0, b""),
        JobSpec(JobId(b"l" * 17), 0, b""),
        JobSpec(job_id(2), 1, b""),
        JobSpec(job_id(2), -1, b""),
        JobSpec(job_id(2), 0, b"", -1.0),
        JobSpec(job_id(2), 0, b"", math.nan),
        JobSpec(job_id(2), 0, b"", math.inf),
        JobSpec(job_id(2), 0, b"", 1e12),
        spec(2, parents=[3]),
        spec(2, parents=[2]),
        spec(2, parents=[50, 99]),
    ],
)
def test_bad_jobs_refuse_the_whole_batch(bad: JobSpec) -> None:
    assert isinstance(_refused([spec(1), bad, spec(3)]), InvalidRequest)


def test_too_many_jobs_in_one_batch() -> None:
    error = _refused([spec(n) for n in range(1, 5)], bounds=Bounds(max_batch=3))
    assert isinstance(error, BatchTooLarge)


def test_a_full_queue_refuses_and_takes_again_when_there_is_room() -> None:
    ledger = Ledger(Bounds(max_depth=3))
    ledger.enqueue([spec(1), spec(2)])
    with pytest.raises(QueueFull):
        ledger.enqueue([spec(3), spec(4)])
    ledger.enqueue([spec(3)])
    with pytest.raises(QueueFull):
        ledger.enqueue([spec(4)])
    assert ledger.enqueue([spec(1)]) == EnqueueReply(0, [0])  # a repeat needs no room
    ledger.enqueue([spec(5)], options(queue="other"))
    ledger.lease(1)
    ledger.enqueue([spec(4)])


def test_options_that_nobody_refers_to_do_not_count() -> None:
    ledger = Ledger()
    command = commands.Enqueue(batch([], options()))
    assert ledger.do(command) == EnqueueReply(0, [])


def test_the_depth_of_a_queue_counts_its_own_new_jobs_only() -> None:
    ledger = Ledger(Bounds(max_depth=3))
    shared = [options(queue="a"), options(queue="b")]
    both = [spec(n, n % 2) for n in range(1, 7)]
    ledger.enqueue(both, *shared)
    ledger.enqueue(both, *shared)  # a repeat is no new job
    with pytest.raises(QueueFull, match="'b'"):
        ledger.enqueue([spec(9, 1)], *shared)


def test_cancelled_jobs_do_not_wait_for_their_time_in_memory() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, due=ledger.now + 10)])
    ledger.enqueue([spec(n, due=ledger.now + 1000) for n in range(2, 302)])
    ledger.cancel(*range(2, 302))
    assert len(ledger.state.delayed) < 100
    ledger.wait(11)
    assert ledger.order() == [1]
