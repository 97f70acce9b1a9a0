"""The envelope of a result: MessagePack of [value, payload that `handle` left, or nil]."""

from typing import Any

import msgspec

from taskqueue_ray.engine.values import decode_value

PAIR = b"\x92"
"""An array of two."""

NIL = b"\xc0"
NOTHING = PAIR + NIL + NIL
"""Of a job that returned None."""

_envelope = msgspec.msgpack.Decoder(tuple[msgspec.Raw, msgspec.Raw])


def open_value(envelope: bytes) -> Any:
    """The return value in a result envelope, when the job type is not known here."""
    return decode_value(bytes(_envelope.decode(envelope)[0]))


def value_in(envelope: bytes) -> msgspec.Raw:
    """The return value in a result envelope, as it is stored."""
    return _envelope.decode(envelope)[0]


def open_payload_after(envelope: bytes) -> Any:
    """The payload as `handle` left it, or None for a function's job."""
    return decode_value(bytes(_envelope.decode(envelope)[1]))
