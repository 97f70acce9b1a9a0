"""Large payloads and results: what stands for one in a record, and for how long one is needed.

Sealed bytes that are too large for the journal are a file beside it, a *blob*. In the record, and
everywhere else where the sealed bytes would be, stands a reference::

    +------+-----------------------------+---------------+
    | 0xb1 |  SHA-256 of the blob, 32    |  its size, 8  |      41 bytes, big-endian
    +------+-----------------------------+---------------+

Nothing that is sealed is as short as that, so one comparison of lengths tells them apart.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import PLAIN, Finished, Job, JobId, Leased, Settled
from taskqueue_ray.core.state import State

REFERENCE_SIZE = 41
INLINE = 128 * 1024
"""Sealed bytes up to this many are kept in the journal, unless a setting says otherwise."""

CHUNK = 2 * 1024 * 1024
"""Bytes of a blob in one call."""

MAX_CHUNK = 4 * 1024 * 1024
MAX_BLOB = 1024 * 1024 * 1024 + 1024
"""No blob is larger: the largest payload, sealed."""

BlobKind = Literal["payload", "result"]
_TAG = 0xB1


class Blob(msgspec.Struct, frozen=True, array_like=True):
    """Which blob: whose it is, what it is of the job, and the SHA-256 of its bytes."""

    job: JobId
    kind: BlobKind
    digest: bytes


class BlobPart(msgspec.Struct, frozen=True, array_like=True):
    """Bytes of a blob of `size` bytes, from `offset` on.

    The answer is the offset that is wanted next. When that is `size`, the blob is durable.
    """

    blob: Blob
    size: int
    offset: int
    data: bytes


class BlobWanted(msgspec.Struct, frozen=True, array_like=True):
    """Asks for at most `CHUNK` bytes of a blob, from `offset` on."""

    blob: Blob
    offset: int


class Reference(NamedTuple):
    """What a record says of a blob."""

    digest: bytes
    size: int


def make_reference(digest: bytes, size: int) -> bytes:
    """What stands for a blob in a record.

    >>> len(make_reference(bytes(32), 5_000_000))
    41
    """
    return bytes((_TAG,)) + digest + size.to_bytes(8, "big")


def read_reference(sealed: bytes) -> Reference | None:
    """What a record says of a blob; None when the sealed bytes are there themselves."""
    if len(sealed) != REFERENCE_SIZE or sealed[0] != _TAG:
        return None
    return Reference(sealed[1:33], int.from_bytes(sealed[33:], "big"))


def is_needed(state: State, blob: Blob) -> bool:
    """Whether the live state needs a blob.

    A payload is needed until its job has ended and is in the history; a dead letter's as long as
    that may be redriven. A result is needed as long as memory knows how its job ended, and while a
    run that may be about to name it goes on.
    """
    found = state.jobs.get(blob.job) or state.settled.get(blob.job)
    if found is None:
        return False
    if isinstance(found, Settled):
        return blob.kind == "result" and found.state is JobState.COMPLETED
    if blob.kind == "payload":
        return _names(found.payload, blob.digest)
    phase = found.phase
    return isinstance(phase, Leased) or (
        isinstance(phase, Finished) and _names(phase.result, blob.digest)
    )


def named_by(job: Job) -> Iterator[tuple[Blob, int]]:
    """The blobs that a record names, with their sizes."""
    phase = job.phase
    result = phase.result if isinstance(phase, Finished) else b""
    parts: tuple[tuple[BlobKind, bytes], ...] = (("payload", job.payload), ("result", result))
    for kind, sealed in parts:
        if (named := read_reference(sealed)) is not None:
            yield Blob(job.id, kind, named.digest), named.size


def wanted_parents(state: State) -> set[JobId]:
    """The jobs whose results are arguments of jobs that are there."""
    return {
        parent
        for job in state.jobs.values()
        if job.conditions is not PLAIN
        for one in job.conditions.inputs
        for parent in one.ids
    }


def _names(sealed: bytes, digest: bytes) -> bool:
    named = read_reference(sealed)
    return named is not None and named.digest == digest
