from datetime import UTC, datetime
from enum import IntEnum

import pytest

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.identity import make_job_id
from taskqueue_ray.core.naming import check_name, check_tags, check_type_name
from taskqueue_ray.core.options import JobOptions
from taskqueue_ray.core.retry import Backoff

JOB_ID = make_job_id(1_800_000_000.0, bytes(9))


@pytest.mark.parametrize("name", ["default", "a", "0", "a.b-c_d", "a" * 63])
def test_good_names(name: str) -> None:
    assert check_name("queue", name) == name


@pytest.mark.parametrize(
    "name", ["", "../x", "A", "-a", ".a", "a" * 64, "a" * 300, "ünï", "a b", "a\n", None, 5, b"a"]
)
def test_bad_names(name: object) -> None:
    with pytest.raises(InvalidOption):
        check_name("queue", name)


@pytest.mark.parametrize("name", ["app.tasks.Mailer.send", "__main__.f", "plain-name"])
def test_good_type_names(name: str) -> None:
    assert check_type_name("type", name) == name


@pytest.mark.parametrize("name", ["", "a/b", "os:system", "x" * 201, "a\0b", "é.f"])
def test_bad_type_names(name: str) -> None:
    with pytest.raises(InvalidOption):
        check_type_name("type", name)


def test_tags_lose_repeats_and_keep_their_order() -> None:
    assert check_tags("tags", ["b", "a", "b"]) == ("b", "a")
    assert check_tags("tags", {"b", "a"}) == ("a", "b")


@pytest.mark.parametrize("tags", ["mail", [""], ["x" * 65], [1], ["a\n"], ["t"] * 3 + [None]])
def test_bad_tags(tags: object) -> None:
    with pytest.raises(InvalidOption):
        check_tags("tags", tags)


class Level(IntEnum):
    HIGH = 10


def test_options_are_put_together_by_layers() -> None:
    options = JobOptions().but({"queue": "mail", "priority": Level.HIGH, "delay": "5m"})
    later = options.but({"at": datetime(2030, 1, 1, tzinfo=UTC), "tags": ["x"]})
    assert (options.queue, options.priority, options.due(100.0)) == ("mail", 10, 400.0)
    assert type(options.priority) is int
    assert later.delay is None
    assert later.due(100.0) == datetime(2030, 1, 1, tzinfo=UTC).timestamp()


def test_the_shared_part_is_what_the_queue_keeps() -> None:
    options = JobOptions().but({"category": "etl", "backoff": Backoff(kind="fixed")})
    for grace, seconds in ((0, 0.0), ("10s", 10.0), (None, None)):
        stopped = options.but({"cancel_grace": grace})
        assert stopped.shared("a.b", True, "k", None, None).cancel_grace == seconds
    shared = options.shared("a.b", is_async=True, key="k", code=None, python=None)
    assert (shared.executor, shared.type, shared.category, shared.key) == (
        "async",
        "a.b",
        "etl",
        "k",
    )
    assert options.but({"executor": "process"}).shared("a.b", True, "", None, None).executor == (
        "process"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", True),
        ("priority", -1),
        ("priority", 101),
        ("priority", 5.0),
        ("priority", "high"),
        ("max_attempts", 0),
        ("max_attempts", 1001),
        ("timeout", 0),
        ("timeout", float("inf")),
        ("timeout", None),
        ("cancel_grace", -1),
        ("cancel_grace", float("nan")),
        ("cancel_grace", "soon"),
        ("own_backoff", True),
        ("delay", float("nan")),
        ("delay", -1),
        ("at", datetime(2030, 1, 1)),  # noqa: DTZ001
        ("backoff", "exponential"),
        ("executor", "thread"),
        ("id", "42"),
        ("id", b"short"),
        ("queue", "../x"),
        ("depends_on", ["not an id"]),
        ("category", ""),
        ("retries", 3),
        ("name", "line\nbreak"),
    ],
)
def test_bad_options_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidOption) as refused:
        JobOptions().but({name: value})
    assert refused.value.fields["option"] == name


def test_a_delay_beside_a_time_is_refused() -> None:
    with pytest.raises(InvalidOption, match="one of the two"):
        JobOptions().but({"delay": 5, "at": datetime(2030, 1, 1, tzinfo=UTC)})


def test_parents_may_be_ids_or_handles() -> None:
    class Handle:
        id = JOB_ID.hex()

    assert JobOptions().but({"depends_on": [JOB_ID.hex(), Handle()]}).depends_on == (JOB_ID,)
    assert JobOptions().but({"depends_on": Handle()}).depends_on == (JOB_ID,)


class Broken(Exception):
    """Of a module."""


def test_exceptions_are_given_as_types_or_names() -> None:
    here = f"{__name__}.Broken"
    options = JobOptions().but({"retry_on": [ConnectionError, Broken], "give_up_on": "app.Bad"})
    assert options.retry_on == ("ConnectionError", here)
    assert options.give_up_on == ("app.Bad",)
    for wrong in (5, [int], ["a b"], [""], ValueError("x")):
        with pytest.raises(InvalidOption, match="retry_on"):
            JobOptions().but({"retry_on": wrong})
