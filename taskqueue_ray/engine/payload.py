"""Sealing: how what a job carries becomes bytes that only a holder of the key can read.

::

    +---------+--------+----------+-------------+----------------------------+---------+
    | version | key id |   salt   |   counter   |         ciphertext         |   tag   |
    |  1 byte | 4      |  16      |  8          |  n                         |  16     |
    +---------+--------+----------+-------------+----------------------------+---------+

    plain text = 1 byte (0: as it is, 1: zstd) and the content
    key        = HKDF-SHA256(keyring's key, salt)           nonce = counter in 12 bytes
    bound      = format, kind, type name, origin: what was sealed as the one opens as nothing else

Every sealer draws a salt of its own and counts, so that no nonce repeats under one derived key;
a forked child draws a new one before it runs any code.
"""

import os
import threading
import weakref
from collections.abc import Callable
from enum import StrEnum
from hashlib import blake2b
from itertools import count
from typing import NamedTuple

import msgspec
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from taskqueue_ray.core.blobs import INLINE
from taskqueue_ray.core.errors import PayloadTooLarge, SealBroken
from taskqueue_ray.engine.keyring import Keyring
from taskqueue_ray.engine.values import decode_value as decode_value
from taskqueue_ray.engine.values import encode_value as encode_value

VERSION = 1
OVERHEAD = 1 + 4 + 16 + 8 + 1 + 16
"""By how many bytes sealed content is longer than the content, uncompressed."""

MAX_SIZE = 64 * 1024 * 1024
MAX_OPENED = 1024 * 1024 * 1024
"""Bytes that opening may give, whatever the limit was when they were sealed."""

_HEAD = 21  # version, key id and salt: what a derived key belongs to
_BODY = 29
_FORMAT = b"taskqueue-ray seal 1"
_NONCE_PAD = b"\0\0\0\0"
_RAW, _ZSTD = b"\0", b"\1"
_WORTH_COMPRESSING = 1024
_MAX_DERIVED = 4096
MAX_MESSAGE = 8 * 1024
MAX_TRACEBACK = 64 * 1024


class Kind(StrEnum):
    """What sealed bytes are; bound to them."""

    PAYLOAD = "payload"
    RESULT = "result"
    ERROR = "error"
    CHECKPOINT = "checkpoint"
    CODE = "code"
    PREDICATE = "predicate"
    SINK = "sink"


class _Stream(NamedTuple):
    """What one salt gives: replaced as a whole, so that threads never see half of it."""

    head: bytes
    encrypt: Callable[[bytes, bytes, bytes | None], bytes]
    next: Callable[[], int]


