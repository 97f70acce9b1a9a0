"""What happened, in batches. Applying the same events to the same state gives the same state.

Events carry outcomes, chosen ids and chosen times, never questions. `encode` and `decode` give
the form that the journal keeps: one MessagePack array of events for each group commit.
"""

import msgspec

from taskqueue_ray.core.alerts import Notice, Rule, Standing
from taskqueue_ray.core.changes import UNCHANGED, Changes
from taskqueue_ray.core.exchange import Batch, BatchRecord, Outcome, Save
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
from taskqueue_ray.core.origin import By
from taskqueue_ray.core.pool import Pool
from taskqueue_ray.core.schedule import Schedule


class Enqueued:
    """Jobs came in. `known` are indexes of the batch that were there before and are skipped.

    `others` are pairs of ids: who depends on the one, which was skipped because its unique key is
    taken, depends on the other, which has it. `failed` are jobs that have a parent which ended
    without completing, as far as that means something to them later.
    """

    __slots__ = ("at", "batch", "failed", "known", "others")

    def __init__(
        self,
        at: float,
        batch: Batch,
        known: tuple[int, ...] = (),
        others: tuple[tuple[JobId, JobId], ...] = (),
        failed: tuple[JobId, ...] = (),
    ) -> None:
        self.at = at
        self.batch = batch
        self.known = known
        self.others = others
        self.failed = failed


class EnqueuedRecord(msgspec.Struct, frozen=True, array_like=True, tag="enqueued"):
    """`Enqueued` in the journal: the client's bytes as they came."""

    at: float
    batch: msgspec.Raw
    known: tuple[int, ...] = ()
    others: tuple[tuple[JobId, JobId], ...] = ()
    failed: tuple[JobId, ...] = ()


class Promoted(msgspec.Struct, frozen=True, array_like=True, tag="promoted"):
    """Every scheduled job that was due at `until` is ready."""

    until: float


class Leased(msgspec.Struct, frozen=True, array_like=True, tag="leased"):
    """A worker took jobs, all under one lease number."""

    at: float
    worker: str
    lease: int
    ids: list[JobId]


class Started(msgspec.Struct, frozen=True, array_like=True, tag="started"):
    """The worker reported that it runs these jobs: if it vanishes now, that is a loss for them."""

    at: float
    ids: list[JobId]


class Checkpointed(msgspec.Struct, frozen=True, array_like=True, tag="checkpointed"):
    """Runs have saved something, each under the lease that was current."""

    at: float
    worker: str
    saves: list[Save]


class Retried(msgspec.Struct, frozen=True, array_like=True):
    """A failed attempt that will be tried again at `due`."""

    outcome: Outcome
    due: float


class Failed(msgspec.Struct, frozen=True, array_like=True):
    """A failed attempt after which there is no other. `reason` says why."""

    outcome: Outcome
    reason: str


class Settled(msgspec.Struct, frozen=True, array_like=True, tag="settled"):
    """Runs ended, each under the lease that was current."""

    at: float
    worker: str
    completed: list[Outcome] = []
    retried: list[Retried] = []
    failed: list[Failed] = []
    snoozed: list[Outcome] = []
    cancelled: list[Outcome] = []
    released: list[JobId] = []
    waiting: list[Outcome] = []


class Released(msgspec.Struct, frozen=True, array_like=True, tag="released"):
    """Leases came back unused: their worker no longer holds them."""

    at: float
    ids: list[JobId]


class Lost(msgspec.Struct, frozen=True, array_like=True, tag="lost"):
    """A worker vanished. `held` jobs come back free, `running` ones with a loss.

    `poisoned` had their last allowed loss and fail; `cancelled` were to be cancelled anyway.
    """

    at: float
    worker: str
    held: list[JobId] = []
    running: list[JobId] = []
    poisoned: list[JobId] = []
    cancelled: list[JobId] = []


class Cancelled(msgspec.Struct, frozen=True, array_like=True, tag="cancelled"):
    """Waiting jobs ended at once; `flagged` ones are running and were asked to stop."""

    at: float
    ids: list[JobId]
    flagged: list[JobId]
    reason: str = ""


class Expired(msgspec.Struct, frozen=True, array_like=True, tag="expired"):
    """Waiting jobs ended because none had started them in time."""

    at: float
    ids: list[JobId]


