"""msgspec structs that travel by value, with a function of `__main__` or a notebook.

cloudpickle makes a class anew from its attributes. A struct's fields are no attributes, so it is
made anew from what msgspec says of it; methods follow, since they may refer to the class.
"""

import inspect
from typing import Any

import cloudpickle
import msgspec

_Field = tuple[str, Any, str, Any]
"""A field's name and type, which kind of default it has, and that."""

_KINDS = type(msgspec.Struct)
_CONFIG = (
    "frozen", "eq", "order", "array_like", "gc", "tag", "tag_field", "omit_defaults",
    "forbid_unknown_fields", "weakref", "dict", "cache_hash",
)  # fmt: skip
_MADE = frozenset(
    ("__annotations__", "__dict__", "__doc__", "__match_args__", "__module__", "__slots__",
     "__struct_config__", "__struct_defaults__", "__struct_encode_fields__", "__struct_fields__",
     "__weakref__"),
)  # fmt: skip


def travels_by_value(one: object) -> bool:
    """Whether this is a struct type that another process cannot import."""
    return isinstance(one, _KINDS) and not cloudpickle.cloudpickle._should_pickle_by_reference(one)


def reduce_struct(struct: Any) -> tuple[Any, ...]:
    """What `pickle` is to do with such a type."""
    own = inspect.get_annotations(struct)
    fields = [one for one in msgspec.structs.fields(struct) if one.name in own]
    config = {name: getattr(struct.__struct_config__, name) for name in _CONFIG}
    config["rename"] = {one.name: one.encode_name for one in fields}
    config["kw_only"] = not {one.name for one in fields}.issubset(struct.__match_args__)
    config["module"], config["bases"] = struct.__module__, struct.__bases__
    made = (struct.__name__, [_told(one) for one in fields], config)
    rest = {name: value for name, value in vars(struct).items() if _belongs(struct, name)}
    rest["__qualname__"], rest["__doc__"] = struct.__qualname__, struct.__doc__
    return (_make, made, rest, None, None, _dress)


def _belongs(struct: Any, name: str) -> bool:
    """Whether an attribute is the class's own doing, and not made by msgspec."""
    return name not in _MADE and name not in struct.__struct_fields__


def _told(field: msgspec.structs.FieldInfo) -> _Field:
    if field.default_factory is not msgspec.NODEFAULT:
        return (field.name, field.type, "factory", field.default_factory)
    if field.default is not msgspec.NODEFAULT:
        return (field.name, field.type, "value", field.default)
    return (field.name, field.type, "none", None)


def _make(name: str, fields: list[_Field], config: dict[str, Any]) -> Any:
    return msgspec.defstruct(name, [_declared(*one) for one in fields], **config)


def _declared(name: str, kind: Any, has: str, default: Any) -> tuple[Any, ...]:
    if has == "none":
        return (name, kind)
    return (name, kind, msgspec.field(default_factory=default) if has == "factory" else default)


def _dress(struct: Any, rest: dict[str, Any]) -> None:
    for name, value in rest.items():
        setattr(struct, name, value)
