import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue_ray.core.errors import InvalidArguments, Unserialisable
from taskqueue_ray.engine.arguments import Binder, ResultType
from taskqueue_ray.engine.values import decode_value, encode_value


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 10


class Point(NamedTuple):
    x: int
    y: float


class Row(TypedDict):
    name: str
    size: NotRequired[int]


@dataclass
class Address:
    street: str
    since: date


@dataclass
class Person:
    name: str
    address: Address | None = None
    tags: set[str] = field(default_factory=set)


class Order(msgspec.Struct):
    id: uuid.UUID
    lines: list[tuple[str, Decimal]]


def call(binder: Binder, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    positional, named = binder.load(binder.bind(args, kwargs))
    return tuple(positional), named


def binder_of(function: Callable[..., Any]) -> Binder:
    return Binder("app.job", function)


INSTANT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
TYPED: list[tuple[Any, Any]] = [
    (str, "text"),
    (int, -(2**63)),
    (int, 2**64 - 1),
    (float, 1.5),
    (float, float("inf")),
    (bytes, b"\0\xff"),
    (bool, True),
    (None, None),
    (datetime, INSTANT),
    (datetime, INSTANT.replace(tzinfo=None)),
    (date, date(2030, 1, 2)),
    (timedelta, timedelta(days=-1, microseconds=7)),
    (uuid.UUID, uuid.UUID(int=7)),
    (Colour, Colour.RED),
    (Level, Level.HIGH),
    (Decimal, Decimal("1.10")),
    (Path, Path("/tmp/x")),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (Point, Point(1, 2.0)),
    (Row, {"name": "a"}),
    (Person, Person("Ann", Address("Main", date(2000, 1, 1)), {"x"})),
    (Order, Order(uuid.UUID(int=1), [("a", Decimal("2.50"))])),
    (list[Person], [Person("Bo")]),
    (dict[str, Address], {"home": Address("Main", date(2000, 1, 1))}),
    (Person | None, None),
    (int | str, "a"),
    (Literal["a", "b"], "b"),
    (Annotated[int, msgspec.Meta(ge=0)], 3),
]


@pytest.mark.parametrize(("declared", "value"), TYPED, ids=lambda item: str(item)[:40])
def test_a_declared_value_comes_back_as_it_was(declared: Any, value: object) -> None:
    def job(x: Any) -> None: ...

    job.__annotations__["x"] = declared
    _, named = call(binder_of(job), value)
    assert named == {"x": value}
    assert type(named["x"]) is type(value)


def test_a_nan_is_a_value() -> None:
    def job(x: float) -> None: ...

    _, named = call(binder_of(job), float("nan"))
    assert named["x"] != named["x"]


@pytest.mark.parametrize(
    ("declared", "value", "says"),
    [
        (int, "1", "'x'.*Expected `int`"),
        (int, True, "'x'"),
        (int, 1.5, "'x'"),
        (int, 2**64, "'x'.*64 bits"),
        (str, b"a", "'x'"),
        (str, INSTANT, "'x'"),
        (str, "\ud800", "'x'.*surrogates"),
        (bytes, "YQ==", "'x'"),
        (Colour, "blue", "'x'"),
        (Person, {"nome": "Ann"}, "'x'"),
        (Person, Person(5), "'x'.*name"),  # type: ignore[arg-type]  # the point of it
        (Person, Person("\ud800"), "'x'"),
        (list[int], [1, "2"], r"'x'.*\[1\]"),
        (set[int], [1, 2.5], "'x'"),
        (Annotated[int, msgspec.Meta(ge=0)], -1, "'x'"),
        (Literal["a"], "b", "'x'"),
        (Callable[[], None], print, "'x'"),
        (threading_lock := type("Lock", (), {}), threading_lock(), "'x'.*no stored form"),
        (Address | Order, Address("a", date(2000, 1, 1)), "'x'.*annotate"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(declared: Any, value: object, says: str) -> None:
    def job(x: Any) -> None: ...

    job.__annotations__["x"] = declared
    with pytest.raises(InvalidArguments, match=says) as refused:
        binder_of(job).bind((value,), {})
    assert refused.value.fields["job_type"] == "app.job"


def shape(a: int, /, b: int, *rest: int, c: int, d: int = 4, **extra: str) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {}, "'a' is missing"),
        ((1, 2), {}, "'c' is missing"),
        ((1, 2), {"b": 3, "c": 3}, "'b' was given twice"),
        ((1, "2"), {"c": 3}, "'b'"),
        ((1, 2, 3, "4"), {"c": 3}, r"\*\[1\]"),
        ((1, 2), {"c": 3, "z": 5}, "'z'"),
    ],
)
def test_wrong_calls(args: Any, kwargs: Any, says: str) -> None:
    with pytest.raises(InvalidArguments, match=says):
        Binder("app.job", shape).bind(args, kwargs)


def test_every_kind_of_parameter() -> None:
    binder = Binder("app.job", shape)
    assert call(binder, 1, 2, 3, 4, c=5, z="z") == ((1, 2, 3, 4), {"c": 5, "z": "z"})
    assert call(binder, 1, b=2, c=5) == ((1,), {"b": 2, "c": 5})
    assert call(binder, 1, 2, c=5, a="kept apart from the first") == (
        (1,),
        {"b": 2, "c": 5, "a": "kept apart from the first"},
    )


def test_too_many_and_unknown_arguments() -> None:
    def job(a: int) -> None: ...

    with pytest.raises(InvalidArguments, match="2 positional"):
        binder_of(job).bind((1, 2), {})
    with pytest.raises(InvalidArguments, match="no parameter 'b'"):
        binder_of(job).bind((1,), {"b": 2})


def test_defaults_are_those_of_the_function_that_runs() -> None:
    def before(a: int, b: int = 1) -> None: ...

    def after(b: int = 2, *, c: int = 3, a: int) -> None: ...

    def lost(b: int = 1) -> None: ...

    stored = binder_of(before).bind((7,), {})
    assert binder_of(after).load(stored) == ((), {"a": 7})
    with pytest.raises(InvalidArguments, match="no longer fits"):
        binder_of(lost).load(stored)


def test_none_as_a_default_allows_none() -> None:
    def job(a: str = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013  # as people write

    assert call(binder_of(job), None) == ((), {"a": None})


def test_an_annotation_that_cannot_be_resolved_counts_as_none() -> None:
    def job(a: "Nowhere", b: "int") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert call(binder_of(job), {"k": 1}, 2) == ((), {"a": {"k": 1}, "b": 2})
    with pytest.raises(InvalidArguments, match="'b'"):
        binder_of(job).bind((1, "2"), {})


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.just(Path("/tmp/x")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3)
        | st.sets(st.integers(), max_size=3).filter(lambda s: all(abs(i) < 2**62 for i in s))
    ),
    max_leaves=8,
)


