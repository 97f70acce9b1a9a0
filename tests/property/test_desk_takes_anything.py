"""Whatever bytes come to the desk: one answer, a typed one, and what is refused changes nothing."""

import math
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue_ray.core.admission import WorkersWanted
from taskqueue_ray.core.alerts import Code, Delivery, Report, Rule, Sink, Threshold, Verdict
from taskqueue_ray.core.blobs import Blob, BlobPart, BlobWanted
from taskqueue_ray.core.changes import Changes
from taskqueue_ray.core.commands import (
    Backfill,
    Configure,
    DeleteAlert,
    DeleteLimit,
    DeletePool,
    DeleteQuota,
    DropSchedule,
    ForgetNode,
    JudgeAlerts,
    MuteAlert,
    Pause,
    RegisterNode,
    Resume,
    ReviseSchedule,
    RunSchedule,
    SetAlert,
    SetLimit,
    SetPool,
    SetQuota,
    SetStrategy,
    TestAlert,
    Throttle,
)
from taskqueue_ray.core.demand import LookRequest, PoolLook, Staff
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.envelopes import encode, open_reply
from taskqueue_ray.core.errors import InvalidRequest, TaskQueueError
from taskqueue_ray.core.events import Folded, Marked
from taskqueue_ray.core.exchange import (
    AcquireRequest,
    Cursor,
    FireRequest,
    JobFilter,
    OutcomeKind,
    Progress,
    WatchRequest,
    WorkRequest,
)
from taskqueue_ray.core.metering import Vitals
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.model import (
    Claim,
    Failure,
    Input,
    Quota,
    Registration,
    StoredCode,
    Use,
)
from taskqueue_ray.core.nodes import NodeSight
from taskqueue_ray.core.pool import Pool
from taskqueue_ray.core.retention import Retention
from taskqueue_ray.core.rules import Every
from taskqueue_ray.core.shape import Shape
from taskqueue_ray.core.views import finished_view
from taskqueue_ray.engine.desk import Desk
from taskqueue_ray.storage.blobs import BlobFiles
from taskqueue_ray.storage.history import history_files
from taskqueue_ray.storage.manifest import take_over
from taskqueue_ray.storage.memory import MemoryFileSystem
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import count_up, facts
from tests.records import job_id, options, outcome, raw_batch, spec, worker
from tests.schedules import plan, put
from tests.unit.engine.engine_trial import Hand, Trial

LONG = 3600.0
"""No call is held for longer, whatever was asked."""

DEEP = b"\x91" * 50_000
EXTREMES: dict[type, list[Any]] = {
    float: [math.nan, math.inf, -math.inf, -1.0, 1e300, 1e13, 0.0],
    int: [-1, 0, 2**31, 2**63 - 1, 2**64 - 1, -(2**63), math.nan, math.inf],
    str: ["", "\x00", "/", "x" * 5000],
    bytes: [b"", b"x", bytes(16), bytes(17)],
    bool: [False, True],
    type(None): [1, "x", 1e300],
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]),
    st.floats(),
    st.binary(max_size=20),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
)