class Redriven(msgspec.Struct, frozen=True, array_like=True, tag="redriven"):
    """Dead letters were sent again, each as a new generation, and with these changes."""

    at: float
    ids: list[JobId]
    changes: Changes = UNCHANGED


class Purged(msgspec.Struct, frozen=True, array_like=True, tag="purged"):
    """Records of ended jobs were dropped."""

    at: float
    ids: list[JobId]


class Paused(msgspec.Struct, frozen=True, array_like=True, tag="paused"):
    """Jobs of a queue, type or tag were paused."""

    at: float
    kind: str
    name: str


class Resumed(msgspec.Struct, frozen=True, array_like=True, tag="resumed"):
    """A pause is over."""

    at: float
    kind: str
    name: str


class Configured(msgspec.Struct, frozen=True, array_like=True, tag="configured"):
    """A queue was given settings of its own."""

    at: float
    queue: str
    settings: QueueSettings


class LimitSet(msgspec.Struct, frozen=True, array_like=True, tag="limit_set"):
    """A limit has this rule from now on, for one key or (empty) for all that have no own one.

    What is used of it counts on.
    """

    at: float
    name: str
    key: str
    rule: LimitRule


class LimitDeleted(msgspec.Struct, frozen=True, array_like=True, tag="limit_deleted"):
    """The rule of a limit is gone: of one key, or (empty) all of it."""

    at: float
    name: str
    key: str


class Throttled(msgspec.Struct, frozen=True, array_like=True, tag="throttled"):
    """Nothing starts under a limit before `until`: under one key of it, or (empty) under any."""

    at: float
    name: str
    key: str
    until: float


class Permitted(msgspec.Struct, frozen=True, array_like=True, tag="permitted"):
    """Running code was allowed some units of a rate."""

    at: float
    name: str
    key: str
    units: int


class CodeStored(msgspec.Struct, frozen=True, array_like=True, tag="code"):
    """A function was stored by the hash of its bytes."""

    hash: str
    code: StoredCode


class Received(msgspec.Struct, frozen=True, array_like=True, tag="received"):
    """A command was answered with `reply`."""

    at: float
    command: str
    reply: bytes


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="opened"):
    """A writer took over. `clock_jump` is how far its clock was off the journal's, in seconds,
    when that was worth noting (behind it, or more than an hour ahead).
    """

    at: float
    epoch: int
    clock_jump: float = 0.0


class Marked(msgspec.Struct, frozen=True, array_like=True, tag="marked"):
    """The last event of commit number `commit`: what ended so far can be folded into history."""

    commit: int


class Folded(msgspec.Struct, frozen=True, array_like=True, tag="folded"):
    """History covers what ended up to the mark of commit `through`. Memories of jobs that ended
    before `forget_before` are dropped, and receipts from before `receipts_before`.
    """

    through: int
    forget_before: float
    receipts_before: float = 0.0


class SchedulePut(msgspec.Struct, frozen=True, array_like=True, tag="schedule"):
    """There is a schedule, or it is another from now on."""

    at: float
    schedule: Schedule


class ScheduleDropped(msgspec.Struct, frozen=True, array_like=True, tag="unschedule"):
    """A schedule is no more. Jobs that it has made stay."""

    at: float
    schedule: str


class Fired(msgspec.Struct, frozen=True, array_like=True, tag="fired"):
    """A schedule has dealt with all times up to `cursor`, and in the same breath made its job.

    `job` is for the time `due`, and may run `delay` seconds after that; empty: none was made. Then
    the time was passed over (`skipped`), waits for the end of another run (`buffered`), was missed,
    or could not be fired (`error`), in which case the cursor stays. `following` is the next due
    time (0: none), `wake` when the schedule is to be looked at next.
    """

    at: float
    schedule: str
    cursor: float
    following: float
    wake: float
    job: JobId = JobId(b"")
    due: float = 0.0
    delay: float = 0.0
    buffered: float = 0.0
    skipped: int = 0
    missed: int = 0
    error: str = ""


class Ran(msgspec.Struct, frozen=True, array_like=True, tag="ran"):
    """Jobs of a schedule were asked for beside its times: each with the time for which it is."""

    at: float
    schedule: str
    by: By
    jobs: list[tuple[JobId, float]]


class QuotaSet(msgspec.Struct, frozen=True, array_like=True, tag="quota"):
    """A ceiling on a resource holds from now on."""

    at: float
    quota: Quota


