from datetime import UTC, datetime, timedelta, timezone

import pytest

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.timing import parse_duration, parse_moment


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (0, 0.0),
        (30, 30.0),
        (1.5, 1.5),
        ("30", 30.0),
        ("30s", 30.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("7d", 604800.0),
        ("1w", 604800.0),
        ("50ms", 0.05),
        ("1h30m", 5400.0),
        (" 1.5 H ", 5400.0),
        (timedelta(minutes=2), 120.0),
    ],
)
def test_reads(given: object, seconds: float) -> None:
    assert parse_duration(given) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "given",
    [
        -1,
        -0.001,
        float("nan"),
        float("inf"),
        10**400,
        True,
        None,
        "",
        "-5m",
        "5 parsecs",
        "m",
        "1e3s",
        "٣s",
        "nan",
        "inf",
        timedelta(seconds=-1),
        b"5m",
        [],
        1e12,
        "9999999999w",
    ],
)
def test_refuses(given: object) -> None:
    with pytest.raises(InvalidOption) as refused:
        parse_duration(given, "delay")
    assert refused.value.fields["option"] == "delay"


def test_a_moment_is_an_aware_datetime() -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert parse_moment(at) == datetime(2030, 1, 2, 1, 4, 5, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("given", [datetime(2030, 1, 2), "2030-01-02", 5, None])  # noqa: DTZ001
def test_a_moment_without_a_zone_is_refused(given: object) -> None:
    with pytest.raises(InvalidOption, match="time zone"):
        parse_moment(given)