class Counter:
    """A desk with a bit of everything behind it: jobs of every state, a worker, a client."""

    def __init__(self) -> None:
        fs = MemoryFileSystem()
        self.trial = trial = Trial(blobs=BlobFiles(fs, take_over(fs, "here")))
        trial.writer.at_once = True
        trial.enqueued(*[spec(n) for n in range(1, 9)], shared=options(max_attempts=1))
        trial.enqueued(spec(9, due=trial.clock.at + 50), spec(10, parents=[1]))
        self.hand = Hand(trial)
        self.grants = self.hand.exchange(want=6).grants
        ended = outcome(self.grants[3]), outcome(self.grants[4], OutcomeKind.ERRORED)
        self.hand.exchange(*ended, running=[job_id(1)])
        trial.watched(1, job_id(1), reset=True)
        rule = Rule("deep", Threshold("pending", ">", 1.0, "q"), 0.0)
        self.rule = trial.engine.path.execute(SetAlert(rule))
        fires = Verdict("deep", self.rule.at, True, 2.0, "2 > 1")
        trial.engine.path.execute(JudgeAlerts(Report([fires])))
        trial.engine.commits.flush()
        limits = {"api": LimitRule("rate", 2, 60.0), "gpu": LimitRule("concurrency", 2)}
        for name, limit in limits.items():
            trial.engine.control(SetLimit(name, limit, "k"), lambda _: None)
        for command in (
            SetPool(Pool("p", ("q",))),
            RegisterNode("box", Registration("", 0, ("ssd",))),
        ):
            trial.engine.path.execute(command)
        trial.engine.observe(
            [NodeSight("node1", host="box", resources={"CPU": 4.0, "memory": 1e9})]
        )
        trial.engine.commits.flush()
        self.desk = Desk(trial.engine)
        trial.engine.scheduling.grow(put(), lambda _: None)
        self.blob = Blob(job_id(1), "payload", sha256(b"sealed").digest())
        trial.engine.blobs.put(BlobPart(self.blob, 6, 0, b"sealed"), lambda _: None)

    def requests(self) -> dict[str, Any]:
        """A sound request for every method, as plain data."""
        now = self.trial.clock.at
        one, two, three = self.grants[:3]
        failure = Failure("error", "ValueError", b"sealed")
        outcomes = [
            outcome(one, started_at=now, seconds=1.0),
            outcome(two, OutcomeKind.ERRORED, failure=failure, due=now + 5, started_at=now),
            outcome(three, OutcomeKind.SNOOZED, due=now + 9),
            outcome(self.grants[5], OutcomeKind.WAITING, awaited=(job_id(7), job_id(4))),
        ]
        work = WorkRequest(
            "w",
            3,
            2,
            outcomes,
            [],
            [],
            2,
            0.0,
            [],
            [(job_id(2), Progress(1, 2, "x"))],
            vitals=Vitals(1 << 20, 1 << 20, 50.0, 2, 7, 1, now),
        )
        special = spec(22, expires=now + 9, unique=Claim("key", 5.0), fair_key="f", ordered=True)
        after = Input("summary", (), workflow="flow:1")
        joining = spec(23, parents=[20], workflow="flow:1", before=(job_id(10),), inputs=(after,))
        limited = spec(24, limits=(Use("api", 1, "k"), Use("gpu")))
        jobs = [spec(20, due=now + 5), spec(21, parents=[20]), special, joining, limited]
        batch = raw_batch(jobs, options(timeout=5.0))
        made = {
            "enqueue": msgspec.Raw(batch),
            "enqueue_watched": ("c", batch),
            "watch": WatchRequest("c", 2, [job_id(2)], False, 1.0),
            "work": work,
            "register": worker("v"),
            "store_code": ("hash", StoredCode("f", "3.11", b"sealed", now)),
            "code": "hash",
            "job": job_id(1),
            "jobs": (JobFilter(queue="q", since=1.0), Cursor("live", 1, job_id(1)), 5),
            "stats": "q",
            "ended": (0.0, Cursor("ended", now, job_id(4)), 5),
            "workers": None,
            "drain": "w",
            "fold": None,
            "cancel": ("a", [job_id(1), job_id(6)], "why"),
            "redrive": ("b", [job_id(5)], Changes("mail", 7, tags=("new",), retry_on=("OSError",))),
            "purge": ("c", [job_id(4)]),
            "pause": Pause("queue", "q"),
            "resume": Resume("tag", "t"),
            "configure": Configure("q", 7, {"gold": 2.0}, Retention(60.0, failed=None)),
            "controls": None,
            "why": job_id(2),
            "workflow": "flow:1",
            "put_blob": BlobPart(Blob(job_id(1), "result", self.blob.digest), 6, 0, b"sea"),
            "get_blob": BlobWanted(self.blob, 2),
            **self._of_alerts(),
            "results": [job_id(4), job_id(5), job_id(9)],
            "put_schedule": put("new", window=60.0, jitter=5.0, until=now + 1e6, max_runs=3),
            "revise_schedule": ReviseSchedule("minutely", 0.0, plan(Every(90.0))),
            "drop_schedule": DropSchedule("minutely"),
            "run_schedule": RunSchedule("minutely", "d"),
            "backfill": Backfill("minutely", "e", now - 300.0, now - 1.0),
            "schedule": "minutely",
            "schedules": ("", 5),
            "fire": FireRequest("s", 1.0),
            "performance": 300.0,
            "metrics": None,
            "set_limit": SetLimit("api", LimitRule("rate", 3, 60.0, smooth=True), "k"),
            "delete_limit": DeleteLimit("gpu", "concurrency", "k"),
            "throttle": Throttle("api", 60.0, "k"),
            "acquire": AcquireRequest("api", 2, "k", 5.0),
            "limits": None,
            **self._of_workers(),
            "failures": "q",
            "workflows": 5,
            "tally": (now - 600.0, 60.0),
        }
        return {name: msgspec.msgpack.decode(encode(one)) for name, one in made.items()}

    def _of_workers(self) -> dict[str, Any]:
        shape = Shape(num_gpus=0.5)
        staff = [Staff(shape.text, 1, 2)]
        return {
            "set_pool": SetPool(Pool("other", ("q",), shapes=(shape,))),
            "delete_pool": DeletePool("p"),
            "pools": None,
            "look": LookRequest([PoolLook("p", ("q",), staff)], wait=1.0),
            "retire": ["w"],
            "set_quota": SetQuota(Quota("memory", 50.0, True, "q")),
            "delete_quota": DeleteQuota("", "CPU"),
            "quotas": None,
            "nodes": None,
            "node": "box",
            "set_node_mode": ("node1", "cordoned", 5.0),
            "register_node": RegisterNode("disk", Registration("10.0.0.1", 1, ("ssd",), 2.0)),
            "forget_node": ForgetNode("box"),
            "select_node": ["ssd"],
            "strategy": None,
            "set_strategy": SetStrategy("weighted"),
            "admit_workers": WorkersWanted("s", ("q",), ["worker:1"], {"CPU": 1.0}, {"CPU": 0.1}),
            "give_up_workers": ["worker:1"],
        }

    def _of_alerts(self) -> dict[str, Any]:
        code = Code("f", ("stats",), "3.11", b"sealed")
        sinks = (Sink("log", "log"), Sink("job", "job f", b"sealed", options(timeout=5.0)))
        calm = Verdict("deep", self.rule.at, False, 1.0, "it is over", "")
        return {
            "set_alert": SetAlert(Rule("new", code, 5.0, 6.0, "critical", sinks)),
            "delete_alert": DeleteAlert("deep"),
            "mute_alert": MuteAlert("deep", self.trial.clock.at + 60),
            "test_alert": TestAlert("deep"),
            "alert_round": Report([calm], [Delivery(1, 0, "it answered 500")]),
            "alerts": None,
            "observe": None,
        }

    def ask(self, method: str, request: bytes) -> bytes:
        """The one answer. A call may be held, but not for ever."""
        answers: list[bytes] = []
        self.desk.serve(method, request, answers.append)
        self.trial.writer.settle()
        if not answers:
            self.trial.pass_time(LONG)
        assert len(answers) == 1, answers
        return answers[0]

    def check(self, method: str, request: bytes) -> None:
        """Ask, and see what a caller and the next owner of the storage may rely on."""
        before, commits = facts(self.trial.state), len(self.trial.writer.durable)
        try:
            open_reply(self.ask(method, request))
        except TaskQueueError:
            assert facts(self.trial.state) == before
            assert len(self.trial.writer.durable) == commits
        if len(self.trial.writer.durable) > commits:
            self._keep()
        for one in ("metrics", "workers", "performance"):  # what was said of workers is shown
            open_reply(self.ask(one, encode(60.0 if one == "performance" else None)))
        self.trial.pass_time(LONG)
        assert not self.trial.engine.fleet.workers, "a worker that is silent is lost at last"
        assert not self.trial.broken

    def _keep(self) -> None:
        """What the queue took in can be stored and read again."""
        state = self.trial.replayed()
        assert facts(state) == facts(self.trial.state)
        count_up(state)
        history_files([finished_view(job) for job in state.unfolded.values()], 0, 1)
        apply(state, Marked(999))
        apply(state, Folded(999, 0.0))
        assert facts(read_snapshot(write_snapshot(state))) == facts(state)


