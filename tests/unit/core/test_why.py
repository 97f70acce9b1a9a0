"""Every reason for which a job can wait has a word, a sentence and data."""

from taskqueue_ray.core import commands
from taskqueue_ray.core.exchange import OutcomeKind, WorkerInfo
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.shape import Shape
from taskqueue_ray.core.why import Why, explain
from tests.ledger import Ledger
from tests.records import job_id, options, spec, worker


def why(ledger: Ledger, number: int, *workers: WorkerInfo) -> Why:
    return explain(ledger.state, ledger.job(number), workers or (worker(),), ledger.now)


def test_a_delay() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, due=ledger.now + 90)])
    found = why(ledger, 1)
    assert (found.reason, found.facts) == ("delay", {"due": ledger.now + 90})
    assert "90 s" in found.sentence


def test_a_retry() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1)])
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED)
    found = why(ledger, 1)
    assert (found.reason, found.facts["attempt"], found.facts["of"]) == ("retry", 1, 3)


def test_parents() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2), spec(3, parents=[1, 2], on_parent_failure="wait")])
    ledger.end(ledger.lease()[0])
    found = why(ledger, 3)
    assert (found.reason, found.facts["awaited"], found.facts["of"]) == ("parents", 1, 2)
    assert found.facts["parents"] == [{"id": job_id(2).hex(), "state": "pending"}]
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED, final=True)
    found = why(ledger, 3)
    assert found.facts["failed"] == 1
    assert job_id(2).hex() in found.sentence


def test_pauses() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1)], options(type="t", tags=("x",)))
    for kind, name in (("tag", "x"), ("type", "t"), ("queue", "q")):
        ledger.do(commands.Pause(kind, name))
        found = why(ledger, 1)
        assert found.reason == "paused"
        assert (found.facts["kind"], found.facts["name"]) == (kind, name)


def test_a_concurrency_key() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, concurrency_key="k"), spec(2, concurrency_key="k")])
    ledger.lease()
    found = why(ledger, 2)
    assert found.reason == "key"
    assert found.facts == {"key": "k", "holder": job_id(1).hex(), "state": "processing"}


def test_no_worker_serves_it() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1)])
    assert why(ledger, 1, worker(queues=("other",))).reason == "no_workers"
    assert explain(ledger.state, ledger.job(1), (), ledger.now).reason == "no_workers"


def test_no_worker_can_run_it() -> None:
    ledger = Ledger()
    shared = [options(key="k1"), options(python="3.12"), options(executor="async")]
    ledger.enqueue([spec(1, 0), spec(2, 1), spec(3, 2)], *shared)
    poor = worker(executors=("process",))
    for number, lacks in ((1, "key k1"), (2, "Python 3.12"), (3, "'async'")):
        found = why(ledger, number, poor)
        assert found.reason == "no_fitting_worker"
        assert lacks in found.sentence


def test_its_turn() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in range(1, 5)])
    found = why(ledger, 4)
    assert (found.reason, found.facts["ahead"]) == ("turn", 3)


def test_that_it_runs_or_has_ended() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1)])
    grant = ledger.lease()[0]
    assert (why(ledger, 1).reason, why(ledger, 1).facts["worker"]) == ("running", "w")
    ledger.end(grant)
    assert why(ledger, 1).facts["state"] == JobState.COMPLETED


def test_ray_has_no_place_for_it_yet() -> None:
    ledger = Ledger()
    shape = Shape(num_gpus=2.0)
    ledger.enqueue([spec(1)], options(executor="task", shape=shape))
    able = worker(executors=("task",))
    ledger.do(commands.Lease(able, 1))
    found = why(ledger, 1, able)
    assert (found.reason, found.facts["shape"]) == ("resources", "num_gpus=2")
    assert "waits for its task to start in Ray, which asks for num_gpus=2" in found.sentence
    ledger.do(commands.Start(able.id, [job_id(1)]))
    assert why(ledger, 1, able).reason == "running"
