"""What the queue can be asked to do, once it has passed the door."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from taskqueue_ray.core.changes import UNCHANGED, Changes
from taskqueue_ray.core.exchange import Batch, Outcome, Save, WorkerInfo
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.meters import Rule
from taskqueue_ray.core.model import JobId, StoredCode
from taskqueue_ray.core.retention import Retention


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
    rule: Rule
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


class StoreCode(msgspec.Struct, frozen=True):
    """Keep a function by the hash of its bytes."""

    hash: str
    code: StoredCode


class Fold(msgspec.Struct, frozen=True):
    """History covers what ended up to the mark of commit `through`."""

    through: int


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
    | SetLimit
    | DeleteLimit
    | Throttle
    | Acquire
)
