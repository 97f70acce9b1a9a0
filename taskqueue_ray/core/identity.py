"""Job ids: 128 bits, ordered by creation time, carrying the shard that owns the job.

Layout (RFC 9562, version 7, with the first random byte used for the shard)::

     0                   48    52          64 66          72                128
    +--------------------+-----+-----------+--+-----------+------------------+
    | Unix time in ms    | 0x7 | random a  |10| random b  | shard | random c  |
    +--------------------+-----+-----------+--+-----------+------------------+

The text form is 32 lower-case hexadecimal digits; the dashed form of a UUID is read too.
"""

from hashlib import sha256

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import JobId

MAX_SHARD = 255
_EARLIEST_MS = 1_577_836_800_000  # 2020-01-01: no queue of ours is older
CLOCK_SKEW = 3600.0
"""Seconds by which the clock of a client may be ahead of the queue's."""


def make_job_id(now: float, entropy: bytes, shard: int = 0) -> JobId:
    """An id for the time `now` (seconds) from 9 random bytes."""
    milliseconds = int(now * 1000)
    head = milliseconds.to_bytes(6, "big")
    version = bytes((0x70 | entropy[0] & 0x0F, entropy[1]))
    variant = bytes((0x80 | entropy[2] & 0x3F, shard))
    return JobId(head + version + variant + entropy[3:9])


def derive_job_id(base: JobId, key: str) -> JobId:
    """The id of the job that `base` makes under this key: always the same, and as old as `base`."""
    entropy = sha256(base + key.encode()).digest()[:9]
    made = make_job_id(created_at(base), entropy, shard_of(base))
    return JobId(base[:6] + made[6:])


def created_at(job_id: JobId) -> float:
    """The creation time that an id embeds, in seconds."""
    return int.from_bytes(job_id[:6], "big") / 1000


def shard_of(job_id: JobId) -> int:
    """The shard that owns the job."""
    return job_id[9]


def to_text(job_id: JobId) -> str:
    """The id as people and programs outside see it."""
    return job_id.hex()


def from_text(text: object) -> JobId:
    """The id again. Raises `InvalidOption` for anything that is not an id made by this package.

    >>> from_text("018f3c5e-0000-7000-8000-0123456789ab").hex()
    '018f3c5e0000700080000123456789ab'
    """
    if isinstance(text, bytes) and len(text) == 16:
        raw = text
    else:
        raw = _parse(str(text))
    if raw[6] >> 4 != 7 or int.from_bytes(raw[:6], "big") < _EARLIEST_MS:
        raise _refused(text)
    return JobId(raw)


def _parse(text: str) -> bytes:
    digits = text.replace("-", "")
    if len(digits) != 32:
        raise _refused(text)
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise _refused(text) from None


def _refused(text: object) -> InvalidOption:
    return InvalidOption(
        "id",
        ascii(text)[:80],
        "an id of this queue: 32 hexadecimal digits made by `tq.new_id()`, or a UUID of version 7",
    )
