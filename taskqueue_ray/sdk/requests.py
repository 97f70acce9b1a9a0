"""Requests to the queue as values: the method, its bytes, and how to read the answer.

Each is made once and sent either way, so that a method and its `a…` twin cannot differ.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from taskqueue_ray.core.changes import UNCHANGED, Changes
from taskqueue_ray.core.commands import Configure, Pause, Resume
from taskqueue_ray.core.exchange import (
    Controls,
    Cursor,
    Ended,
    EnqueueReply,
    FailureSummary,
    JobFilter,
    JobPage,
    JobView,
    QueueStats,
    WorkerView,
    WorkflowView,
)
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId, QueueSettings, StoredCode
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


def store_code(code_hash: str, code: StoredCode) -> Request[None]:
    """Keep a function that is sent by value."""
    return Request("store_code", _encode((code_hash, code)), lambda _: None)


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
