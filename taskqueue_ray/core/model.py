"""The records of the queue: options, jobs and the phases that a job goes through.

A job's `phase` holds what is true only in its present state: a lease exists only inside
`Leased`, a finish time only inside `Finished`. Times are seconds since the Unix epoch.
"""

from typing import Any, ClassVar, Literal, NamedTuple, NewType

import msgspec

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.origin import FiredBy
from taskqueue_ray.core.retention import Retention
from taskqueue_ray.core.retry import DEFAULT_BACKOFF, Backoff
from taskqueue_ray.core.shape import Shape

JobId = NewType("JobId", bytes)
"""16 bytes; see `core.identity`."""

LATEST = 1e12
"""No time is at or after this one, in seconds: what is later is a mistake of units."""

ExecutorKind = Literal["process", "async", "actor", "task"]

IN_RAY: tuple[ExecutorKind, ...] = ("actor", "task")
"""The kinds of executors that Ray places, each with the shape of its jobs."""


class Options(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all jobs of a batch that were enqueued alike have in common.

    `timeout` is in seconds, 0 when the job names none: then its worker's default holds. `key`
    names the encryption key that the payload is sealed with, `code` the hash of stored code (a
    function of a notebook or of `__main__`), and `python` the minor version that can load it.
    `retry_on` and `give_up_on` name types of exceptions: only the one is tried again, or all but
    the other. With `own_backoff` the job type has a function that says when to try again, and
    `backoff` is for when that cannot be asked. `cancel_grace` is in seconds; None: its worker's.
    `batch` is how many of these jobs one call of their handler takes, 0 when it takes one. `shape`
    is of those that run in Ray, and of those that need a worker of that shape.
    """

    queue: str
    type: str
    priority: int = 5
    max_attempts: int = 3
    backoff: Backoff = DEFAULT_BACKOFF
    timeout: float = 0.0
    executor: ExecutorKind = "process"
    name: str | None = None
    tags: tuple[str, ...] = ()
    category: str | None = None
    key: str = ""
    code: str | None = None
    python: str | None = None
    retry_on: tuple[str, ...] = ()
    give_up_on: tuple[str, ...] = ()
    own_backoff: bool = False
    cancel_grace: float | None = None
    batch: int = 0
    shape: Shape | None = None

    @property
    def lane(self) -> "Lane":
        """What a worker must be able to do to run these jobs."""
        place = self.executor if self.shape is None else self.place
        return (place, self.key, self.python)

    @property
    def place(self) -> str:
        """The kind of executor, and its shape: jobs of one place can share executors."""
        return f"{self.executor} {self.shape.text}" if self.shape else self.executor

    @property
    def in_ray(self) -> bool:
        """Whether an executor in Ray runs these jobs, and no process of the worker."""
        return self.executor in IN_RAY


Lane = tuple[str, str, str | None]
"""A place, the id of a key, and a version of Python."""


def kind_of(place: str) -> str:
    """The kind of executor of a place.

    >>> kind_of("actor num_gpus=1")
    'actor'
    """
    return place.partition(" ")[0]


def shape_of(place: str) -> str:
    """The shape, in words, of the workers that serve a place; "" for plain ones.

    >>> shape_of("process num_gpus=1"), shape_of("actor num_gpus=1")
    ('num_gpus=1', '')
    """
    kind, _, shape = place.partition(" ")
    return "" if kind in IN_RAY else shape


OnConflict = Literal["return_existing", "drop", "replace", "raise"]
OnParentFailure = Literal["cancel", "continue", "wait", "only"]


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A job wants `key`, which one holds at a time; `on_conflict` says what else becomes of it.

    The key is held until its job has ended; with `within`, for so many seconds from enqueueing,
    whatever becomes of the job.
    """

    key: str
    within: float = 0.0
    on_conflict: OnConflict = "return_existing"


class Conflicts(NamedTuple):
    """What keys that are taken mean for the jobs of a batch, by their indexes in it.

    `existing` are not stored because the named job has their key, `dropped` for the same reason;
    `replaced` are waiting jobs that give up theirs.
    """

    existing: dict[int, JobId]
    dropped: list[int]
    replaced: list[JobId]


NO_CONFLICTS = Conflicts({}, [], [])


class Input(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What these jobs return becomes the argument `name`: of one, or of `many` as a list.

    With `workflow` it is instead how many of the jobs of that workflow are in which state.
    """

    name: str
    ids: tuple[JobId, ...]
    many: bool = False
    workflow: str = ""


MAX_UNITS = 1_000_000_000
"""Of a limit, and of a start."""

MAX_LIMITS = 16
"""Limits that one job may name."""


class Use(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A start of the job counts `units` of the limit `name`, on the meter of `key`."""

    name: str
    units: int = 1
    key: str = ""


class Conditions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What some jobs ask for and most do not.

    A job that was not started by `expires` (0: never) ends as expired. Jobs of one `fair_key` take
    turns with those of others; of one `concurrency_key` one runs at a time, and if they are
    `ordered`, none overtakes one that waits for a retry. `on_parent_failure` says what becomes of
    it when a parent ends without completing. `inputs` are arguments that are results of
    parents. `workflow` names the one that it belongs to. `before` are blocked jobs that wait for
    this one too. `fired` is of jobs that a schedule has made; no client can say it. `limits` are
    those that it is started under.
    """

    expires: float = 0.0
    unique: Claim | None = None
    fair_key: str = ""
    concurrency_key: str = ""
    ordered: bool = False
    on_parent_failure: OnParentFailure = "cancel"
    inputs: tuple[Input, ...] = ()
    workflow: str = ""
    before: tuple[JobId, ...] = ()
    fired: FiredBy | None = None
    limits: tuple[Use, ...] = ()

    @property
    def holds_a_key(self) -> bool:
        """Whether the job keeps others from something that its end lets go."""
        return self.unique is not None or bool(self.concurrency_key) or self.fired is not None


PLAIN = Conditions()
"""A job that asks for nothing special has this very object."""


class JobSpec(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One job as its client sends it: `options` is an index into the batch's options.

    `due` is the time before which it must not run, or 0. `parents` are the ids of the jobs that
    must complete first.
    """

    id: JobId
    options: int
    payload: bytes
    due: float = 0.0
    parents: tuple[JobId, ...] = ()
    conditions: Conditions | None = None


class Failure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why an attempt failed. The type's name is in the clear, the rest is sealed.

    `cause` says whose doing it was: the job's code (`error`), its time limit (`timeout`), its
    process (`exit`), or the vanishing of its worker (`loss`).
    """

    cause: Literal["error", "timeout", "exit", "loss", "key"]
    error_type: str
    detail: bytes = b""


KEPT_ATTEMPTS = 50
"""How many failed runs a job remembers, the latest ones."""


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One run of a job that did not complete, as its history keeps it."""

    number: int
    delivery: int
    worker: str
    started_at: float
    seconds: float
    failure: Failure


class Pending(msgspec.Struct, frozen=True, tag="pending"):
    """Ready to be leased."""

    state: ClassVar[JobState] = JobState.PENDING


class Scheduled(msgspec.Struct, frozen=True, tag="scheduled"):
    """Must not run before `due`."""

    state: ClassVar[JobState] = JobState.SCHEDULED
    due: float


class Blocked(msgspec.Struct, tag="blocked"):
    """Waits for these of its parents, or for jobs that its code asked to wait for.

    `failed` says that a parent has ended without completing, which tells a job that runs `only`
    then.
    """

    state: ClassVar[JobState] = JobState.BLOCKED
    parents: set[JobId]
    failed: bool = False


class Leased(msgspec.Struct, frozen=True, tag="leased", gc=False):
    """In the hands of a worker. One value is shared by all jobs of a grant."""

    state: ClassVar[JobState] = JobState.PROCESSING
    worker: str
    lease: int
    at: float


class Finished(msgspec.Struct, frozen=True, tag="finished", gc=False):
    """Ended. `lease` is the lease that settled it, 0 when none did.

    `result` is sealed; `reason` is a word such as `poison` or `parent`, when there is one.
    """

    state: JobState
    at: float
    lease: int = 0
    result: bytes = b""
    started_at: float = 0.0
    seconds: float = 0.0
    reason: str = ""


class Checkpoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a job has saved for its next run, sealed, and when the queue got it.

    `number` tells an earlier one of the same delivery from a later one.
    """

    at: float
    delivery: int
    number: int
    sealed: bytes


POISON = "poison"
"""The reason of a dead letter whose workers vanished too often while they had it."""

Phase = Pending | Scheduled | Blocked | Leased | Finished
PENDING = Pending()
ASIDE = Pending()
"""Pending as well, but not in line; see `core.aside`."""


class Job(msgspec.Struct, gc=False, omit_defaults=True):
    """A job as the queue holds it. Only `core.apply_…` changes one.

    `ordinal` is its place in the order of enqueueing. `delivery` counts leases and fences;
    `attempts` counts runs that ended by the job's own doing; `losses` counts runs whose worker
    vanished; `generation` counts redrives. `running` says that the present lease was reported as
    started, `suspect` that its worker vanished before that and it was not tried since. A
    `checkpoint` stays until the job has ended, and with a dead letter, for its redrive.
    """

    id: JobId
    options: Options
    payload: bytes
    ordinal: int
    enqueued_at: float
    phase: Phase = PENDING
    delivery: int = 0
    attempts: int = 0
    losses: int = 0
    generation: int = 0
    running: bool = False
    cancelling: bool = False
    due: float = 0.0
    parents: tuple[JobId, ...] = ()
    history: tuple[Attempt, ...] = ()
    conditions: Conditions = PLAIN
    suspect: bool = False
    checkpoint: Checkpoint | None = None

    @property
    def state(self) -> JobState:
        """The state that the phase stands for."""
        return self.phase.state

    @property
    def fired(self) -> FiredBy | None:
        """The schedule that made the job."""
        return self.conditions.fired


class Tally(msgspec.Struct):
    """How many jobs of a workflow are in which state, and when that last changed."""

    counts: dict[JobState, int] = {}
    at: float = 0.0


class Settled(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is remembered of a job that ended and whose record is in the history."""

    state: JobState
    at: float
    delivery: int
    lease: int


class StoredCode(msgspec.Struct, frozen=True, array_like=True):
    """A function sent by value: sealed, named by the hash of its bytes."""

    name: str
    python: str
    sealed: bytes
    at: float


class Hold(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who holds a unique key; `until` 0 means until that job has ended."""

    job: JobId
    until: float


class QueueSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a queue has of its own. `max_depth` None: as all queues; `weights` of fair keys.

    `retention` None: its ended jobs are kept for as long as those of all queues. `concurrency` is
    how many of its jobs run at a time, None: any number.
    """

    max_depth: int | None = None
    weights: dict[str, float] = {}
    retention: Retention | None = None
    concurrency: int | None = None


class Quota(msgspec.Struct, frozen=True):
    """A ceiling on what workers hold of a resource, by Ray's name of it.

    `percent`: the amount is a share of the cluster. `queue` "": of all workers.
    """

    resource: str
    amount: float
    percent: bool = False
    queue: str = ""


NodeMode = Literal["open", "cordoned", "draining", "fenced"]
Strategy = Literal["round_robin", "least_connections", "weighted", "spread", "pack"]


class NodeRule(msgspec.Struct, frozen=True):
    """What a node may get, since when; one without a rule is open."""

    mode: NodeMode
    at: float


class Registration(msgspec.Struct, frozen=True):
    """What an operator says of a node. `address` "" and `port` 0: the name alone tells which."""

    address: str = ""
    port: int = 0
    capabilities: tuple[str, ...] = ()
    weight: float = 1.0


class Premises(msgspec.Struct, omit_defaults=True):
    """Where workers may be, and how much they may hold. Quotas by `queue/resource` ("": all)."""

    quotas: dict[str, Quota] = {}
    nodes: dict[str, NodeRule] = {}
    """Nodes that are not open for jobs, by the id that Ray gave them."""
    registrations: dict[str, Registration] = {}
    """What operators say of nodes, by the name that they gave them."""
    strategy: Strategy | Literal[""] = ""
    """How workers are placed; "": by default."""

    def __bool__(self) -> bool:
        return bool(self.quotas or self.nodes or self.registrations or self.strategy)


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """The first answer to a command, given again when the command is repeated."""

    at: float
    reply: bytes


Json = dict[str, Any]