@given(plain)
def test_undeclared_values_come_back_equal_and_of_the_same_type(value: object) -> None:
    def job(x) -> None: ...  # type: ignore[no-untyped-def]  # the point of it

    _, named = call(binder_of(job), value)
    assert named["x"] == value
    assert type(named["x"]) is type(value)
    assert decode_value(encode_value(value)) == value


@given(
    st.builds(
        Person,
        st.text(),
        st.none() | st.builds(Address, st.text(), st.dates()),
        st.sets(st.text(), max_size=3),
    )
)
def test_dataclasses_come_back_equal(person: Person) -> None:
    def job(x: Person) -> None: ...

    assert call(binder_of(job), person) == ((), {"x": person})


@pytest.mark.parametrize(
    "value",
    [object(), Colour.RED, Person("a"), [object()], {"k": {1: object()}}, {(1,): 2}, Level.HIGH],
)
def test_undeclared_objects_are_refused(value: object) -> None:
    with pytest.raises(Unserialisable):
        encode_value(value)


def test_the_path_of_the_offender_is_named() -> None:
    with pytest.raises(Unserialisable) as refused:
        encode_value({"rows": [1, object()]}, "payload")
    assert refused.value.fields["where"] == "payload['rows'][1]"


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Unserialisable, match="nested"):
        encode_value(loop)


@pytest.mark.parametrize(("declared", "value"), TYPED, ids=lambda item: str(item)[:40])
def test_declared_results_come_back_as_they_were(declared: Any, value: object) -> None:
    kind = ResultType(declared)
    assert kind.load(kind.store(value)) == value


def test_a_result_of_another_type_than_declared_is_kept() -> None:
    kind = ResultType(Person)
    assert kind.load(kind.store("text")) == "text"
    assert kind.load(kind.store((1, 2))) == (1, 2)
    with pytest.raises(Unserialisable, match="return value"):
        kind.store(object())
