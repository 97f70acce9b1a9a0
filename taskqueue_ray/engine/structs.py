"""msgspec structs that travel by value, with a function of `__main__` or a notebook.

cloudpickle makes a class anew from its attributes. A struct's fields are no attributes, so it is
made anew from what msgspec says of it. Types and methods follow, since they may refer to the class.
"""

import inspect
import typing
from typing import Any

import cloudpickle
import msgspec

_Field = tuple[str, str, Any]
"""A field's name, which kind of default it has, and that."""

_KINDS = type(msgspec.Struct)
_CONFIG = (
    "frozen", "eq", "order", "array_like", "gc", "tag", "tag_field", "omit_defaults",
    "repr_omit_defaults", "forbid_unknown_fields", "weakref", "dict", "cache_hash",
)  # fmt: skip
_MADE = frozenset(
    ("__annotations__", "__dict__", "__doc__", "__match_args__", "__module__", "__slots__",
     "__struct_config__", "__struct_defaults__", "__struct_encode_fields__", "__struct_fields__",
     "__weakref__"),
)  # fmt: skip
_POST_INIT = "__post_init__"
_GENERIC = "__orig_bases__"


def travels_by_value(one: object) -> bool:
    """Whether this is a struct type that another process cannot import."""
    return isinstance(one, _KINDS) and not cloudpickle.cloudpickle._should_pickle_by_reference(one)


def reduce_struct(struct: Any) -> tuple[Any, ...]:
    """What `pickle` is to do with such a type. Raises `NameError` for a type that is not there."""
    own = inspect.get_annotations(struct)
    fields = [one for one in msgspec.structs.fields(struct) if one.name in own]
    config = {name: getattr(struct.__struct_config__, name) for name in _CONFIG}
    config["rename"] = {one.name: one.encode_name for one in fields}
    config["kw_only"] = not {one.name for one in fields}.issubset(struct.__match_args__)
    config["module"], config["bases"] = struct.__module__, struct.__bases__
    config["namespace"] = _needed_at_birth(struct)
    made = (struct.__name__, [_told(one) for one in fields], config)
    rest = {name: value for name, value in vars(struct).items() if _belongs(struct, name)}
    rest["__qualname__"], rest["__doc__"] = struct.__qualname__, struct.__doc__
    hints = typing.get_type_hints(struct, include_extras=True)
    # msgspec looks at them when it first needs them.
    rest["__annotations__"] = {name: hints[name] for name in own}
    return (_make, made, rest, None, None, _dress)


def _belongs(struct: Any, name: str) -> bool:
    """Whether an attribute is the class's own doing, and not made by msgspec."""
    return name not in _MADE and name not in struct.__struct_fields__


def _needed_at_birth(struct: Any) -> dict[str, Any]:
    """What Python and msgspec ask of a class when it is made, and not again."""
    found = vars(struct)
    namespace = {_GENERIC: found[_GENERIC]} if _GENERIC in found else {}
    return {**namespace, _POST_INIT: _post_init} if _POST_INIT in found else namespace


def _post_init(self: Any) -> None:
    """Stands in for a method that the class gets later."""
    type(self).__post_init__(self)


def _told(field: msgspec.structs.FieldInfo) -> _Field:
    if field.default_factory is not msgspec.NODEFAULT:
        return (field.name, "factory", field.default_factory)
    if field.default is not msgspec.NODEFAULT:
        return (field.name, "value", field.default)
    return (field.name, "none", None)


def _make(name: str, fields: list[_Field], config: dict[str, Any]) -> Any:
    return msgspec.defstruct(name, [_declared(*one) for one in fields], **config)


def _declared(name: str, has: str, default: Any) -> tuple[Any, ...]:
    if has == "none":
        return (name, Any)
    return (name, Any, msgspec.field(default_factory=default) if has == "factory" else default)


def _dress(struct: Any, rest: dict[str, Any]) -> None:
    for name, value in rest.items():
        setattr(struct, name, value)
