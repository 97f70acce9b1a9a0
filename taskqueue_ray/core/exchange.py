"""What workers and clients say to the queue, and what it answers: the wire records.

Hot records are arrays on the wire; `codec` encodes and decodes all of them as MessagePack.
"""

from enum import IntEnum
from typing import Literal

import msgspec

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.metering import Vitals
from taskqueue_ray.core.model import (
    PLAIN,
    Attempt,
    Conditions,
    Failure,
    Input,
    JobId,
    JobSpec,
    Options,
    QueueSettings,
)
from taskqueue_ray.core.origin import FiredBy
from taskqueue_ray.core.schedule import ScheduleView


class Batch:
    """Jobs as a client sent them. `raw` are the client's own bytes, which the journal keeps.

    `special` are the indexes of those with conditions; mostly there are none.
    """

    __slots__ = ("jobs", "options", "raw", "special")

    def __init__(self, raw: bytes, options: list[Options], jobs: list[JobSpec]) -> None:
        self.raw = raw
        self.options = options
        self.jobs = jobs
        self.special = [i for i, spec in enumerate(jobs) if spec.conditions is not None]


class BatchRecord(msgspec.Struct, frozen=True, array_like=True):
    """The wire form of a `Batch`."""

    options: list[Options]
    jobs: list[JobSpec]


class OutcomeKind(IntEnum):
    """How a run ended, as its executor or worker saw it."""

    COMPLETED = 0
    ERRORED = 1
    SNOOZED = 2
    CANCELLED = 3
    RELEASED = 4
    WAITING = 5


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The end of one run, under the token (`id`, `delivery`, `lease`).

    `due` is the time of a snooze or of a retry that the job chose itself (0: the policy decides).
    `final` says that an error must not be retried. `seconds` is the run time. A job that
    is `WAITING` goes on when those that it `awaited` have ended.
    """

    id: JobId
    delivery: int
    lease: int
    kind: OutcomeKind
    result: bytes = b""
    started_at: float = 0.0
    seconds: float = 0.0
    failure: Failure | None = None
    due: float = 0.0
    final: bool = False
    awaited: tuple[JobId, ...] = ()


class Grant(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One leased job, as its executor needs it. `options` is an index into the reply's options.

    `checkpoint` is what an earlier run has saved, sealed; None: nothing.
    """

    id: JobId
    delivery: int
    lease: int
    attempt: int
    options: int
    payload: bytes
    enqueued_at: float = 0.0
    inputs: tuple[Input, ...] = ()
    checkpoint: bytes | None = None
    fired: FiredBy | None = None


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a running job is, in units of its own; `total` 0 means unknown."""

    done: float
    total: float = 0.0
    message: str = ""


class Save(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a run saves for the next one, sealed, under the token of its lease.

    `number` grows from one save of a run to the next.
    """

    id: JobId
    delivery: int
    lease: int
    number: int
    sealed: bytes


class WorkerInfo(msgspec.Struct, frozen=True):
    """What a worker is and can do. `queues` empty means every queue.

    `id` is new with every start of its process, `actor` is the name of its Ray actor.
    """

    id: str
    queues: tuple[str, ...]
    concurrency: int
    python: str
    keys: tuple[str, ...]
    executors: tuple[str, ...] = ("process", "async")
    node: str = ""
    host: str = ""
    pid: int = 0
    actor: str = ""
    full: tuple[str, ...] = ()
    """Places of jobs in Ray of which it wants no more now."""
    holds: tuple[tuple[str, float], ...] = ()
    """What it counts as for quotas, by the names that Ray has for resources."""
    shape: str = ""
    """What it holds in Ray for its processes, in words; it serves jobs of that shape alone."""
    pool: str = ""
    """The pool that started it."""


