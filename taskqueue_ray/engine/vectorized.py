"""Handlers that take many jobs in one call: a list of items in, a list of as many results out.

A function's item is what the list of its one parameter holds; a class's is the payload.
"""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any, Union

from taskqueue_ray.core.batching import Batch, check_batch
from taskqueue_ray.core.errors import InvalidArguments, InvalidOption, InvalidRequest
from taskqueue_ray.engine.annotations import hints_of

_LISTS: frozenset[object] = frozenset((list, Sequence, Collection, Iterable))
_Parameter = inspect.Parameter
_FORM = "a function of one list, such as def embed(texts: list[str]) -> list[float]"


def batch_of_class(kind: type[Any]) -> Batch | None:
    """The batch of a class that handles many jobs at a time: it has `handle_batch`."""
    batch = check_batch(getattr(kind, "batch", None))
    if callable(getattr(kind, "handle_batch", None)):
        return batch or Batch()
    if batch is not None:
        raise InvalidRequest(
            f"{kind.__qualname__} has a `batch` and no method `handle_batch(self, payloads)`, "
            "which does the work of many jobs"
        )
    return None


class Vectorized:
    """Calls one such handler, from checked items to the results of each.

    `receive` gives what a class's `handle_batch` is called on. Raises `InvalidOption` for a handler
    that has another form.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        batch: Batch,
        receive: Callable[[], Any] | None,
    ) -> None:
        self.batch = batch
        self._name = name
        self._function = function
        self._receive = receive
        self._key = batch.key
        self._parameter = _only_parameter(function, receive is not None)
        hints = hints_of(function)
        if receive is None:
            _check_key(batch.key, _held("its parameter", hints.get(self._parameter, Any)))
        _held("its return value", hints.get("return", Any))

    def signature(self) -> Callable[..., Any]:
        """A function that takes one item, under the name of the list, as an annotation to bind."""

        def takes_item() -> None:
            """What the argument of one job looks like."""

        declared = hints_of(self._function).get(self._parameter, Any)
        parameter = _Parameter(self._parameter, _Parameter.POSITIONAL_OR_KEYWORD)
        vars(takes_item)["__signature__"] = inspect.Signature([parameter])
        takes_item.__annotations__ = {self._parameter: _held("its parameter", declared)}
        return takes_item

    def result(self) -> Any:
        """The declared type of one result."""
        declared = _held("its return value", hints_of(self._function).get("return", Any))
        return _without_exceptions(declared)

    def group(self, item: Any) -> Hashable:
        """What must be equal of items that share a call. Raises `InvalidArguments` without it."""
        key = self._key
        if key is None:
            return None
        try:
            value: Hashable = item[key] if isinstance(item, dict) else getattr(item, key)
            hash(value)
        except (KeyError, AttributeError, TypeError) as problem:
            what = f"the item has no {key!r} to be grouped by: {problem}"
            raise InvalidArguments(self._name, what) from None
        return value

    def call(self, items: list[Any]) -> Any:
        """What the handler returns for these items. Raises what it raises."""
        given = items.copy()  # what the handler does with its list is its own affair
        if self._receive is None:
            return self._function(given)
        return self._function(self._receive(), given)

    def checked(self, results: Any, count: int) -> Sequence[Any]:
        """The results, or exceptions, of that many items.

        Raises `TypeError` when that is no list, `ValueError` when it has another length.
        """
        advice = "a list with one result, or one exception, for each item"
        if not isinstance(results, list | tuple):
            kind = type(results).__qualname__
            raise TypeError(f"{self._name} returned {kind} for {count} items, not {advice}")
        if len(results) != count:
            raise ValueError(
                f"{self._name} returned {len(results)} results for {count} items, not {advice}"
            )
        return results


def _only_parameter(function: Callable[..., Any], is_method: bool) -> str:
    if inspect.iscoroutinefunction(function):
        raise InvalidOption("batch", "an `async def`", "a plain function: one call runs at a time")
    parameters = list(inspect.signature(function).parameters.values())[is_method:]
    kinds = (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) != 1 or parameters[0].kind not in kinds:
        names = ", ".join(one.name for one in parameters)
        raise InvalidOption("batch", f"the parameters ({names})", _FORM)
    return parameters[0].name


def _held(where: str, declared: Any) -> Any:
    """The type of what a list of that type holds."""
    origin = typing.get_origin(declared)
    if origin is typing.Annotated:
        return _held(where, typing.get_args(declared)[0])
    if declared in (Any, object, tuple) or declared in _LISTS:
        return Any
    if origin in _LISTS:
        return typing.get_args(declared)[0]
    raise InvalidOption("batch", f"{where} as {_shown(declared)}", _FORM)


def _without_exceptions(declared: Any) -> Any:
    parts = typing.get_args(declared)
    if not parts or not any(map(_is_exception, parts)):
        return Any if _is_exception(declared) else declared
    left = tuple(part for part in parts if not _is_exception(part))
    return Union[left] if left else Any  # noqa: UP007  # computed


def _is_exception(declared: object) -> bool:
    return isinstance(declared, type) and issubclass(declared, BaseException)


def _check_key(key: str | None, item: Any) -> None:
    """Refuse a key that the declared items do not have."""
    if key is None:
        return
    names = _names_of(item)
    if names is not None and key not in names:
        accepts = f"one of {', '.join(names)}" if names else "None: such an item has no attributes"
        raise InvalidOption("batch key", ascii(key), accepts)


def _names_of(item: Any) -> list[str] | None:
    """The attributes or entries of items of a declared type; None where anything may be."""
    if item in (str, bytes, int, float, bool, type(None)):
        return []
    if dataclasses.is_dataclass(item):
        return [field.name for field in dataclasses.fields(item)]
    if hasattr(item, "__struct_fields__"):
        return list(item.__struct_fields__)
    if typing.is_typeddict(item):
        return list(item.__annotations__)
    if isinstance(item, type) and issubclass(item, tuple) and hasattr(item, "_fields"):
        return list(item._fields)
    return None


def _shown(declared: object) -> str:
    name = declared.__qualname__ if isinstance(declared, type) else str(declared)
    return name[:80]
