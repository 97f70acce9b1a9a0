"""Requests to the queue as values: the method, its bytes, and how to read the answer.

Each is made once and sent either way, so that a method and its `a…` twin cannot differ.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from taskqueue_ray.core.admission import QuotaView
from taskqueue_ray.core.alerts import AlertsView, Rule
from taskqueue_ray.core.changes import UNCHANGED, Changes
from taskqueue_ray.core.commands import (
    Backfill,
    Configure,
    DeleteAlert,
    DeleteLimit,
    DeletePool,
    DeleteQuota,
    DropSchedule,
    ForgetNode,
    MuteAlert,
    Pause,
    PutSchedule,
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
)
from taskqueue_ray.core.demand import PoolStatus
from taskqueue_ray.core.exchange import (
    Controls,
    Cursor,
    Ended,
    EnqueueReply,
    FailureSummary,
    JobFilter,
    JobPage,
    JobView,
    LimitView,
    QueueStats,
    SchedulePage,
    WorkerView,
    WorkflowView,
)
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.metering import Family, PerformanceReport
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.model import (
    JobId,
    NodeMode,
    QueueSettings,
    Quota,
    Registration,
    StoredCode,
    Strategy,
)
from taskqueue_ray.core.nodes import NodeView
from taskqueue_ray.core.observation import Observation
from taskqueue_ray.core.pool import Pool
from taskqueue_ray.core.schedule import ScheduleView
from taskqueue_ray.core.why import Why

T_co = TypeVar("T_co", covariant=True)
_encode = msgspec.msgpack.Encoder().encode


class Request(Generic[T_co]):
    """One question to the queue."""

    __slots__ = ("body", "method", "read")

    def __init__(self, method: str, body: bytes, read: Callable[[bytes], T_co]) -> None:
        self.method = method
        self.body = body
        self.read = read


Ask = Callable[[Request[Any]], Any]
"""Sends a request and gives its answer."""


def _reader(kind: Any) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(kind).decode


_enqueued = _reader(EnqueueReply)
_view = _reader(JobView | None)
_views = _reader(list[JobView])
_page = _reader(JobPage)
_stats = _reader(list[QueueStats])
_workers = _reader(list[WorkerView])
_ids = _reader(list[JobId])
_bytes = _reader(bytes)
_bool = _reader(bool)


def enqueue(batch: bytes) -> Request[EnqueueReply]:
    """Take in an encoded batch."""
    return Request("enqueue", batch, _enqueued)


def enqueue_watched(client: str, batch: bytes) -> Request[EnqueueReply]:
    """The same, and tell the client's watch how the jobs end."""
    return Request("enqueue_watched", _encode((client, batch)), _enqueued)


def job(job_id: JobId) -> Request[JobView | None]:
    """One job, if its record is at hand."""
    return Request("job", _encode(job_id), _view)


def jobs(wanted: JobFilter, cursor: Cursor | None, limit: int) -> Request[JobPage]:
    """A page of jobs."""
    return Request("jobs", _encode((wanted, cursor, limit)), _page)


def past(ids: Sequence[JobId]) -> Request[list[JobView]]:
    """Jobs out of the history."""
    return Request("past", _encode(ids), _views)


def stats(queue: str | None) -> Request[list[QueueStats]]:
    """Counts of one queue or all."""
    return Request("stats", _encode(queue), _stats)


def workers() -> Request[list[WorkerView]]:
    """The registered workers."""
    return Request("workers", _encode(None), _workers)


def ended(since: float, cursor: Cursor | None, limit: int) -> Request[JobPage]:
    """A page of what ended and is not in the history yet."""
    return Request("ended", _encode((since, cursor, limit)), _page)


def search(wanted: JobFilter, limit: int) -> Request[list[JobView]]:
    """Jobs of the history that match, the newest first."""
    return Request("search", _encode((wanted, limit)), _views)


def prune(wanted: JobFilter, before: float, ids: Sequence[JobId] = ()) -> Request[int]:
    """Drop rows of the history; how many that were."""
    return Request("prune", _encode((wanted, before, ids)), _reader(int))


def fold() -> Request[None]:
    """Begin to move what ended into the history, unless that is on its way."""
    return Request("fold", _encode(None), lambda _: None)


def history(since: float, columns: Sequence[str] | None) -> Request[bytes]:
    """The history as a stream of Arrow."""
    return Request("history", _encode((since, columns)), _bytes)


