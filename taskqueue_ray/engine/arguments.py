"""The arguments of a job: checked against its function's annotations, stored, and given back.

Stored is a map from parameter names to values, so that a function may reorder its parameters or
gain ones with defaults while jobs wait. `*args` is the entry `*`, `**kwargs` the entry `**`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import GenericAlias
from typing import Any, Optional, Union

import msgspec

from taskqueue_ray.core.errors import InvalidArguments, Unserialisable
from taskqueue_ray.core.options import NAMES as OPTION_NAMES
from taskqueue_ray.engine.annotations import Annotation, decoder, encode, hints_of
from taskqueue_ray.engine.headers import HEADED, arguments_of
from taskqueue_ray.engine.values import decode_value, describe, encode_value

_Parameter = inspect.Parameter
_VARIADIC = (_Parameter.VAR_POSITIONAL, _Parameter.VAR_KEYWORD)
_COMPLAINTS = (TypeError, ValueError, OverflowError, RecursionError)
_UNFIT = (msgspec.MsgspecError, NotImplementedError, *_COMPLAINTS)


class Binder:
    """Binds, stores and loads the arguments of one function. Compiled once per job type.

    >>> def greet(name: str, times: int = 1) -> None: ...
    >>> binder = Binder("greet", greet)
    >>> binder.load(binder.bind(("Ann",), {"times": 2}))
    ((), {'name': 'Ann', 'times': 2})
    """

    def __init__(self, job_type: str, target: Callable[..., Any]) -> None:
        self.job_type = job_type
        parameters = _parameters(target)
        hints = hints_of(target)
        self._annotations = {_entry(p): Annotation(_declared(p, hints)) for p in parameters}
        self._rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self._extra = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        self._exact = {name: note.exact for name, note in self._annotations.items()}
        self._positional = tuple(
            p.name
            for p in parameters
            if p.kind in (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)
        )
        self._positional_only = frozenset(
            p.name for p in parameters if p.kind is _Parameter.POSITIONAL_ONLY
        )
        self._required = tuple(
            p.name for p in parameters if p.default is p.empty and p.kind not in _VARIADIC
        )
        self._named = (
            frozenset(p.name for p in parameters if p.kind not in _VARIADIC) - self._positional_only
        )
        self._plain_call = not (self._positional_only or self._rest or self._extra)
        self._all_required = len(self._required) == len(parameters)
        self._decode = decoder(self._record()).decode

    def takes(self, name: str) -> bool:
        """Whether there is a parameter of that name."""
        return name in self._annotations

    def from_text(self, name: str, text: str) -> Any:
        """The value that a word of a command line has as the argument `name`."""
        annotation = self._annotations.get(name) or self._annotations.get("**")
        return text if annotation is None else annotation.from_text(text)

    @property
    def in_order(self) -> bool:
        """Whether the same arguments give the same bytes, by position or by name in any order."""
        return self._extra is None

    def bind(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        take: Callable[[str, Any], bool] | None = None,
    ) -> bytes:
        """The arguments as MessagePack. Raises `InvalidArguments`, which names the argument.

        Those that `take` accepts are left out: they come when the job runs.
        """
        values: dict[str, Any] = dict(zip(self._positional, args, strict=False))
        if len(args) > len(self._positional):
            self._take_rest(values, args)
        if kwargs:
            self._take_named(values, kwargs)
            values = {name: values[name] for name in self._annotations if name in values}
        for name in self._required:
            if name not in values:
                raise self._refuse(f"{name!r} is missing")
        if take is not None:
            values = {name: value for name, value in values.items() if not take(name, value)}
        exact = self._exact
        for name, value in values.items():
            if type(value) not in exact[name]:
                values[name] = self._stored(name, value)
        try:
            return encode(values)
        except _COMPLAINTS:
            raise self._name_culprit(values) from None

    def load(self, plain: bytes) -> tuple[Sequence[Any], dict[str, Any]]:
        """Positional and named arguments, in the types of the annotations.

        Raises `InvalidArguments` when the function no longer takes what was stored.
        """
        try:
            record = self._decode(plain)
        except _UNFIT as problem:
            if plain.startswith(HEADED):
                return self.load(arguments_of(plain))
            raise self._no_longer_fits(problem) from None
        named = msgspec.structs.asdict(record)
        if not self._all_required:
            named = {name: value for name, value in named.items() if value is not msgspec.UNSET}
        return ((), named) if self._plain_call else self._arrange(named)

    def load_one(self, plain: bytes) -> Any:
        """The argument of the only parameter. Raises `InvalidArguments` likewise."""
        try:
            return getattr(self._decode(plain), self._positional[0])
        except _UNFIT as problem:
            if plain.startswith(HEADED):
                return self.load_one(arguments_of(plain))
            raise self._no_longer_fits(problem) from None

    def _no_longer_fits(self, problem: BaseException) -> InvalidArguments:
        return self._refuse(f"what was stored no longer fits: {problem}")

    def _arrange(self, named: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        rest = named.pop(self._rest, ()) if self._rest else ()
        extra = named.pop(self._extra, {}) if self._extra else {}
        leading = self._positional if rest else self._positional[: len(self._positional_only)]
        args = [named.pop(name) for name in leading if name in named]
        return [*args, *rest], {**named, **extra}

    def _take_rest(self, values: dict[str, Any], args: Sequence[Any]) -> None:
        if "*" not in self._annotations:
            raise self._refuse(
                f"{len(args)} positional arguments were given, it takes {len(self._positional)}"
            )
        values["*"] = list(args[len(self._positional) :])

    def _take_named(self, values: dict[str, Any], kwargs: Mapping[str, Any]) -> None:
        extra = {}
        for name, value in kwargs.items():
            if name in self._named:
                if name in values:
                    raise self._refuse(f"{name!r} was given twice")
                values[name] = value
            else:
                extra[name] = value
        if extra:
            if "**" not in self._annotations:
                raise self._refuse(_unknown(list(extra)))
            values["**"] = extra

    def _stored(self, name: str, value: Any) -> Any:
        annotation = self._annotations[name]
        if name == "*":
            return [self._one(annotation, f"*[{i}]", item) for i, item in enumerate(value)]
        if name == "**":
            return {key: self._one(annotation, key, item) for key, item in value.items()}
        return self._one(annotation, name, value)

    def _one(self, annotation: Annotation, name: str, value: Any) -> msgspec.Raw:
        try:
            return annotation.store(value, name)
        except msgspec.ValidationError as problem:
            raise self._refuse(f"{name!r}: {problem}") from None
        except NotImplementedError as problem:
            raise self._refuse(f"{name!r}: {problem}") from None
        except Unserialisable as problem:
            where = repr(problem.fields["where"])
            advice = "; annotate the parameter with its type" if annotation.loose else ""
            raise self._refuse(f"{where}: {problem.fields['what']}{advice}") from None

    def _name_culprit(self, values: dict[str, Any]) -> InvalidArguments:
        for name, value in values.items():
            try:
                encode({name: value})
            except _COMPLAINTS as problem:
                return self._refuse(f"{name!r}: {describe(problem)}")
        return self._refuse("they have no stored form")

    def _record(self) -> type[msgspec.Struct]:
        """The struct that a payload is decoded into: a field per parameter, under its name."""
        fields: list[tuple[str, Any, Any]] = []
        renamed = {}
        for name, annotation in self._annotations.items():
            field, declared = name, annotation.type
            if name == "*":
                field, declared = str(self._rest), GenericAlias(list, (declared,))
            elif name == "**":
                field, declared = str(self._extra), GenericAlias(dict, (str, declared))
            renamed[field] = name
            default = msgspec.NODEFAULT if name in self._required else msgspec.UNSET
            fields.append((field, Union[declared, msgspec.UnsetType], default))  # noqa: UP007  # see _declared
        return msgspec.defstruct(
            "Arguments", fields, rename=renamed, forbid_unknown_fields=True, kw_only=True
        )

    def _refuse(self, problem: str) -> InvalidArguments:
        return InvalidArguments(self.job_type, problem)


class ResultType:
    """The return value of one function: stored by what it is, read by what was declared."""

    def __init__(self, declared: object = Any) -> None:
        self._annotation = Annotation(declared)
        self._exact = self._annotation.exact
        self._decode = decoder(self._annotation.type).decode

    def store(self, value: object) -> bytes:
        """MessagePack of a return value. Raises `Unserialisable`.

        A value that is not of the declared type is stored as what it is: the job has done its
        work, and its annotation is not worth a failure.
        """
        if type(value) in self._exact:
            return encode_value(value, "the return value")
        try:
            return bytes(self._annotation.store(value, "the return value"))
        except (msgspec.ValidationError, NotImplementedError):
            return encode_value(value, "the return value")

    def load(self, raw: bytes | msgspec.Raw) -> Any:
        """The value, of the declared type when it was one."""
        try:
            return self._decode(raw)
        except (msgspec.MsgspecError, NotImplementedError, *_COMPLAINTS):
            return decode_value(bytes(raw))


def _unknown(names: list[str]) -> str:
    problem = f"it has no parameter {', '.join(map(ascii, names))}"
    options = [name for name in names if name in OPTION_NAMES]
    if not options:
        return problem
    return f"{problem}; an option is given with .options({options[0]}=...)"


def _declared(parameter: inspect.Parameter, hints: dict[str, Any]) -> Any:
    declared = hints.get(parameter.name, Any)
    # `size: int = None` is in so much code that refusing its None would help nobody.
    if parameter.default is None and declared is not Any:
        return Optional[declared]  # noqa: UP045  # `|` wants types, not what else a hint may be
    return declared


def _entry(parameter: inspect.Parameter) -> str:
    if parameter.kind is _Parameter.VAR_POSITIONAL:
        return "*"
    return "**" if parameter.kind is _Parameter.VAR_KEYWORD else parameter.name


def _parameters(target: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(target).parameters.values())
