"""Large sealed bytes on the side of whoever sends or needs them: in parts, to the queue and back.

These are generators of questions (`executor.inputs` answers them), so that clients, executors and
async code carry alike. Each holds the bytes once.
"""

from collections.abc import Generator
from hashlib import sha256

import msgspec

from taskqueue_ray.core.blobs import (
    CHUNK,
    MAX_BLOB,
    Blob,
    BlobKind,
    BlobPart,
    BlobWanted,
    make_reference,
    read_reference,
)
from taskqueue_ray.core.errors import BlobLost, StorageFull, Unavailable
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.model import JobId

Questions = Generator[tuple[str, bytes], bytes, bytes]

FITS_ANYWAY = 1024 * 1024
"""A result up to this size goes into the journal when there is no space beside it."""

BEGINNINGS = 10
"""How often sending begins anew, because the queue restarted in the middle."""

_encode = msgspec.msgpack.Encoder().encode
_offset = msgspec.msgpack.Decoder(int).decode
_bytes = msgspec.msgpack.Decoder(bytes).decode


def sent(kind: BlobKind, job_id: JobId, sealed: bytes) -> Questions:
    """Have the queue keep sealed bytes as a blob, durable on return; what stands for them."""
    blob = Blob(job_id, kind, sha256(sealed).digest())
    size, at, beginnings = len(sealed), 0, 0
    while at < size:
        if at == 0:
            beginnings += 1
            if beginnings > BEGINNINGS:
                raise Unavailable(f"a large {kind} could not be sent to its end")
        part = BlobPart(blob, size, at, sealed[at : at + CHUNK])
        at = _offset((yield "put_blob", _encode(part)))
    return make_reference(blob.digest, size)


def sent_result(job_id: JobId, sealed: bytes) -> Questions:
    """The same for a result. One that is not very large is kept also when the disk is full."""
    try:
        return (yield from sent("result", job_id, sealed))
    except StorageFull:
        if len(sealed) > FITS_ANYWAY:
            raise
        return sealed


def fetched(kind: BlobKind, job_id: JobId, sealed: bytes) -> Questions:
    """The sealed bytes that a reference stands for, all of them and unchanged.

    Raises `BlobLost`. What is no reference is returned as it is.
    """
    named = read_reference(sealed)
    if named is None:
        return sealed
    blob, owner = Blob(job_id, kind, named.digest), to_text(job_id)
    if named.size > MAX_BLOB:
        raise BlobLost(kind, owner, f"{named.size:,} bytes are more than any has")
    hashed, parts, have = sha256(), [], 0
    while have < named.size:
        part = _bytes((yield "get_blob", _encode(BlobWanted(blob, have))))
        if not part:
            raise BlobLost(kind, owner, f"its file has {have:,} bytes instead of {named.size:,}")
        hashed.update(part)
        parts.append(part)
        have += len(part)
    if have != named.size or hashed.digest() != named.digest:
        raise BlobLost(kind, owner, "its file was changed: the SHA-256 does not fit")
    return b"".join(parts)
