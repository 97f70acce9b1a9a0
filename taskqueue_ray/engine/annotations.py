"""One annotation of a job's function: what it accepts, and how its values are stored."""

import types
import typing
from collections.abc import Callable
from contextlib import suppress
from pathlib import PurePath
from typing import Any

import msgspec

from taskqueue_ray.core.errors import Unserialisable
from taskqueue_ray.engine.values import describe, portable, unwrap

_PLAIN: frozenset[object] = frozenset((type(None), bool, int, float, str, bytes))
_CONTAINERS: frozenset[object] = frozenset((list, dict))
# Text is no base64 of bytes, although msgspec would take it for that.
_NATIVE = (bytes, bytearray, memoryview)


def _store(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} has no stored form")


_encode = msgspec.msgpack.Encoder(enc_hook=_store).encode


class Annotation:
    """How values of one annotated parameter, or of a return value, are checked and stored.

    `exact` are the types whose values need no look at all. `loose` says that nothing is declared
    (or only plain containers of anything): such values are stored by `engine.values`.
    """

    __slots__ = ("_decode", "exact", "loose", "type")

    def __init__(self, declared: object) -> None:
        self.loose = _is_loose(declared) or not _is_supported(declared)
        self.type: Any = Any if self.loose else declared
        self.exact = _exact_types(declared)
        self._decode = decoder(self.type).decode

    def store(self, value: object, where: str) -> msgspec.Raw:
        """MessagePack of a value that fits. Raises `Unserialisable`, or msgspec's error."""
        try:
            if self.loose:
                return msgspec.Raw(_encode(portable(value, where)))
            fitting = msgspec.convert(
                value, self.type, strict=True, builtin_types=_NATIVE, dec_hook=_load
            )
            raw = _encode(fitting)
        except msgspec.ValidationError:
            raise
        except (TypeError, ValueError, OverflowError, RecursionError) as problem:
            raise Unserialisable(where, describe(problem)) from None
        # An instance of a class is taken as it is; only reading it again looks at its fields.
        self._decode(raw)
        return msgspec.Raw(raw)

    def from_text(self, text: str) -> Any:
        """What a word of a command line means here: a number for a number, JSON for a list.

        Text that means nothing else stays text, which `store` may refuse.
        """
        if self.loose or str in self.exact:
            return text
        for read in (self._convert, msgspec.json.decode):
            with suppress(msgspec.MsgspecError, NotImplementedError):
                return read(text)
        return text

    def _convert(self, text: str) -> Any:
        return msgspec.convert(text, self.type, strict=False, dec_hook=_load)


def decoder(declared: Any) -> msgspec.msgpack.Decoder[Any]:
    """A decoder that gives values of `declared`, and undeclared ones as they were."""
    return msgspec.msgpack.Decoder(declared, dec_hook=_load, ext_hook=unwrap)


def encode(value: object) -> bytes:
    """MessagePack of a declared value."""
    return _encode(value)


def hints_of(target: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of `target`, those left out that name nothing that exists at run time."""
    try:
        return typing.get_type_hints(target, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError):
        return _hints_one_by_one(target)


def _hints_one_by_one(target: Callable[..., Any]) -> dict[str, Any]:
    found = {}
    scope = getattr(target, "__globals__", {})
    for name, declared in getattr(target, "__annotations__", {}).items():
        probe = types.SimpleNamespace(__annotations__={name: declared})
        try:
            found.update(typing.get_type_hints(probe, scope, include_extras=True))
        except (NameError, AttributeError, TypeError, SyntaxError):
            continue
    return found


def _is_loose(declared: object) -> bool:
    if declared in (Any, object) or declared in _CONTAINERS:
        return True
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin in _CONTAINERS or origin in (typing.Union, types.UnionType):
        return any(map(_is_loose, arguments)) and all(
            part in _PLAIN or part is None or _is_loose(part) for part in arguments
        )
    return False


def _is_supported(declared: object) -> bool:
    try:
        decoder(declared)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True


def _exact_types(declared: object) -> frozenset[object]:
    if declared in (Any, object):
        return _PLAIN
    if declared is None:
        return frozenset((type(None),))
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        parts = typing.get_args(declared)
        return _PLAIN if Any in parts or object in parts else _PLAIN.intersection(parts)
    return _PLAIN.intersection((declared,)) if _hashable(declared) else frozenset()


def _hashable(declared: object) -> bool:
    try:
        hash(declared)
    except TypeError:
        return False
    return True


def _load(declared: type, stored: object) -> object:
    is_path = isinstance(declared, type) and issubclass(declared, PurePath)
    if is_path and isinstance(stored, str | PurePath):
        return declared(stored)
    name = getattr(declared, "__qualname__", str(declared))
    raise NotImplementedError(f"{name} has no stored form")
