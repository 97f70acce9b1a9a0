from datetime import UTC, datetime
from enum import IntEnum

import pytest

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.identity import make_job_id
from taskqueue_ray.core.naming import check_name, check_tags, check_type_name
from taskqueue_ray.core.options import JobOptions
from taskqueue_ray.core.retry import Backoff
from taskqueue_ray.core.shape import Shape

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
        ("num_cpus", -1),
        ("num_cpus", True),
        ("num_cpus", "2"),
        ("num_cpus", 0.00001),
        ("num_cpus", float("nan")),
        ("num_gpus", 1.5),
        ("num_gpus", float("inf")),
        ("memory", 0),
        ("memory", "2 apples"),
        ("memory", True),
        ("resources", {}),
        ("resources", {"disk": 0}),
        ("resources", {"disk": -1}),
        ("resources", {"GPU": 1}),
        ("resources", {1: 1}),
        ("resources", ["disk"]),
        ("label_selector", {"zone": 1}),
        ("label_selector", "zone"),
        ("runtime_env", {"env_var": {}}),
        ("runtime_env", {"env_vars": {"A": object()}}),
        ("runtime_env", {"env_vars": {"A": "x" * 20_000}}),
        ("runtime_env", "pip"),
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


def test_a_shape_is_put_together() -> None:
    given = {"num_gpus": 0.5, "memory": "1.5 GB", "resources": {"b": 2, "a": 0.5}}
    options = JobOptions().but({**given, "executor": "task", "label_selector": {"zone": "x"}})
    shared = options.shared("a.b", is_async=False, key="", code=None, python=None)
    assert shared.shape == Shape(
        None, 0.5, 1_500_000_000, (("a", 0.5), ("b", 2.0)), (("zone", "x"),)
    )
    assert shared.lane[0] == "task num_gpus=0.5 memory=1500000000 a=0.5 b=2 label zone=x"


def test_equal_runtime_environments_are_one_shape() -> None:
    one, two = (
        JobOptions().but({"runtime_env": {"env_vars": dict.fromkeys(names, "1")}})
        for names in ("ab", "ba")
    )
    assert one.runtime_env == two.runtime_env == '{"env_vars":{"a":"1","b":"1"}}'


@pytest.mark.parametrize(
    ("given", "is_async", "kind"),
    [
        ({}, False, "process"),
        ({}, True, "async"),
        ({"num_gpus": 1}, False, "actor"),
        ({"num_cpus": 0}, True, "actor"),
        ({"runtime_env": {"pip": ["x"]}}, False, "actor"),
        ({"num_gpus": None}, False, "process"),
        ({"executor": "actor"}, True, "actor"),
        ({"executor": "task", "num_gpus": 1}, False, "task"),
    ],
)
def test_a_shape_without_an_executor_means_an_actor(
    given: dict[str, object], is_async: bool, kind: str
) -> None:
    shared = JobOptions().but(given).shared("a.b", is_async, "", None, None)
    assert shared.executor == kind
    assert (shared.shape is not None) == (kind in ("actor", "task"))


def test_a_process_may_have_a_shape_which_is_its_worker_s() -> None:
    plain = JobOptions().but({"executor": "process"}).shared("a.b", False, "", None, None)
    assert (plain.shape, plain.lane) == (None, ("process", "", None))
    given = {"executor": "process", "num_gpus": 0.5}
    shaped = JobOptions().but(given).shared("a.b", False, "", None, None)
    assert shaped.lane == ("process num_gpus=0.5", "", None)


def test_a_shape_that_would_be_ignored_is_refused() -> None:
    executor = "async"
    with pytest.raises(InvalidOption, match="executor='process', 'actor' or 'task'") as refused:
        JobOptions().but({"executor": executor, "num_gpus": 1})
    assert refused.value.fields["option"] == "num_gpus"
    shaped = JobOptions().but({"num_gpus": 1, "resources": {"disk": 1}})
    with pytest.raises(InvalidOption):
        shaped.but({"executor": executor})
    with pytest.raises(InvalidOption):
        JobOptions().but({"executor": executor}).but({"memory": 5})
    taken_back = shaped.but({"executor": executor, "num_gpus": None, "resources": None})
    assert taken_back.kind(is_async=False) == executor
