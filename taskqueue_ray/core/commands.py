"""What the queue can be asked to do, once it has passed the door."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from taskqueue_ray.core.alerts import Report, Rule
from taskqueue_ray.core.changes import UNCHANGED, Changes
from taskqueue_ray.core.exchange import Batch, Outcome, Save, WorkerInfo
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.model import JobId, NodeMode, Quota, Registration, StoredCode
from taskqueue_ray.core.pool import Pool
from taskqueue_ray.core.retention import Retention
from taskqueue_ray.core.schedule import Plan, Template


class Enqueue(msgspec.Struct, frozen=True):
    """Take in jobs. `past` says how those ids and parents ended that only the history knows."""

    batch: Batch
    past: Mapping[JobId, JobState] = {}


class Settle(msgspec.Struct, frozen=True):
    """Take the outcomes of a worker's runs. `chances` has a random number in [0, 1) for each."""

    worker: str
    outcomes: list[Outcome]
    chances: list[float]


class Start(msgspec.Struct, frozen=True):
    """Note that the worker runs these jobs."""

    worker: str
    ids: list[JobId]


class Checkpoint(msgspec.Struct, frozen=True):
    """Keep what the worker's runs have saved, for the next runs of their jobs."""

    worker: str
    saves: list[Save]


class Lease(msgspec.Struct, frozen=True):
    """Give a worker up to `want` jobs, of not much more than `max_bytes` of payload together."""

    worker: WorkerInfo
    want: int
    max_bytes: int = 80_000


class Release(msgspec.Struct, frozen=True):
    """Take back leases that their worker no longer holds."""

    worker: str
    ids: list[JobId]


class Lose(msgspec.Struct, frozen=True):
    """A worker vanished: take back all it had."""

    worker: str


class Promote(msgspec.Struct, frozen=True):
    """Make ready what is due."""


class Cancel(msgspec.Struct, frozen=True):
    """Cancel jobs: waiting ones at once, running ones by a flag."""

    ids: list[JobId]
    reason: str = ""


class Redrive(msgspec.Struct, frozen=True):
    """Send dead letters again, with these changes of their options."""

    ids: list[JobId]
    changes: Changes = UNCHANGED


class Purge(msgspec.Struct, frozen=True):
    """Drop the records of ended jobs."""

    ids: list[JobId]


class Retire(msgspec.Struct, frozen=True):
    """Purge dead letters whose term is over."""


class Pause(msgspec.Struct, frozen=True):
    """Lease no jobs of a queue, type or tag from now on."""

    kind: str
    name: str


class Resume(msgspec.Struct, frozen=True):
    """Lease them again."""

    kind: str
    name: str


class Configure(msgspec.Struct, frozen=True):
    """Give a queue settings of its own; what is not named stays as it is."""

    queue: str
    max_depth: int | msgspec.UnsetType | None = msgspec.UNSET
    weights: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    retention: Retention | msgspec.UnsetType | None = msgspec.UNSET
    concurrency: int | msgspec.UnsetType | None = msgspec.UNSET


class SetLimit(msgspec.Struct, frozen=True):
    """Give a limit a rule, for one key or (empty) for all that have none of their own."""

    name: str
    rule: LimitRule
    key: str = ""


class DeleteLimit(msgspec.Struct, frozen=True):
    """Take a rule back: that of one key, or (empty) all of the limit."""

    name: str
    kind: Literal["rate", "concurrency"]
    key: str = ""


class Throttle(msgspec.Struct, frozen=True):
    """Start nothing under a limit for so many seconds; 0 opens it again."""

    name: str
    seconds: float
    key: str = ""


class Acquire(msgspec.Struct, frozen=True):
    """Allow running code some units of a rate, if there are any now."""

    name: str
    units: int = 1
    key: str = ""


class SetQuota(msgspec.Struct, frozen=True):
    """Put a ceiling on a resource, in place of the one that there is."""

    quota: Quota