METHODS = sorted(Counter().requests())


def test_every_method_is_asked() -> None:
    assert set(Counter().desk._methods) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_sound_request_is_served(method: str) -> None:
    counter = Counter()
    open_reply(counter.ask(method, encode(counter.requests()[method])))


@given(
    method=st.sampled_from([*METHODS, "none"]),
    request=st.one_of(st.binary(max_size=60), st.just(DEEP), st.just(b"\xa1\xff")),
)
def test_any_bytes_get_one_typed_answer(method: str, request: bytes) -> None:
    Counter().check(method, request)


@pytest.mark.parametrize("method", METHODS)
def test_every_value_at_its_extremes(method: str) -> None:
    """What has the right type and is still no time, no number of jobs, no id."""
    request = Counter().requests()[method]
    for spot in _spots(request):
        for value in EXTREMES[type(_at(request, spot))]:
            Counter().check(method, encode(_with(request, spot, value)))


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
def test_a_sound_request_with_other_values_in_it(method: str, data: st.DataObject) -> None:
    counter = Counter()
    request = counter.requests()[method]
    for _ in range(data.draw(st.integers(1, 3))):
        request = _altered(request, data)
    counter.check(method, encode(request))


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
def test_a_sound_request_with_bytes_gone_astray(method: str, data: st.DataObject) -> None:
    counter = Counter()
    sound = bytearray(encode(counter.requests()[method]))
    if data.draw(st.booleans()):
        del sound[data.draw(st.integers(0, len(sound))) :]
    for _ in range(data.draw(st.integers(0, 3))):
        if sound:
            sound[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    counter.check(method, bytes(sound))


@pytest.mark.parametrize("request_", [[[], [[b"x" * 16, 0, b"", 0.0, [], 0]]], [[], [], 0]])
def test_something_deep_where_nothing_is_read(request_: Any) -> None:
    """The decoder passes over what a newer peer may add, and gives up in its own way."""
    raw = encode(request_)
    assert raw.endswith(b"\x00")
    with pytest.raises(InvalidRequest):
        open_reply(Counter().ask("enqueue", raw[:-1] + DEEP + b"\x00"))


def _spots(value: Any) -> list[tuple[Any, ...]]:
    """The ways to all plain values in a request; a batch inside one is bytes."""
    if not isinstance(value, (list, dict)):
        return [()]
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(key, *rest) for key in keys for rest in _spots(value[key])]


def _at(value: Any, spot: tuple[Any, ...]) -> Any:
    return _at(value[spot[0]], spot[1:]) if spot else value


def _with(value: Any, spot: tuple[Any, ...], other: Any) -> Any:
    if not spot:
        return other
    made = value.copy()
    made[spot[0]] = _with(made[spot[0]], spot[1:], other)
    return made


def _altered(value: Any, data: st.DataObject) -> Any:
    """The same with one of its parts replaced, dropped or doubled."""
    if isinstance(value, (list, dict)) and value and data.draw(st.integers(0, 5)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = data.draw(st.sampled_from(keys))
        made: Any = value.copy()
        match data.draw(st.integers(0, 9)):
            case 0:
                del made[key]
            case 1 if isinstance(made, list):
                made.insert(key, made[key])
            case _:
                made[key] = _altered(made[key], data)
        return made
    return data.draw(ODD)
