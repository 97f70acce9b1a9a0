"""Every error the product raises, by what the caller should do about it.

Each class builds its own sentence from the fields it is given, so that the same error can cross
a process boundary as its class name and fields (`to_wire`, `from_wire`) and read the same there.
The text is for people and may change; the type and the fields are the interface.
"""

from typing import Any


class TaskQueueError(Exception):
    """Base of all errors of this package. `fields` are the facts its sentence is made of."""

    def __init__(self, sentence: str, **fields: Any) -> None:
        super().__init__(sentence)
        self.fields: dict[str, Any] = fields

    def __reduce__(self) -> tuple[Any, ...]:
        return (from_wire, to_wire(self))


# --- the request is wrong: change it ---------------------------------------------------------


class InvalidRequest(TaskQueueError):
    """What was asked for cannot be done as asked. Nothing was stored."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, problem=problem)


class InvalidOption(InvalidRequest):
    """An option has a wrong type, range or name."""

    def __init__(self, option: str, value: str, accepts: str) -> None:
        TaskQueueError.__init__(
            self,
            f"option {option!r} does not accept {value}: it takes {accepts}",
            option=option,
            value=value,
            accepts=accepts,
        )


class InvalidArguments(InvalidRequest):
    """The arguments of a job do not fit the annotations of its function."""

    def __init__(self, job_type: str, problem: str) -> None:
        TaskQueueError.__init__(
            self, f"arguments of job {job_type!r}: {problem}", job_type=job_type, problem=problem
        )


class Unserialisable(InvalidRequest):
    """A value has no stored form that would come back as the same value."""

    def __init__(self, where: str, what: str) -> None:
        TaskQueueError.__init__(
            self,
            f"{where} cannot be stored: {what}; pass plain values, dataclasses or msgspec structs, "
            "and annotate the parameter or the return value",
            where=where,
            what=what,
        )


class UnknownJobType(InvalidRequest):
    """No job of that name is registered in this process."""

    def __init__(self, job_type: str, known: list[str]) -> None:
        names = ", ".join(sorted(known)) or "none"
        TaskQueueError.__init__(
            self,
            f"no job type {job_type!r} is registered here (registered: {names}); import the "
            "module that defines it, or name that module with --app or TASKQUEUE_APP",
            job_type=job_type,
            known=known,
        )


class PayloadTooLarge(InvalidRequest):
    """A payload, result or batch is above its limit in bytes."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        TaskQueueError.__init__(
            self,
            f"{what} is {size:,} bytes and the limit is {limit:,}: store the data elsewhere and "
            "pass a reference, or raise max_payload",
            what=what,
            size=size,
            limit=limit,
        )


class BatchTooLarge(InvalidRequest):
    """One call carries more jobs or bytes than the queue accepts at once."""

    def __init__(self, what: str, count: int, limit: int) -> None:
        TaskQueueError.__init__(
            self,
            f"a batch of {count:,} {what} is above the limit of {limit:,}: send it in parts "
            "(enqueue_many and pipeline do so by themselves)",
            what=what,
            count=count,
            limit=limit,
        )


class BatchEnded(InvalidRequest):
    """A job came too late to be one of a batch: what is to run after the batch waits no longer."""

    def __init__(self, job_id: str) -> None:
        TaskQueueError.__init__(
            self,
            f"the batch has ended: job {job_id}, which is to run after it, no longer waits; begin "
            "another batch",
            job_id=job_id,
        )


class QuotaBelowWorker(InvalidRequest):
    """A quota that would let no worker start."""

    def __init__(self, resource: str, quota: str, worker: str) -> None:
        TaskQueueError.__init__(
            self,
            f"a quota of {quota} for {resource} is below one worker, which takes {worker}: raise "
            "the quota, start smaller workers (fewer executors), or pause the queue",
            resource=resource,
            quota=quota,
            worker=worker,
        )


class UnknownNode(InvalidRequest):
    """No node of the Ray cluster is meant by that name, or more than one is."""

    def __init__(
        self, node: str, known: list[str], problem: str = "is no node of the Ray cluster"
    ) -> None:
        listed = ", ".join(one[:12] for one in known[:8]) or "none"
        TaskQueueError.__init__(
            self,
            f"{node!a} {problem} ({listed}): use a node's id, the beginning of one, its address or "
            "its host name, as in `taskqueue nodes list`",
            node=node,
            known=known,
            problem=problem,
        )