def cancel(ids: Sequence[JobId], reason: str = "") -> Request[list[JobId]]:
    """Cancel jobs. The command id makes a repeat give the first answer; so below."""
    return Request("cancel", _encode((secrets.token_hex(16), ids, reason)), _ids)


def redrive(ids: Sequence[JobId], changes: Changes = UNCHANGED) -> Request[list[JobId]]:
    """Send dead letters again, with these changes."""
    return Request("redrive", _encode((secrets.token_hex(16), ids, changes)), _ids)


def purge(ids: Sequence[JobId]) -> Request[list[JobId]]:
    """Drop the records of ended jobs."""
    return Request("purge", _encode((secrets.token_hex(16), ids)), _ids)


def pause(kind: str, name: str) -> Request[bool]:
    """Lease no jobs of a queue, type or tag; False when that is so already."""
    return Request("pause", _encode(Pause(kind, name)), _bool)


def resume(kind: str, name: str) -> Request[bool]:
    """Lease them again; False when they were."""
    return Request("resume", _encode(Resume(kind, name)), _bool)


def configure(command: Configure) -> Request[QueueSettings]:
    """Give a queue settings of its own."""
    return Request("configure", _encode(command), _reader(QueueSettings))


def controls() -> Request[Controls]:
    """What operators have set."""
    return Request("controls", _encode(None), _reader(Controls))


def workflow(name: str) -> Request[dict[JobState, int]]:
    """How many jobs of a workflow are in each state; none when all ended long ago."""
    return Request("workflow", _encode(name), _reader(dict[JobState, int]))


def results(ids: Sequence[JobId]) -> Request[list[Ended]]:
    """How these jobs ended, or where they are, as far as memory knows them."""
    return Request("results", _encode(ids), _reader(list[Ended]))


def why(job_id: JobId) -> Request[Why | None]:
    """Why a job is not running, if its record is at hand."""
    return Request("why", _encode(job_id), _reader(Why | None))


def performance(window: float) -> Request[PerformanceReport]:
    """How fast the queue was in the last `window` seconds."""
    return Request("performance", _encode(window), _reader(PerformanceReport))


def metrics() -> Request[list[Family]]:
    """All metrics, with their values now."""
    return Request("metrics", _encode(None), _reader(list[Family]))


def store_code(code_hash: str, code: StoredCode) -> Request[None]:
    """Keep a function that is sent by value."""
    return Request("store_code", _encode((code_hash, code)), lambda _: None)


def put_schedule(command: PutSchedule) -> Request[ScheduleView]:
    """Make a schedule, or replace one."""
    return Request("put_schedule", _encode(command), _reader(ScheduleView))


def revise_schedule(command: ReviseSchedule) -> Request[ScheduleView]:
    """Change a schedule."""
    return Request("revise_schedule", _encode(command), _reader(ScheduleView))


def drop_schedule(schedule: str) -> Request[bool]:
    """Let a schedule be no more; False when there is none."""
    return Request("drop_schedule", _encode(DropSchedule(schedule)), _bool)


def run_schedule(schedule: str) -> Request[JobId]:
    """Enqueue the job of a schedule now."""
    command = RunSchedule(schedule, secrets.token_hex(16))
    return Request("run_schedule", _encode(command), _reader(JobId))


def backfill(schedule: str, start: float, end: float) -> Request[list[JobId]]:
    """Enqueue the jobs of times that have passed."""
    command = Backfill(schedule, secrets.token_hex(16), start, end)
    return Request("backfill", _encode(command), _ids)


def schedule(schedule: str) -> Request[ScheduleView]:
    """One schedule, its sealed payload included."""
    return Request("schedule", _encode(schedule), _reader(ScheduleView))


def schedules(after: str, limit: int) -> Request[SchedulePage]:
    """A page of schedules, by their ids."""
    return Request("schedules", _encode((after, limit)), _reader(SchedulePage))


def nodes() -> Request[list[NodeView]]:
    """All nodes."""
    return Request("nodes", _encode(None), _reader(list[NodeView]))


def node(name: str) -> Request[NodeView]:
    """The node that is meant."""
    return Request("node", _encode(name), _reader(NodeView))


def set_node_mode(name: str, mode: NodeMode, within: float = 0.0) -> Request[NodeView]:
    """Cordon, drain (in so many seconds), fence or readmit a node."""
    return Request("set_node_mode", _encode((name, mode, within)), _reader(NodeView))