class QuotaDeleted(msgspec.Struct, frozen=True, array_like=True, tag="quota-deleted"):
    """It holds no more."""

    at: float
    queue: str
    resource: str


class NodeRegistered(msgspec.Struct, frozen=True, array_like=True, tag="node-registered"):
    """An operator said more of a node than Ray knows."""

    at: float
    name: str
    registration: Registration


class NodeForgotten(msgspec.Struct, frozen=True, array_like=True, tag="node-forgotten"):
    """An operator took that back."""

    at: float
    name: str


class NodeConfigured(msgspec.Struct, frozen=True, array_like=True, tag="node"):
    """A node of Ray gets from now on what its mode allows."""

    at: float
    node: str
    mode: NodeMode


class StrategySet(msgspec.Struct, frozen=True, array_like=True, tag="strategy"):
    """Workers are placed by this strategy from now on."""

    at: float
    strategy: Strategy


class AlertRuleSet(msgspec.Struct, frozen=True, array_like=True, tag="alert_set"):
    """A rule of alerts was added or changed."""

    at: float
    rule: Rule


class AlertRuleDeleted(msgspec.Struct, frozen=True, array_like=True, tag="alert_deleted"):
    """A rule of alerts was dropped, or a change of a built-in one taken back."""

    at: float
    name: str


class AlertMuted(msgspec.Struct, frozen=True, array_like=True, tag="alert_muted"):
    """The firing of a rule is not told `until` then; 0: it is told again."""

    at: float
    name: str
    until: float


class AlertChanged(msgspec.Struct, frozen=True, array_like=True, tag="alert_changed"):
    """Rules stand elsewhere than before, and their sinks are to be told of it."""

    at: float
    standings: list[Standing]
    notices: list[Notice] = []


class AlertDelivered(msgspec.Struct, frozen=True, array_like=True, tag="alert_delivered"):
    """A sink was told of a notice; or never will be, and `problem` says why."""

    at: float
    number: int
    sink: int
    problem: str = ""


class PoolSet(msgspec.Struct, frozen=True, array_like=True, tag="pool_set"):
    """A pool is new, or changed."""

    at: float
    pool: Pool


class PoolDeleted(msgspec.Struct, frozen=True, array_like=True, tag="pool_deleted"):
    """A pool is to have no more workers."""

    at: float
    name: str


Plain = (
    Promoted
    | Leased
    | Started
    | Checkpointed
    | Settled
    | Released
    | Lost
    | Cancelled
    | Expired
    | Redriven
    | Purged
    | Paused
    | Resumed
    | Configured
    | CodeStored
    | Received
    | Opened
    | Marked
    | Folded
    | PoolSet
    | PoolDeleted
    | SchedulePut
    | ScheduleDropped
    | Fired
    | Ran
    | QuotaSet
    | QuotaDeleted
    | NodeRegistered
    | NodeForgotten
    | NodeConfigured
    | StrategySet
    | AlertRuleSet
    | AlertRuleDeleted
    | AlertMuted
    | AlertChanged
    | AlertDelivered
    | LimitSet
    | LimitDeleted
    | Throttled
    | Permitted
)
Event = Enqueued | Plain
Stored = EnqueuedRecord | Plain

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Stored])
_batch_decoder = msgspec.msgpack.Decoder(BatchRecord)


def decode_batch(raw: bytes | msgspec.Raw) -> Batch:
    """The jobs in a client's bytes. Raises `msgspec.MsgspecError` when they are none."""
    record = _batch_decoder.decode(raw)
    return Batch(bytes(raw), record.options, record.jobs)


def encode_batch(record: BatchRecord) -> bytes:
    """The bytes of a batch, made once, by the client."""
    return _encoder.encode(record)


def encode(events: list[Event]) -> bytes:
    """The payload of one journal frame."""
    return _encoder.encode([_stored(event) for event in events])


def decode(payload: bytes) -> list[Event]:
    """The events of one journal frame. Raises `msgspec.MsgspecError` for anything else."""
    return [
        Enqueued(record.at, decode_batch(record.batch), record.known, record.others, record.failed)
        if isinstance(record, EnqueuedRecord)
        else record
        for record in _decoder.decode(payload)
    ]


def _stored(event: Event) -> Stored:
    if isinstance(event, Enqueued):
        return EnqueuedRecord(
            event.at, msgspec.Raw(event.batch.raw), event.known, event.others, event.failed
        )
    return event
