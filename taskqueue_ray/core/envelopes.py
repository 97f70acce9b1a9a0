"""Calls as bytes: a method and its request; a reply, or the error with which it was refused.

A call is one piece of bytes because of Ray: each argument costs a call some 50 µs, text more.
"""

from typing import Any, TypeVar

import msgspec

from taskqueue_ray.core.errors import TaskQueueError, from_wire, to_wire

_REPLY = b"\x00"
_ERROR = b"\x01"
_encoder = msgspec.msgpack.Encoder()

T = TypeVar("T")

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no record, be it bad text or endless nesting."""


def encode(value: Any) -> bytes:
    """A request as bytes."""
    return _encoder.encode(value)


def seal_call(method: str, request: bytes) -> bytes:
    """A method, whose name is short ASCII, and its encoded request.

    >>> open_call(seal_call("stats", b"..."))
    ('stats', b'...')
    """
    name = method.encode("ascii")
    return bytes((len(name),)) + name + request


def open_call(data: bytes) -> tuple[str, bytes]:
    """The method and its request. Any bytes give some; a wrong name is no method."""
    end = 1 + (data[0] if data else 0)
    return data[1:end].decode("ascii", "replace"), data[end:]


def seal_reply(reply: Any) -> bytes:
    """A reply, or an error, as bytes."""
    if isinstance(reply, TaskQueueError):
        return _ERROR + _encoder.encode(to_wire(reply))
    return _REPLY + _encoder.encode(reply)


def open_reply(data: bytes) -> bytes:
    """The encoded reply. Raises the `TaskQueueError` that came instead."""
    if data[:1] == _ERROR:
        raise from_wire(*msgspec.msgpack.decode(memoryview(data)[1:]))
    return data[1:]


def decode(data: bytes, kind: type[T]) -> T:
    """A reply as its type."""
    return msgspec.msgpack.decode(data, type=kind)