class UnknownCapability(InvalidRequest):
    """No open node has what was asked for."""

    def __init__(self, missing: list[str], known: list[str]) -> None:
        TaskQueueError.__init__(
            self,
            f"no open node has {', '.join(map(ascii, missing))} together (there are: "
            f"{', '.join(known[:40]) or 'none'}): register a node with it, or readmit one",
            missing=missing,
            known=known,
        )


class LimitConflict(InvalidRequest):
    """A name is either that of a rate or that of a concurrency limit."""

    def __init__(self, name: str, is_a: str, wanted: str) -> None:
        TaskQueueError.__init__(
            self,
            f"the limit {name!r} is a {is_a} limit and no {wanted} limit; choose another name for "
            "the other, or delete it first",
            name=name,
            is_a=is_a,
            wanted=wanted,
        )


class JobNotFound(InvalidRequest):
    """No job with that id is known, neither waiting nor in the history."""

    def __init__(self, job_id: str) -> None:
        TaskQueueError.__init__(self, f"no job {job_id} in this queue", job_id=job_id)


class ScheduleNotFound(InvalidRequest):
    """There is no schedule of that id."""

    def __init__(self, schedule: str) -> None:
        TaskQueueError.__init__(
            self,
            f"there is no schedule {schedule!r}: see `q.scheduler.list()` for those there are",
            schedule=schedule,
        )


class PhraseNotUnderstood(InvalidRequest):
    """A text that says when something recurs has a part that means nothing here."""

    def __init__(self, phrase: str, part: str, suggestions: list[str], why: str = "") -> None:
        because = f": {why}" if why else ""
        TaskQueueError.__init__(
            self,
            f"{_quoted(phrase)} is not understood at {_quoted(part)}{because}; "
            f"say for instance {_alternatives(suggestions)}",
            phrase=phrase,
            part=part,
            suggestions=suggestions,
            why=why,
        )


class AmbiguousPhrase(InvalidRequest):
    """A text that says when something recurs could mean several things."""

    def __init__(self, phrase: str, part: str, suggestions: list[str], why: str = "") -> None:
        because = f", {why}" if why else ""
        TaskQueueError.__init__(
            self,
            f"{_quoted(phrase)} is ambiguous at {_quoted(part)}{because}; "
            f"say {_alternatives(suggestions)}",
            phrase=phrase,
            part=part,
            suggestions=suggestions,
            why=why,
        )


def _quoted(text: str) -> str:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return repr(shown) if shown.isprintable() else ascii(shown)


def _alternatives(suggestions: list[str]) -> str:
    return " or ".join(map(_quoted, suggestions))


class AlertNotFound(InvalidRequest):
    """No rule of alerts has that name."""

    def __init__(self, name: str, known: list[str]) -> None:
        TaskQueueError.__init__(
            self,
            f"there is no alert rule {name!r}; known are {', '.join(known)}",
            name=name,
            known=known,
        )


# --- conflict: look at the present state first -----------------------------------------------


class Conflict(TaskQueueError):
    """The job is not in a state that allows this move."""

    def __init__(self, job_id: str, state: str, verb: str) -> None:
        super().__init__(
            f"cannot {verb} job {job_id}: it is {state}", job_id=job_id, state=state, verb=verb
        )


class DuplicateJob(Conflict):
    """Another job holds the unique key, and this one was to be refused then. Nothing was stored."""

    def __init__(self, key: str, job_id: str) -> None:
        TaskQueueError.__init__(
            self, f"job {job_id} holds the unique key {key!r}", key=key, job_id=job_id
        )


class ScheduleExists(Conflict):
    """There is a schedule of that id, and it is another one. It stays as it was."""

    def __init__(self, schedule: str, differs: str) -> None:
        TaskQueueError.__init__(
            self,
            f"there is another schedule {schedule!r} already, which differs in {differs}: give "
            "another id, or replace=True to put this one in its place",
            schedule=schedule,
            differs=differs,
        )