class WorkRequest(msgspec.Struct, frozen=True, array_like=True):
    """One exchange of a worker: settle, renew, lease.

    `acked` is the highest sequence up to which the worker has all replies. `held` are the jobs it
    still holds, `running` those of them that were started. `unsure` are jobs that have ended and
    whose outcomes follow, or are in exchanges without a reply yet, which this one may overtake.
    `wait` is how many seconds the queue may hold the call when it has nothing to say. `leaving`
    says that the worker is about to end: what it does not hold by then, it gave back. `saves` count
    before the outcomes do.

    `want` counts the jobs of its own processes. `rooms` says how many it wants besides for each
    kind of executor in Ray, and `full` for which places none. Now and then come `memory`, what is
    used of its node's and what that has, in bytes, and `vitals`. `grown` are job types whose
    executors were replaced because of their memory since the last exchange.
    """

    worker: str
    sequence: int
    acked: int
    outcomes: list[Outcome]
    held: list[JobId]
    running: list[JobId]
    want: int
    wait: float = 0.0
    unsure: list[JobId] = []
    progress: list[tuple[JobId, Progress]] = []
    leaving: bool = False
    saves: list[Save] = []
    rooms: dict[str, int] = {}
    full: list[str] = []
    memory: list[int] = []
    vitals: Vitals | None = None
    grown: list[tuple[str, int]] = []


class WorkReply(msgspec.Struct, frozen=True, array_like=True):
    """The answer to one exchange.

    `cancel` are running jobs to stop because somebody cancelled them; `lost` are held jobs to stop
    because their lease is no longer the worker's; `stale` are outcomes refused for that reason.
    `drain_seconds` says how long a drain may take (0: as the worker was told at its start).
    """

    sequence: int
    options: list[Options] = []
    grants: list[Grant] = []
    cancel: list[JobId] = []
    lost: list[JobId] = []
    stale: list[JobId] = []
    drain: bool = False
    drain_seconds: float = 0.0


class WatchRequest(msgspec.Struct, frozen=True, array_like=True):
    """A client asks to be told when jobs end. `reset` replaces what it watched before."""

    client: str
    sequence: int
    add: list[JobId]
    reset: bool = False
    wait: float = 0.0


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """How a job ended. `known` is False when its record left memory: look in the history.

    `state` None means that no such job is known at all.
    """

    id: JobId
    state: JobState | None
    known: bool = True
    result: bytes = b""
    reason: str = ""
    attempts: int = 0
    failure: Failure | None = None
    type: str = ""


class WatchReply(msgspec.Struct, frozen=True, array_like=True):
    """The watched jobs that have ended since the last reply."""

    sequence: int
    ended: list[Ended]


class EnqueueReply(msgspec.Struct, frozen=True, array_like=True):
    """Durable. `known` are the indexes of jobs whose ids were there before: the same jobs.

    `existing` names, for each job that was not stored because its unique key was taken, the job
    that has the key; `dropped` were left out for the same reason.
    """

    accepted: int
    known: list[int] = []
    existing: dict[int, JobId] = {}
    dropped: list[int] = []


class CheckpointView(msgspec.Struct, frozen=True, array_like=True):
    """That a job has a checkpoint: when it came, and its size in bytes, sealed."""

    at: float
    size: int


class JobView(msgspec.Struct, frozen=True):
    """Everything the queue knows of one job, payload and result sealed."""

    id: JobId
    options: Options
    state: JobState
    ordinal: int
    enqueued_at: float
    payload: bytes = b""
    due: float = 0.0
    delivery: int = 0
    attempts: int = 0
    losses: int = 0
    generation: int = 0
    worker: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0
    seconds: float = 0.0
    result: bytes = b""
    reason: str = ""
    parents: tuple[JobId, ...] = ()
    history: tuple[Attempt, ...] = ()
    progress: Progress | None = None
    conditions: Conditions = PLAIN
    checkpoint: CheckpointView | None = None

    @property
    def fired(self) -> FiredBy | None:
        """The schedule that made the job."""
        return self.conditions.fired