class Sealer:
    """Seals with the keyring's primary key and opens with any of its keys. Safe among threads.

    `origin` is the id that the bytes belong to for ever (a job's, or the hash of stored code).
    Sealed bytes above `inline` are for `engine.carrying`: not to be put into a record.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        max_size: int = MAX_SIZE,
        inline: int = INLINE,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.key_id = keyring.primary.id
        self.max_size = max_size
        self.inline = inline
        self._inspected_above = min(_WORTH_COMPRESSING, max_size)
        self._keyring = keyring
        self._fingerprint_key = keyring.mac(b"fingerprint")
        self._random = random
        self._bound: dict[tuple[str, str], bytes] = {}
        self._openers: dict[bytes, Callable[[bytes, bytes, bytes | None], bytes]] = {}
        self._stream = self._new_stream()
        _sealers.add(self)

    def seal(self, kind: Kind, origin: bytes, type_name: str, plain: bytes) -> bytes:
        """`plain` sealed for `origin`. Raises `PayloadTooLarge` above `max_size` bytes."""
        if len(plain) > self._inspected_above:
            content = self._packed(kind, type_name, plain)
        else:
            content = _RAW + plain
        bound = self._bound.get((kind, type_name)) or self._bind(kind, type_name)
        head, encrypt, next_number = self._stream
        number = next_number().to_bytes(8, "big")
        return head + number + encrypt(_NONCE_PAD + number, content, bound + origin)

    def open(self, kind: Kind, origin: bytes, type_name: str, sealed: bytes) -> bytes:
        """What was sealed. Raises `KeyMissing`, `SealBroken`, or `PayloadTooLarge`."""
        opener = self._openers.get(sealed[:_HEAD]) or self._opener(kind, sealed)
        bound = self._bound.get((kind, type_name)) or self._bind(kind, type_name)
        try:
            content = opener(_NONCE_PAD + sealed[21:29], sealed[_BODY:], bound + origin)
        except (InvalidTag, ValueError):
            raise SealBroken(
                kind, f"it was altered, or sealed for another job, type or kind than {type_name}"
            ) from None
        return content[1:] if content[:1] == _RAW else self._unpacked(kind, content)

    def fingerprint(self, data: bytes) -> bytes:
        """16 bytes that stand for `data` and tell nothing of it to who has no key.

        Keyed BLAKE2b (RFC 7693), under a key of its own.
        """
        return blake2b(data, digest_size=16, key=self._fingerprint_key).digest()

    def renew(self) -> None:
        """Draw a new salt. Called by itself in a forked child."""
        self._stream = self._new_stream()

    def _bind(self, kind: Kind, type_name: str) -> bytes:
        name = type_name.encode()
        bound = b"%b\0%b\0%b\0" % (_FORMAT, kind.encode(), name)
        self._bound[kind, type_name] = bound
        return bound

    def _new_stream(self) -> _Stream:
        head = bytes((VERSION,)) + bytes.fromhex(self.key_id) + self._random(16)
        return _Stream(head, self._derive(head).encrypt, count(1).__next__)

    def _opener(self, kind: Kind, sealed: bytes) -> Callable[[bytes, bytes, bytes | None], bytes]:
        if len(sealed) < OVERHEAD:
            raise SealBroken(kind, f"it is cut short, {len(sealed)} bytes are left")
        if sealed[0] != VERSION:
            raise SealBroken(kind, f"its format is version {sealed[0]}, known is {VERSION}")
        head = bytes(sealed[:_HEAD])
        opener = self._derive(head).decrypt
        if len(self._openers) >= _MAX_DERIVED:
            self._openers.clear()
        self._openers[head] = opener
        return opener

    def _derive(self, head: bytes) -> AESGCM:
        key = self._keyring.get(head[1:5].hex())
        hkdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=head[5:], info=_FORMAT)
        return AESGCM(hkdf.derive(key.material))

    def _packed(self, kind: Kind, type_name: str, plain: bytes) -> bytes:
        if len(plain) > self.max_size:
            raise PayloadTooLarge(f"the {kind} of {type_name}", len(plain), self.max_size)
        packed = _codecs.compressor.compress(plain)
        return _ZSTD + packed if len(packed) < len(plain) else _RAW + plain

    def _unpacked(self, kind: Kind, content: bytes) -> bytes:
        if content[:1] != _ZSTD:
            raise SealBroken(kind, "its packing is not known to this version")
        packed = content[1:]
        limit = max(self.max_size, MAX_OPENED)
        try:
            size = zstandard.frame_content_size(packed)
            if size > limit:
                raise PayloadTooLarge(f"the unpacked {kind}", size, limit)
            return _codecs.decompressor.decompress(packed, max_output_size=limit)
        except zstandard.ZstdError:
            raise SealBroken(kind, "it does not unpack") from None

    def __repr__(self) -> str:
        return f"<Sealer with key {self.key_id}>"


class ErrorDetail(msgspec.Struct, frozen=True, array_like=True):
    """What an error says, in the clear."""

    message: str
    traceback: str = ""


def seal_error(
    sealer: Sealer, job_id: bytes, type_name: str, message: str, traceback: str
) -> bytes:
    """The words of a failed attempt, sealed; the ends of long ones are what is kept."""
    detail = ErrorDetail(_bounded(message, MAX_MESSAGE), _bounded(traceback, MAX_TRACEBACK))
    limit = sealer.max_size
    plain = msgspec.msgpack.encode(detail)
    if len(plain) > limit:  # a limit set very low must not make a failure unspeakable
        plain = msgspec.msgpack.encode(ErrorDetail(_bounded(message, limit // 2)))
    return sealer.seal(Kind.ERROR, job_id, type_name, plain)


def open_error(sealer: Sealer, job_id: bytes, type_name: str, sealed: bytes) -> ErrorDetail:
    """The words again. Empty bytes (a failure without words) give an empty message."""
    if not sealed:
        return ErrorDetail("")
    plain = sealer.open(Kind.ERROR, job_id, type_name, sealed)
    return msgspec.msgpack.decode(plain, type=ErrorDetail)


def _bounded(text: str, limit: int) -> str:
    # Messages may quote undecodable names: an unpaired surrogate has no UTF-8 form.
    raw = text.encode("utf-8", "backslashreplace")
    return (raw if len(raw) <= limit else b"... " + raw[4 - limit :]).decode("utf-8", "replace")


class _Codecs(threading.local):
    """zstd contexts, which threads must not share."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=3)
        self.decompressor = zstandard.ZstdDecompressor()


_codecs = _Codecs()
_sealers: weakref.WeakSet[Sealer] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for sealer in list(_sealers):
        sealer.renew()


os.register_at_fork(after_in_child=_renew_after_fork)