def register_node(name: str, given: Registration) -> Request[Registration]:
    """Say more of a node than Ray knows."""
    return Request("register_node", _encode(RegisterNode(name, given)), _reader(Registration))


def forget_node(name: str) -> Request[bool]:
    """Take that back."""
    return Request("forget_node", _encode(ForgetNode(name)), _bool)


def select_node(capabilities: Sequence[str]) -> Request[NodeView]:
    """An open node that has these."""
    return Request("select_node", _encode(capabilities), _reader(NodeView))


def strategy() -> Request[Strategy]:
    """How workers are placed."""
    return Request("strategy", _encode(None), _reader(Strategy))


def set_strategy(name: Strategy) -> Request[Strategy]:
    """Place them by another strategy."""
    return Request("set_strategy", _encode(SetStrategy(name)), _reader(Strategy))


def quotas() -> Request[list[QuotaView]]:
    """All quotas, and how far each is used."""
    return Request("quotas", _encode(None), _reader(list[QuotaView]))


def set_quota(quota: Quota) -> Request[Quota]:
    """Put a ceiling on a resource."""
    return Request("set_quota", _encode(SetQuota(quota)), _reader(Quota))


def delete_quota(queue: str, resource: str) -> Request[bool]:
    """Take it away."""
    return Request("delete_quota", _encode(DeleteQuota(queue, resource)), _bool)


def set_alert(rule: Rule) -> Request[Rule]:
    """Keep a rule of alerts."""
    return Request("set_alert", _encode(SetAlert(rule)), _reader(Rule))


def delete_alert(name: str) -> Request[bool]:
    """Drop a rule of alerts; False when there was none."""
    return Request("delete_alert", _encode(DeleteAlert(name)), _bool)


def mute_alert(name: str, until: float) -> Request[None]:
    """Tell no firing of a rule until then; 0: tell it again."""
    return Request("mute_alert", _encode(MuteAlert(name, until)), lambda _: None)


def test_alert(name: str) -> Request[int]:
    """Send a test to the sinks of a rule; the number of the notice."""
    return Request("test_alert", _encode(TestAlert(name)), _reader(int))


def alerts() -> Request[AlertsView]:
    """The rules of alerts, where they stand, and their history."""
    return Request("alerts", _encode(None), _reader(AlertsView))


def observe() -> Request[Observation]:
    """What the queue says of itself to those that watch it."""
    return Request("observe", _encode(None), _reader(Observation))


def set_pool(pool: Pool) -> Request[Pool]:
    """Make a pool, or change it."""
    return Request("set_pool", _encode(SetPool(pool)), _reader(Pool))


def delete_pool(name: str) -> Request[bool]:
    """Let a pool have no more workers; False when there is none."""
    return Request("delete_pool", _encode(DeletePool(name)), _bool)


def pools() -> Request[list[PoolStatus]]:
    """Every pool, and how it goes."""
    return Request("pools", _encode(None), _reader(list[PoolStatus]))


def drain(worker: str) -> Request[bool]:
    """Ask a worker to finish what it runs, and to leave; False when it is not known."""
    return Request("drain", _encode(worker), _bool)


def set_limit(name: str, rule: LimitRule, key: str) -> Request[bool]:
    """Give a limit a rule; False when it has that already."""
    return Request("set_limit", _encode(SetLimit(name, rule, key)), _bool)


def delete_limit(name: str, kind: Literal["rate", "concurrency"], key: str) -> Request[bool]:
    """Take a rule back; False when there is none."""
    return Request("delete_limit", _encode(DeleteLimit(name, kind, key)), _bool)


def limits() -> Request[list[LimitView]]:
    """All limits and throttles."""
    return Request("limits", _encode(None), _reader(list[LimitView]))


def failures(queue: str | None) -> Request[FailureSummary]:
    """Dead letters by how they failed."""
    return Request("failures", _encode(queue), _reader(FailureSummary))


def workflows(limit: int) -> Request[list[WorkflowView]]:
    """Workflows and batches, those that changed last first."""
    return Request("workflows", _encode(limit), _reader(list[WorkflowView]))


def tally(since: float, every: float) -> Request[list[tuple[float, JobState, int]]]:
    """What ended and is not in the history yet, counted by spans of time."""
    reader = _reader(list[tuple[float, JobState, int]])
    return Request("tally", _encode((since, every)), reader)