class JobFilter(msgspec.Struct, frozen=True):
    """Which jobs a list holds; every given field must match."""

    state: JobState | None = None
    queue: str | None = None
    type: str | None = None
    tag: str | None = None
    category: str | None = None
    since: float | None = None
    workflow: str | None = None
    schedule: str | None = None


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a list of jobs goes on: after this place of the live or of the ended jobs.

    A key and no offset: it holds when jobs come and go. `id` is the job's, or tells its finish.
    """

    part: Literal["live", "ended"]
    after: float
    id: JobId


class JobPage(msgspec.Struct, frozen=True):
    """A part of a list of jobs. `cursor` continues it; None: this is the end."""

    jobs: list[JobView]
    cursor: Cursor | None


class BatchSummary(msgspec.Struct, frozen=True):
    """How far a batch of jobs is: `done` have ended, of which `failed` without completing."""

    id: str
    total: int
    done: int
    failed: int
    counts: dict[JobState, int]


class QueueStats(msgspec.Struct, frozen=True):
    """Counts of one queue. `counts` has every state; they add up to `total`."""

    queue: str
    total: int
    counts: dict[JobState, int]
    oldest_waiting: float | None = None
    retries: int = 0
    losses: int = 0
    left: dict[JobState, int] = {}
    """How many have gone out of a final state: purged, or redriven."""

    def ever(self, state: JobState) -> int:
        """How many jobs have come into a final state; it only grows."""
        return self.counts.get(state, 0) + self.left.get(state, 0)


class WorkerView(msgspec.Struct, frozen=True):
    """A worker as the queue sees it now. Ages are in seconds."""

    info: WorkerInfo
    held: int
    running: list[JobId]
    seen_ago: float
    draining: bool
    barred: bool = False
    """Whether its node gets no jobs."""
    vitals: Vitals = Vitals()
    grown: dict[str, int] = {}
    """Job types for whose memory executors were replaced, and by how many bytes one had grown."""


class AcquireRequest(msgspec.Struct, frozen=True):
    """Running code wants units of a rate, and waits up to `wait` seconds in this call."""

    name: str
    units: int = 1
    key: str = ""
    wait: float = 0.0


class Permit(msgspec.Struct, frozen=True, array_like=True):
    """Whether units of a rate were given; if not, from when on to ask again."""

    given: bool
    at: float


class LimitView(msgspec.Struct, frozen=True):
    """A limit, or a throttle of a name that has none. `key` "" is for all that are not named.

    `used` is what counts now, for a limit of many keys what those without one have; `keys` is how
    many meters there are. `until` is when a throttle ends, 0 when there is none.
    """

    name: str
    key: str
    kind: str
    n: int = 0
    per: float = 0.0
    smooth: bool = False
    used: int = 0
    keys: int = 0
    until: float = 0.0


class Controls(msgspec.Struct, frozen=True):
    """What operators have set: pauses as (kind, name, since), and settings of single queues."""

    pauses: list[tuple[str, str, float]]
    settings: dict[str, QueueSettings]


class Ping(msgspec.Struct, frozen=True):
    """What a queue actor says of itself. `settings` are those that are in force, by name."""

    protocol: int
    version: str
    epoch: int
    location: str
    recovering: bool
    pid: int
    node: str = ""
    embedded: bool = False
    settings: dict[str, int | float | str | None] = {}


class FireRequest(msgspec.Struct, frozen=True):
    """A scheduler asks for what is due to be fired. `wait`: for how long its call may be held."""

    scheduler: str
    wait: float = 0.0


class Fires(msgspec.Struct, frozen=True):
    """How many due times were dealt with, and when the next one is (0: none), by this clock."""

    dealt: int
    next_due: float = 0.0
    now: float = 0.0


class SchedulePage(msgspec.Struct, frozen=True):
    """A part of a list of schedules, by their ids. `more`: there are others after these."""

    schedules: list[ScheduleView]
    more: bool = False


class FailureGroup(msgspec.Struct, frozen=True):
    """Dead letters that failed alike. Times are those of their ends; `latest` is the last one."""

    queue: str
    type: str
    error_type: str
    reason: str
    count: int
    first_at: float
    last_at: float
    latest: JobId


class FailureSummary(msgspec.Struct, frozen=True):
    """Dead letters by how they failed, the largest group first.

    Only the first `looked` of them were looked at when there are many more (`complete` is False).
    """

    groups: list[FailureGroup]
    looked: int
    complete: bool


class WorkflowView(msgspec.Struct, frozen=True):
    """A workflow or batch: how many of its jobs are in which state, and when that last changed."""

    id: str
    counts: dict[JobState, int]
    at: float
