"""The bytes of a journal segment: one header, then one frame for each group commit.

All integers are little-endian; checksums are CRC-32C (Castagnoli).

Segment header, 64 bytes, written once and durable before the file has its name::

     0         4         8        12        16        20        24
    +---------+---------+---------+---------+---------+---------+
    |  magic "TQSEGMNT" | version | pred crc|     sequence      |
    +---------+---------+---------+---------+---------+---------+
    |       epoch       |  predecessor len  |   first commit    |
    +---------+---------+---------+---------+---------+---------+
    |       salt        | zero    | crc     |
    +---------+---------+---------+---------+                 64

`predecessor len` and `pred crc` say how many bytes of the preceding segment count, and the
checksum of exactly those bytes. What lies beyond is the tail of a dead or fenced writer.

Frame, 24 bytes and the payload::

     0         4         8        12        16                  24
    +---------+---------+---------+---------+-------------------+---------
    |  magic  |   crc   | length  |  epoch  |   commit index    | payload
    +---------+---------+---------+---------+-------------------+---------

The crc of a frame covers all that follows it, and starts from the crc of the segment's header
(its first 60 bytes), which holds a random salt; so does `pred crc`, which goes on over the frames.
So a frame of another segment (a recycled disk block) is no frame here, and neither is one that a
client wrote into its own payload. Space that was reserved and not yet written is zeros.
"""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from google_crc32c import extend, value

VERSION = 1
SEGMENT_MAGIC = b"TQSEGMNT"
FRAME_MAGIC = b"\xf7TQ\x0a"
MAX_PAYLOAD = 1 << 30
_SEARCH_LIMIT = 1 << 30

_SEGMENT = Struct("<8sIIQQQQ8sI")
_FRAME = Struct("<IIQ")
_U32 = Struct("<I")
SEGMENT_HEADER_SIZE = _SEGMENT.size + _U32.size
FRAME_HEADER_SIZE = len(FRAME_MAGIC) + _U32.size + _FRAME.size
SALT_SIZE = 8


class BadHeader(Exception):
    """A segment header that is not one; the text says why."""


class NewerFormat(BadHeader):
    """A sound header of a version that this program does not know."""


class SegmentHeader(NamedTuple):
    """What the first 64 bytes of a segment say."""

    sequence: int
    epoch: int
    predecessor_length: int
    predecessor_crc: int
    first_commit: int
    salt: bytes


class Frame(NamedTuple):
    """One group commit: `offset` is where its header begins in the segment."""

    offset: int
    epoch: int
    commit: int
    payload: bytes

    @property
    def end(self) -> int:
        """The offset of the byte after the frame."""
        return self.offset + FRAME_HEADER_SIZE + len(self.payload)


def encode_header(header: SegmentHeader) -> bytes:
    """The 64 bytes of a segment header."""
    fields = _SEGMENT.pack(
        SEGMENT_MAGIC,
        VERSION,
        header.predecessor_crc,
        header.sequence,
        header.epoch,
        header.predecessor_length,
        header.first_commit,
        header.salt,
        0,
    )
    return fields + _U32.pack(value(fields))


def decode_header(data: bytes) -> SegmentHeader:
    """The header at the start of `data`; raises `BadHeader`."""
    if len(data) < SEGMENT_HEADER_SIZE:
        raise BadHeader("the segment's header is incomplete")
    fields = data[: _SEGMENT.size]
    magic, version, crc, sequence, epoch, length, first, salt, _ = _SEGMENT.unpack(fields)
    if magic != SEGMENT_MAGIC:
        raise BadHeader("this is not a journal segment")
    if _U32.unpack_from(data, _SEGMENT.size)[0] != value(fields):
        raise BadHeader("the checksum of the segment's header does not fit")
    if version != VERSION:
        raise NewerFormat(f"format {version} needs a newer version of this package")
    return SegmentHeader(sequence, epoch, length, crc, first, salt)


def seed_of(header: bytes) -> int:
    """Where the checksums of the frames below this encoded header start from."""
    # Without the header's own crc: over bytes that end in their checksum every CRC is the same.
    seed: int = value(header[: _SEGMENT.size])
    return seed


def checksum_of(segment: bytes) -> int:
    """What the next segment's header records about these bytes, header and frames."""
    crc: int = extend(seed_of(segment), segment[SEGMENT_HEADER_SIZE:])
    return crc


def encode_frame(seed: int, epoch: int, commit: int, payload: bytes) -> bytes:
    """One frame. `ValueError` when the payload is above `MAX_PAYLOAD`."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a commit of {len(payload):,} bytes is above {MAX_PAYLOAD:,}")
    fields = _FRAME.pack(len(payload), epoch, commit)
    crc = extend(extend(seed, fields), payload)
    return b"".join((FRAME_MAGIC, _U32.pack(crc), fields, payload))


def decode_frame(seed: int, data: bytes, offset: int) -> Frame | None:
    """The frame that begins at `offset`, or None when there is no whole and undamaged one."""
    start = offset + FRAME_HEADER_SIZE
    if start > len(data) or not data.startswith(FRAME_MAGIC, offset):
        return None
    fields = data[start - _FRAME.size : start]
    length, epoch, commit = _FRAME.unpack(fields)
    if length > len(data) - start:
        return None
    payload = data[start : start + length]
    if (
        extend(extend(seed, fields), payload)
        != _U32.unpack_from(data, offset + len(FRAME_MAGIC))[0]
    ):
        return None
    return Frame(offset, epoch, commit, payload)


def frames_from(seed: int, data: bytes, offset: int) -> Iterator[Frame]:
    """The unbroken run of frames from `offset` on."""
    while (frame := decode_frame(seed, data, offset)) is not None:
        yield frame
        offset = frame.end


def next_frame_after(seed: int, data: bytes, offset: int, commit: int) -> Frame | None:
    """The first whole frame beyond `offset`, at whatever byte, of commit `commit` or later.

    What looks like a frame costs a checksum, and a torn payload may be full of look-alikes on
    purpose: `OverflowError` after checksums over `_SEARCH_LIMIT` bytes.
    """
    spent = 0
    while (offset := data.find(FRAME_MAGIC, offset + 1)) >= 0:
        start = offset + FRAME_HEADER_SIZE
        if start > len(data):
            return None
        length, _, index = _FRAME.unpack_from(data, start - _FRAME.size)
        if index < commit or length > len(data) - start:
            continue
        if (frame := decode_frame(seed, data, offset)) is not None:
            return frame
        spent += length
        if spent > _SEARCH_LIMIT:
            raise OverflowError("too much that looks like a frame and is none")
    return None
