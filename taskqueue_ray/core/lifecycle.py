"""The life cycle of a job as one table.

Every allowed move is a row, and code makes a move by naming its row (`State.move`). The diagram in
the docs, the exhaustive test and the check in `apply` all come from this table.
"""

from enum import StrEnum
from typing import NamedTuple


class JobState(StrEnum):
    """Where a job is. The last four are final."""

    SCHEDULED = "scheduled"
    BLOCKED = "blocked"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    # The hash of an Enum is computed in Python; these are keys in every move of every job.
    __hash__ = str.__hash__

    @property
    def final(self) -> bool:
        """Whether a job in this state has ended."""
        return self in FINAL


FINAL = frozenset(
    {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED},
)
LIVE = tuple(state for state in JobState if state not in FINAL)


class Verb(StrEnum):
    """A move, by the one word that code, events, logs, CLI and docs use for it."""

    ENQUEUE = "enqueue"
    PROMOTE = "promote"
    LEASE = "lease"
    COMPLETE = "complete"
    RETRY = "retry"
    FAIL = "fail"
    RELEASE = "release"
    SNOOZE = "snooze"
    AWAIT = "await"
    CANCEL = "cancel"
    EXPIRE = "expire"
    REDRIVE = "redrive"
    PURGE = "purge"

    __hash__ = str.__hash__


class Move(NamedTuple):
    """One row: from `source` (None: the job does not exist) by `verb` to `target` (None: gone)."""

    source: JobState | None
    verb: Verb
    target: JobState | None
    when: str


_S = JobState
_V = Verb

ENQUEUE = Move(None, _V.ENQUEUE, _S.PENDING, "it can run at once")
ENQUEUE_LATER = Move(None, _V.ENQUEUE, _S.SCHEDULED, "it has a delay or a time")
ENQUEUE_BLOCKED = Move(None, _V.ENQUEUE, _S.BLOCKED, "it depends on jobs that have not ended")
PROMOTE = Move(_S.SCHEDULED, _V.PROMOTE, _S.PENDING, "its time has come")
UNBLOCK = Move(_S.BLOCKED, _V.PROMOTE, _S.PENDING, "its parents have ended")
UNBLOCK_LATER = Move(
    _S.BLOCKED, _V.PROMOTE, _S.SCHEDULED, "its parents have ended and it has a time"
)
LEASE = Move(_S.PENDING, _V.LEASE, _S.PROCESSING, "a worker takes it")
COMPLETE = Move(_S.PROCESSING, _V.COMPLETE, _S.COMPLETED, "its code returned")
RETRY = Move(_S.PROCESSING, _V.RETRY, _S.SCHEDULED, "its attempt failed and others are left")
FAIL = Move(_S.PROCESSING, _V.FAIL, _S.FAILED, "no attempt is left, or it asked to fail")
RELEASE = Move(_S.PROCESSING, _V.RELEASE, _S.PENDING, "its worker gave it back, or vanished")
SNOOZE = Move(_S.PROCESSING, _V.SNOOZE, _S.SCHEDULED, "its code asked to run later")
AWAIT = Move(_S.PROCESSING, _V.AWAIT, _S.BLOCKED, "its code asked to wait for jobs")
AWAIT_ENDED = Move(
    _S.PROCESSING, _V.AWAIT, _S.PENDING, "its code asked to wait for jobs that have ended"
)
STOP = Move(_S.PROCESSING, _V.CANCEL, _S.CANCELLED, "it was cancelled while it ran")
CANCEL = Move(_S.PENDING, _V.CANCEL, _S.CANCELLED, "it was cancelled")
CANCEL_SCHEDULED = Move(_S.SCHEDULED, _V.CANCEL, _S.CANCELLED, "it was cancelled")
CANCEL_BLOCKED = Move(_S.BLOCKED, _V.CANCEL, _S.CANCELLED, "it, or a parent, was cancelled")
EXPIRE = Move(_S.PENDING, _V.EXPIRE, _S.EXPIRED, "it was not started in time")
EXPIRE_SCHEDULED = Move(_S.SCHEDULED, _V.EXPIRE, _S.EXPIRED, "it was not started in time")
EXPIRE_BLOCKED = Move(_S.BLOCKED, _V.EXPIRE, _S.EXPIRED, "it was not started in time")
REDRIVE = Move(_S.FAILED, _V.REDRIVE, _S.PENDING, "an operator sends it again")
PURGE_COMPLETED = Move(_S.COMPLETED, _V.PURGE, None, "its record is no longer wanted")
PURGE_FAILED = Move(_S.FAILED, _V.PURGE, None, "its record is no longer wanted")
PURGE_CANCELLED = Move(_S.CANCELLED, _V.PURGE, None, "its record is no longer wanted")
PURGE_EXPIRED = Move(_S.EXPIRED, _V.PURGE, None, "its record is no longer wanted")

MOVES: tuple[Move, ...] = tuple(row for row in globals().values() if type(row) is Move)
"""The whole table, in the order above."""

_ROWS = {(row.source, row.verb, row.target): row for row in MOVES}
_FROM = frozenset((row.source, row.verb) for row in MOVES)


class IllegalMove(Exception):
    """A move that is not in the table: a bug in the caller, and state would become wrong."""


def can(source: JobState | None, verb: Verb) -> bool:
    """Whether a job in `source` can make the move `verb` at all."""
    return (source, verb) in _FROM


def find_move(source: JobState | None, verb: Verb, target: JobState | None) -> Move:
    """The row of the table. Raises `IllegalMove` when there is none."""
    try:
        return _ROWS[source, verb, target]
    except KeyError:
        raise IllegalMove(f"no such move: {source} --{verb}--> {target}") from None
