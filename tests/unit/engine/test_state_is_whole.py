"""Every fact of the state is carried by the journal, and by snapshot and journal."""

from typing import Any

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.alerts import Report, Rule, Sink, Threshold, Verdict
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.events import Folded, Marked, Opened, Received, decode
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.model import Claim, Job, Quota, Registration, StoredCode
from taskqueue_ray.core.pool import Pool
from taskqueue_ray.core.retention import Retention
from taskqueue_ray.core.shape import Shape
from taskqueue_ray.core.state import State
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import Ledger, facts, meaning
from tests.records import options, save, spec
from tests.schedules import put

LIVE = (JobState.PENDING, JobState.SCHEDULED, JobState.BLOCKED, JobState.PROCESSING)


def _full() -> tuple[Ledger, int]:
    """A queue in which no field is empty, and after how many commits it could be folded."""
    ledger = Ledger()
    ledger.record([Opened(ledger.now, 3)])
    shared = [options(key="k1", tags=("a",)), options(queue="other", priority=9, executor="async")]
    ledger.enqueue([spec(n, n % 2) for n in range(1, 13)], *shared)
    later = ledger.now + 500
    held = spec(22, due=later, unique=Claim("key"), expires=later + 1, workflow="flow:1")
    ledger.enqueue([spec(20, due=later), spec(21, 0, parents=[11, 12]), held], *shared)
    ledger.do(commands.Pause("tag", "paused"))
    kept = Retention(completed=None, failed=1e9)
    ledger.do(commands.Configure("q", 5000, {"gold": 2.0}, kept))
    ledger.do(put(overlap="buffer_one"))
    deep = Rule("deep", Threshold("pending", ">", 1.0), 0.0, sinks=(Sink("log", "log", b"sealed"),))
    ledger.do(commands.SetAlert(deep))
    ledger.do(commands.MuteAlert("no_workers", ledger.now + 60))
    ledger.do(commands.JudgeAlerts(Report([Verdict("deep", ledger.now, True, 2.0, "2 > 1")])))
    ledger.do(commands.SetLimit("api", LimitRule("rate", 5, 1e4, smooth=True)))
    ledger.do(commands.SetLimit("gpu", LimitRule("concurrency", 2), "a key"))
    ledger.do(commands.Acquire("api", 2))
    ledger.do(commands.Throttle("gpu", 1e5))
    ledger.do(commands.StoreCode("hash", StoredCode("f", "3.11", b"sealed", ledger.now)))
    ledger.do(commands.SetQuota(Quota("CPU", 80, True, "q")))
    ledger.do(commands.SetNodeMode("node1", "cordoned"))
    ledger.do(commands.RegisterNode("box", Registration("10.0.0.1", 0, ("ssd",), 2.0)))
    ledger.do(commands.SetStrategy("weighted"))
    ledger.do(commands.SetPool(Pool("p", ("q",), shapes=(Shape(num_gpus=0.5),))))
    grants = ledger.lease(6, _everything())
    ledger.start(*grants[4:])
    ledger.checkpoint(save(grants[1]), save(grants[2], 3, b"kept"), save(grants[5]))
    ledger.end(grants[0])
    ledger.end(grants[1], OutcomeKind.ERRORED, final=True)
    ledger.end(grants[2], OutcomeKind.ERRORED)
    ledger.end(grants[3], OutcomeKind.CANCELLED)
    ledger.cancel(_number(grants[4]))
    ledger.record([Received(ledger.now, "command", b"reply")])
    folded = len(ledger.commits) + 1
    ledger.record([Marked(folded)])
    ledger.now += 10
    ledger.do(commands.Fold(folded))
    ledger.record([Folded(folded, ledger.now - 5000)])
    ledger.end(ledger.lease(1, _everything())[0])
    ledger.record([Marked(len(ledger.commits) + 1)])
    ledger.end(ledger.lease(1, _everything())[0])
    ledger.lease(2, _everything("lost"))
    ledger.lose("lost")
    for _ in range(2):
        ledger.now += 60
        ledger.do(commands.Fire())
    return ledger, folded