class DeleteQuota(msgspec.Struct, frozen=True):
    """Take a ceiling away."""

    queue: str
    resource: str


class RegisterNode(msgspec.Struct, frozen=True):
    """Say more of a node than Ray knows."""

    name: str
    registration: Registration


class ForgetNode(msgspec.Struct, frozen=True):
    """Say nothing of it any more."""

    name: str


class SetNodeMode(msgspec.Struct, frozen=True):
    """Say what a node may get. `node` is its id in Ray."""

    node: str
    mode: NodeMode


class SetStrategy(msgspec.Struct, frozen=True):
    """Place new workers by this strategy."""

    strategy: str


class StoreCode(msgspec.Struct, frozen=True):
    """Keep a function by the hash of its bytes."""

    hash: str
    code: StoredCode


class Fold(msgspec.Struct, frozen=True):
    """History covers what ended up to the mark of commit `through`."""

    through: int


class PutSchedule(msgspec.Struct, frozen=True):
    """Make a schedule. One of that id that is another is replaced if asked for, else it stays."""

    id: str
    plan: Plan
    template: Template
    replace: bool = False


class ReviseSchedule(msgspec.Struct, frozen=True):
    """Change a schedule; what is not named stays.

    `seen` is when it was last changed, as far as who asks knows (0: never mind).
    """

    id: str
    seen: float = 0.0
    plan: Plan | msgspec.UnsetType = msgspec.UNSET
    template: Template | msgspec.UnsetType = msgspec.UNSET
    paused: bool | msgspec.UnsetType = msgspec.UNSET


class DropSchedule(msgspec.Struct, frozen=True):
    """Let a schedule be no more."""

    id: str


class Fire(msgspec.Struct, frozen=True):
    """Deal with the next time of a schedule that is due, if any is."""


class RunSchedule(msgspec.Struct, frozen=True):
    """Enqueue the job of a schedule now. A repeat of the command asks for the same job."""

    id: str
    command: str


class Backfill(msgspec.Struct, frozen=True):
    """Enqueue a job for each time that was due from `start` up to `end`."""

    id: str
    command: str
    start: float
    end: float


class SetAlert(msgspec.Struct, frozen=True):
    """Keep a rule of alerts, in place of the one of its name."""

    rule: Rule


class DeleteAlert(msgspec.Struct, frozen=True):
    """Drop a rule of alerts, or what was changed of a built-in one."""

    name: str


class MuteAlert(msgspec.Struct, frozen=True):
    """Tell no firing of a rule until then, in seconds since the epoch; 0: tell it again."""

    name: str
    until: float


class TestAlert(msgspec.Struct, frozen=True):
    """Send a test to the sinks of a rule."""

    __test__ = False
    name: str


class JudgeAlerts(msgspec.Struct, frozen=True):
    """Take the verdicts and deliveries of the alert actor."""

    report: Report


class SetPool(msgspec.Struct, frozen=True):
    """Make a pool, or change the one of that name."""

    pool: Pool


class DeletePool(msgspec.Struct, frozen=True):
    """Let a pool have no more workers."""

    name: str


Command = (
    Enqueue
    | Settle
    | Start
    | Checkpoint
    | Lease
    | Release
    | Lose
    | Promote
    | Cancel
    | Redrive
    | Purge
    | Retire
    | Pause
    | Resume
    | Configure
    | StoreCode
    | Fold
    | SetPool
    | DeletePool
    | PutSchedule
    | ReviseSchedule
    | DropSchedule
    | Fire
    | RunSchedule
    | Backfill
    | SetQuota
    | DeleteQuota
    | RegisterNode
    | ForgetNode
    | SetNodeMode
    | SetStrategy
    | SetAlert
    | DeleteAlert
    | MuteAlert
    | TestAlert
    | JudgeAlerts
    | SetLimit
    | DeleteLimit
    | Throttle
    | Acquire
)