class ScheduleChanged(Conflict):
    """Somebody else changed the schedule meanwhile. Look at it again, then repeat the change."""

    def __init__(self, schedule: str) -> None:
        TaskQueueError.__init__(
            self,
            f"schedule {schedule!r} was changed meanwhile: look at it again, and repeat the change",
            schedule=schedule,
        )


# --- unavailable: repeat the same call --------------------------------------------------------


class Unavailable(TaskQueueError):
    """The queue cannot answer now. Repeating the same call with the same ids is safe."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the queue is unavailable: {reason}; repeat the call", reason=reason)


class Recovering(Unavailable):
    """The queue actor is opening its storage."""

    def __init__(self, progress: str) -> None:
        TaskQueueError.__init__(
            self,
            f"the queue is recovering ({progress}); repeat the call in a moment",
            progress=progress,
        )


class UnknownSession(Unavailable):
    """The queue does not know this worker or client (it restarted): register again and repeat."""

    def __init__(self, session: str) -> None:
        TaskQueueError.__init__(
            self, f"session {session} is not known; register again and repeat", session=session
        )


class NodeFenced(Unavailable):
    """The worker's node is fenced: it gets nothing, and nothing it says counts."""

    def __init__(self, node: str) -> None:
        TaskQueueError.__init__(
            self,
            f"node {node} is fenced: readmit it (`taskqueue nodes readmit {node[:12]}`) once it is "
            "well",
            node=node,
        )


class CommitUnknown(TaskQueueError):
    """The fate of the last writes is unknown; the writer has stopped. Repeat after it restarts."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"outcome unknown: {reason}; the queue restarts, repeat the call with the same ids",
            reason=reason,
        )


class ResultTimeout(TaskQueueError, TimeoutError):
    """The job did not end in the time that the caller gave. The job itself goes on."""

    def __init__(self, job_id: str, seconds: float, state: str) -> None:
        super().__init__(
            f"job {job_id} is {state} after {seconds:g} s of waiting; it goes on, ask again later",
            job_id=job_id,
            seconds=seconds,
            state=state,
        )


# --- fenced or closed: reconnect --------------------------------------------------------------


class LimitTimeout(TaskQueueError, TimeoutError):
    """A limit had nothing left in the time that the caller gave. Nothing was used of it."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(
            f"the limit {name!r} let nothing through in {seconds:g} s; wait longer, or give the "
            "worker back meanwhile with `raise tq.Snooze(...)`",
            name=name,
            seconds=seconds,
        )


class QueueClosed(TaskQueueError):
    """The queue or the connection to it has gone."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the queue is closed: {reason}; connect again", reason=reason)


class Fenced(TaskQueueError):
    """A newer writer owns the storage; this one acknowledges nothing more."""

    def __init__(self, mine: int, current: int) -> None:
        super().__init__(
            f"epoch {mine} is fenced off by epoch {current}: another writer owns this storage",
            mine=mine,
            current=current,
        )


class OwnedElsewhere(TaskQueueError):
    """A live owner that cannot be reached from here holds the storage."""

    def __init__(self, location: str, owner: str) -> None:
        super().__init__(
            f"{location} is owned by {owner}; connect to that cluster, stop it, or, when you know "
            "that it is gone, force the change with `taskqueue storage takeover`",
            location=location,
            owner=owner,
        )


# --- full: back off ---------------------------------------------------------------------------


class QueueFull(TaskQueueError):
    """The queue is at its depth limit. `waited` is how many seconds the caller was patient."""

    def __init__(self, queue: str, limit: int, waited: float = 0.0) -> None:
        after = f" after a wait of {waited:g} s" if waited else ""
        super().__init__(
            f"queue {queue!r} holds its limit of {limit:,} jobs{after}: "
            'wait (with tq.patient("30s"): ...), or raise max_depth',
            queue=queue,
            limit=limit,
            waited=waited,
        )


class StorageFull(TaskQueueError):
    """The disk is full. Settling goes on; new jobs are refused until there is room."""

    def __init__(self, location: str) -> None:
        super().__init__(
            f"no space left for {location}: new jobs are refused, running ones can finish; free "
            "some space, it heals by itself",
            location=location,
        )


# --- corrupt or misconfigured: an operator must act --------------------------------------------


class StorageCorrupt(TaskQueueError):
    """A stored file is damaged. Nothing was changed; restore a backup or ask for help."""

    def __init__(self, file: str, offset: int, why: str) -> None:
        super().__init__(
            f"{file} is damaged at byte {offset}: {why}; the files were left as they are",
            file=file,
            offset=offset,
            why=why,
        )


class BlobLost(TaskQueueError):
    """A large payload or result, which is a file beside the journal, is not there or not whole."""

    def __init__(self, kind: str, job_id: str, why: str) -> None:
        super().__init__(
            f"the large {kind} of job {job_id} cannot be had: {why}",
            kind=kind,
            job_id=job_id,
            why=why,
        )


class StorageUnusable(TaskQueueError):
    """The storage cannot be opened: no permission, not a queue, or of a newer version."""

    def __init__(self, location: str, why: str) -> None:
        super().__init__(
            f"cannot use {location} as a queue's storage: {why}", location=location, why=why
        )


class InvalidKey(TaskQueueError):
    """An encryption key is malformed."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"encryption key: {problem}; a key is 32 bytes as base64 or hex, or exactly 32 "
            "characters (make one with `taskqueue keys new`)",
            problem=problem,
        )