def _everything(name: str = "w") -> Any:
    from tests.records import worker

    return worker(name, executors=("process", "async"), keys=("k1",))


def _number(grant: Any) -> int:
    return int.from_bytes(grant.id[10:], "big")


def test_the_example_has_something_in_every_field() -> None:
    state = _full()[0].state
    for name in State.DURABLE:
        assert getattr(state, name), f"{name} is empty: give it a value in `_full`"
    for name in state.alerts.__struct_fields__:
        assert getattr(state.alerts, name), f"alerts.{name} is empty"
    for name in state.limits.__struct_fields__:
        assert getattr(state.limits, name), f"limits.{name} is empty"
    states = {job.state for job in state.jobs.values()}
    assert states >= {*LIVE, JobState.FAILED}
    assert {type(one) for one in state.settled.values()} == {Job, type(_settled(state))}
    for name in ("running", "cancelling", "history", "parents", "due", "suspect", "checkpoint"):
        assert any(getattr(job, name) for job in state.jobs.values()), name
    for name in ("fired", "buffered", "last_job", "due"):
        assert any(getattr(one, name) for one in state.schedules.values()), name


def _settled(state: State) -> object:
    return next(one for one in state.settled.values() if not isinstance(one, Job))


def test_every_field_of_the_state_is_durable_or_derived() -> None:
    assert set(State.__slots__) == set(State.DURABLE) | set(State.DERIVED)
    assert set(State.DURABLE).isdisjoint(State.DERIVED)
    state = State()
    assert all(hasattr(state, name) for name in State.__slots__)


def test_a_replay_carries_every_fact() -> None:
    ledger, _ = _full()
    assert facts(ledger.replayed()) == facts(ledger.state)
    assert meaning(ledger.replayed()) == meaning(ledger.state)


def test_snapshot_and_replay_carry_every_fact() -> None:
    ledger, folded = _full()
    state = _until(ledger, folded)
    state = read_snapshot(write_snapshot(state))
    for payload in ledger.commits[folded:]:
        for event in decode(payload):
            apply(state, event)
    here, there = facts(state), facts(ledger.state)
    assert [name for name in here if here[name] != there[name]] == []
    assert meaning(state) == meaning(ledger.state)


def _until(ledger: Ledger, commit: int) -> State:
    """The state at a mark, folded as the compaction does."""
    state = State()
    for payload in ledger.commits[:commit]:
        for event in decode(payload):
            apply(state, event)
    apply(state, Folded(commit, 0.0))
    return state


@pytest.mark.parametrize("name", [n for n in State.DURABLE if n not in ("unfolded", "marked")])
def test_a_snapshot_carries(name: str) -> None:
    ledger, _ = _full()
    state = ledger.replayed()
    apply(state, Marked(999))
    apply(state, Folded(999, 0.0))
    again = read_snapshot(write_snapshot(state))
    assert getattr(state, name)
    assert facts(again)[name] == facts(state)[name]


def test_a_snapshot_of_what_is_not_folded_is_refused() -> None:
    with pytest.raises(ValueError, match="after a fold"):
        write_snapshot(_full()[0].state)


def test_what_is_derived_is_rebuilt() -> None:
    ledger, _ = _full()
    state = ledger.replayed()
    apply(state, Marked(999))
    apply(state, Folded(999, 0.0))
    again = read_snapshot(write_snapshot(state))
    told = meaning(state)
    assert meaning(again) == told
    full = ("ready", "delayed", "held", "children", "suspects", "next_due")
    assert all(told[name] for name in full)
    # And it goes on in the same way.
    for one in (state, again):
        apply(one, decode(ledger.commits[0])[0])
    assert facts(again) == facts(state)
