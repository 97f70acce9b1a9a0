"""Values whose type nobody declared, as MessagePack that gives back equal values of equal types.

What MessagePack lacks travels as extension type 1: an array of a word and a plain value. Aware
datetimes use the format's own timestamp: they keep the instant, and come back in UTC.
"""

import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PosixPath
from typing import Any

import msgspec

from taskqueue_ray.core.errors import Unserialisable

EXTENSION = 1
MAX_DEPTH = 64
_PLAIN = frozenset((type(None), bool, int, float, str, bytes))
_encode = msgspec.msgpack.Encoder().encode


def encode_value(value: object, where: str = "value") -> bytes:
    """MessagePack of an undeclared value. Raises `Unserialisable` with the path from `where`."""
    if type(value) not in _PLAIN:
        value = portable(value, where)
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError) as problem:
        raise Unserialisable(where, describe(problem)) from None


def decode_value(data: bytes | memoryview) -> Any:
    """The value that `encode_value` was given."""
    return _decoder.decode(data)


def portable(value: object, where: str = "value", depth: int = 0) -> object:
    """`value` with everything that MessagePack lacks wrapped, or `Unserialisable`."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if depth >= MAX_DEPTH:
        raise Unserialisable(where, f"it is nested deeper than {MAX_DEPTH} levels")
    if kind is list:
        return _each(value, where, depth)
    if kind is dict:
        return _mapping(value, where, depth)  # type: ignore[arg-type]  # exact type seen above
    if kind is datetime and value.utcoffset() is not None:  # type: ignore[attr-defined]  # ditto
        return value
    if kind in _COLLECTIONS:
        return _wrap(_COLLECTIONS[kind], _each(value, where, depth))
    if kind in _SCALARS:
        word, plain = _SCALARS[kind]
        return _wrap(word, plain(value))
    raise Unserialisable(where, f"{kind.__module__}.{kind.__qualname__} is no plain value")


def unwrap(code: int, data: memoryview) -> Any:
    """The `ext_hook` of decoders that may meet undeclared values."""
    if code != EXTENSION:
        return msgspec.msgpack.Ext(code, bytes(data))
    word, plain = _decoder.decode(data)
    return _READ[word](plain)


def describe(problem: BaseException) -> str:
    """An encoder's complaint in words of ours."""
    match problem:
        case UnicodeEncodeError():
            return "text with unpaired surrogates has no UTF-8 form"
        case OverflowError():
            return "a whole number has more than 64 bits"
        case RecursionError():
            return "it contains itself, or is nested too deep"
        case _:
            return str(problem)


def _each(value: Any, where: str, depth: int) -> list[object]:
    return [portable(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]


def _mapping(value: dict[object, object], where: str, depth: int) -> dict[object, object]:
    for key in value:
        if type(key) not in _PLAIN:
            raise Unserialisable(where, f"a key is {type(key).__qualname__}, no plain value")
    return {
        key: portable(item, f"{where}[{ascii(key)[:40]}]", depth + 1) for key, item in value.items()
    }


def _wrap(word: str, plain: object) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(EXTENSION, _encode((word, plain)))


def _microseconds(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


_COLLECTIONS: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}
_SCALARS: dict[type, tuple[str, Callable[[Any], object]]] = {
    bytearray: ("bytearray", bytes),
    date: ("date", date.isoformat),
    datetime: ("datetime", datetime.isoformat),
    time: ("time", time.isoformat),
    timedelta: ("timedelta", _microseconds),
    uuid.UUID: ("uuid", lambda value: value.bytes),
    Decimal: ("decimal", str),
    PosixPath: ("path", str),
}
_READ: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "bytearray": bytearray,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda parts: timedelta(*parts),
    "uuid": lambda raw: uuid.UUID(bytes=raw),
    "decimal": Decimal,
    "path": Path,
}
_decoder = msgspec.msgpack.Decoder(ext_hook=unwrap)