class KeyMissing(TaskQueueError):
    """None of the keys at hand fits what was sealed with another one."""

    def __init__(self, key_id: str, held: list[str]) -> None:
        super().__init__(
            f"sealed with key {key_id}, and the keyring here holds {', '.join(held) or 'no key'}: "
            "set TASKQUEUE_ENCRYPTION_KEYS to the queue's key",
            key_id=key_id,
            held=held,
        )


class SealBroken(TaskQueueError):
    """Sealed bytes were altered, truncated, or belong to something else."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"sealed {kind} cannot be opened: {why}", kind=kind, why=why)


class InvalidSetting(TaskQueueError):
    """A setting has a value that it does not accept."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"setting {name}: {problem}", name=name, problem=problem)


# --- how a job ended, as its caller learns it --------------------------------------------------


class JobFailed(TaskQueueError):
    """The job ended in `failed`. `error_type` and `message` are those of its last attempt.

    `reason` says why there is no other: `attempts` (it has had all of them), `final` (the job
    itself said so) or `poison` (too many workers vanished while they ran it).
    """

    def __init__(
        self,
        job_id: str,
        error_type: str,
        message: str,
        attempts: int,
        traceback: str = "",
        reason: str = "",
    ) -> None:
        how = (
            "was quarantined as poison, too many workers vanished while they ran it; when you "
            "know what it does to them, redrive it. The last time"
            if reason == "poison"
            else f"failed after {attempts} attempt(s)"
        )
        super().__init__(
            f"job {job_id} {how}: {error_type}: {message}",
            job_id=job_id,
            error_type=error_type,
            message=message,
            attempts=attempts,
            traceback=traceback,
            reason=reason,
        )
        self.reason = reason
        self.error_type = error_type
        self.message = message
        self.traceback = traceback


class JobCancelled(TaskQueueError):
    """The job was cancelled before it completed."""

    def __init__(self, job_id: str, reason: str = "") -> None:
        because = f": {reason}" if reason else ""
        super().__init__(f"job {job_id} was cancelled{because}", job_id=job_id, reason=reason)


class JobExpired(TaskQueueError):
    """The job was not started before its expiry."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} expired before it was started", job_id=job_id)


def _subclasses(base: type[TaskQueueError]) -> list[type[TaskQueueError]]:
    found = [base]
    for child in base.__subclasses__():
        found.extend(_subclasses(child))
    return found


def to_wire(error: TaskQueueError) -> tuple[str, dict[str, Any]]:
    """The error as plain data: its class name and the fields of its sentence."""
    if type(error) is TaskQueueError:
        return "TaskQueueError", {"sentence": str(error), **error.fields}
    return type(error).__name__, error.fields


def from_wire(name: str, fields: dict[str, Any]) -> TaskQueueError:
    """The error again, in another process.

    An unknown name or field (a newer peer) gives a plain `TaskQueueError` that says what was
    received.
    """
    for kind in _subclasses(TaskQueueError):
        if kind.__name__ == name:
            try:
                return kind(**fields)
            except TypeError:
                break
    return TaskQueueError(f"{name}: {fields}")
