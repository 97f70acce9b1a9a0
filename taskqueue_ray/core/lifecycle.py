"""The life cycle of a job as one table.

Every allowed move is a row. The diagram in the docs, the exhaustive test and the check in `apply`
all come from `MOVES`.
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
    CANCEL = "cancel"
    EXPIRE = "expire"
    REDRIVE = "redrive"
    PURGE = "purge"


class Move(NamedTuple):
    """One row: from `source` (None: the job does not exist) by `verb` to `target` (None: gone)."""

    source: JobState | None
    verb: Verb
    target: JobState | None
    when: str


_S = JobState
_V = Verb

MOVES: tuple[Move, ...] = (
    Move(None, _V.ENQUEUE, _S.PENDING, "it can run at once"),
    Move(None, _V.ENQUEUE, _S.SCHEDULED, "it has a delay or a time"),
    Move(None, _V.ENQUEUE, _S.BLOCKED, "it depends on jobs that have not ended"),
    Move(_S.SCHEDULED, _V.PROMOTE, _S.PENDING, "its time has come"),
    Move(_S.BLOCKED, _V.PROMOTE, _S.PENDING, "its parents have ended"),
    Move(_S.BLOCKED, _V.PROMOTE, _S.SCHEDULED, "its parents have ended and it has a time"),
    Move(_S.PENDING, _V.LEASE, _S.PROCESSING, "a worker takes it"),
    Move(_S.PROCESSING, _V.COMPLETE, _S.COMPLETED, "its code returned"),
    Move(_S.PROCESSING, _V.RETRY, _S.SCHEDULED, "its attempt failed and others are left"),
    Move(_S.PROCESSING, _V.FAIL, _S.FAILED, "no attempt is left, or it asked to fail"),
    Move(_S.PROCESSING, _V.RELEASE, _S.PENDING, "its worker gave it back, or vanished"),
    Move(_S.PROCESSING, _V.SNOOZE, _S.SCHEDULED, "its code asked to run later"),
    Move(_S.PROCESSING, _V.CANCEL, _S.CANCELLED, "it was cancelled while it ran"),
    Move(_S.PENDING, _V.CANCEL, _S.CANCELLED, "it was cancelled"),
    Move(_S.SCHEDULED, _V.CANCEL, _S.CANCELLED, "it was cancelled"),
    Move(_S.BLOCKED, _V.CANCEL, _S.CANCELLED, "it, or a parent, was cancelled"),
    Move(_S.PENDING, _V.EXPIRE, _S.EXPIRED, "it was not started in time"),
    Move(_S.SCHEDULED, _V.EXPIRE, _S.EXPIRED, "it was not started in time"),
    Move(_S.BLOCKED, _V.EXPIRE, _S.EXPIRED, "it was not started in time"),
    Move(_S.FAILED, _V.REDRIVE, _S.PENDING, "an operator sends it again"),
    Move(_S.COMPLETED, _V.PURGE, None, "its record is no longer wanted"),
    Move(_S.FAILED, _V.PURGE, None, "its record is no longer wanted"),
    Move(_S.CANCELLED, _V.PURGE, None, "its record is no longer wanted"),
    Move(_S.EXPIRED, _V.PURGE, None, "its record is no longer wanted"),
)

_ALLOWED = frozenset((move.source, move.verb, move.target) for move in MOVES)
_FROM = frozenset((move.source, move.verb) for move in MOVES)


def is_allowed(source: JobState | None, verb: Verb, target: JobState | None) -> bool:
    """Whether the table has this row."""
    return (source, verb, target) in _ALLOWED


def can(source: JobState | None, verb: Verb) -> bool:
    """Whether a job in `source` can make the move `verb` at all."""
    return (source, verb) in _FROM


def require(source: JobState | None, verb: Verb, target: JobState | None) -> None:
    """Stop at a move that is not in the table: the caller has a bug, and state would be wrong."""
    if (source, verb, target) not in _ALLOWED:
        raise AssertionError(f"no such move: {source} --{verb}--> {target}")
