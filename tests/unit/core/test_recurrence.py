"""From what a user gives to a rule, its next times, and what `explain` shows."""

import math
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from taskqueue_ray.core.errors import InvalidOption, PhraseNotUnderstood
from taskqueue_ray.core.recurrence import (
    Calendar,
    Cron,
    Every,
    Once,
    Rule,
    describe,
    explain,
    next_after,
    understand,
)
from taskqueue_ray.core.rules import Window

NOW = datetime(2026, 11, 24, 17, tzinfo=UTC).timestamp()


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("when", "rule"),
    [
        (300, Every(300.0)),
        (1.5, Every(1.5)),
        (timedelta(hours=36), Every(129600.0)),
        ("5m", Every(300.0)),
        (datetime(2027, 1, 31, 10, tzinfo=UTC), Once(_at("2027-01-31T10:00Z"))),
        (
            datetime(2027, 1, 31, 10, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            Once(_at("2027-01-31T04:30Z")),
        ),
        ("0 9 * * MON", Cron("0 9 * * mon")),
        ("  0  9 * * mon ", Cron("0 9 * * mon")),
        ("@daily", Cron("0 0 * * *")),
        ("@Weekly", Cron("0 0 * * 0")),
    ],
)
def test_all_forms_are_one_call(when: Any, rule: Rule) -> None:
    found = understand(when, tz="Europe/Berlin", now=NOW)
    assert found.rule == rule
    assert understand(found.canonical, tz="Europe/Berlin", now=NOW) == found


@pytest.mark.parametrize(
    ("when", "accepts"),
    [
        (datetime.fromisoformat("2027-01-31T10:00"), "time zone"),
        (datetime(1, 1, 1, tzinfo=UTC), "1970"),
        (datetime(9999, 12, 31, tzinfo=UTC), "1970"),
        (True, "datetime"),
        (None, "datetime"),
        (b"daily", "datetime"),
        (0, "one second"),
        (0.5, "one second"),
        ("500ms", "one second"),
        (-5, "seconds"),
        (math.nan, "seconds"),
        (math.inf, "seconds"),
        (10**400, "seconds"),
        (timedelta(days=200 * 366), "seconds"),
    ],
)
def test_what_is_no_time_is_refused(when: Any, accepts: str) -> None:
    with pytest.raises(InvalidOption, match=accepts) as caught:
        understand(when, tz="Europe/Berlin", now=NOW)
    assert caught.value.fields["option"] == "when"


@pytest.mark.parametrize(
    "tz",
    [
        *("Europe/Berln", "europe berlin", "", "Mars/Phobos", "../etc/passwd", "America"),
        *("localtime", "/etc/localtime", "\0", "Factory", "+02:00", "é", "x" * 5000),
    ],
)
def test_an_unknown_zone_is_refused(tz: str) -> None:
    with pytest.raises(InvalidOption, match="IANA") as caught:
        understand("daily", tz=tz, now=NOW)
    assert caught.value.fields["option"] == "tz"


def test_a_zone_that_is_misspelt_is_named() -> None:
    for given in ("Europe/Berln", "europe/berlin", "berlin"):
        with pytest.raises(InvalidOption, match="Europe/Berlin"):
            understand("daily", tz=given, now=NOW)


@pytest.mark.parametrize(
    ("rule", "after", "expected"),
    [
        (Every(300.0, anchor=NOW), NOW, NOW + 300),
        (Every(300.0, anchor=NOW), NOW + 299.9, NOW + 300),
        (Every(300.0, anchor=NOW), NOW + 300, NOW + 600),
        (Every(300.0, anchor=NOW), NOW - 10_000, NOW + 300),
        (Every(0.1 + 1, anchor=NOW), NOW + 1.1, NOW + 2.2),
        (Once(NOW + 5), NOW, NOW + 5),
        (Once(NOW), NOW, None),
        (Once(NOW - 5), NOW, None),
        (Cron("0 0 29 2 *"), _at("2028-02-29T00:00Z"), _at("2032-02-29T00:00Z")),
        (Cron("0 0 29 2 *"), _at("2096-02-29T00:00Z"), _at("2104-02-29T00:00Z")),
        (Cron("0 0 29 2 */7"), _at("2026-01-01T00:00Z"), _at("2032-02-29T00:00Z")),
        (Cron("0 0 13 * 5"), _at("2026-02-11T00:00Z"), _at("2026-02-13T00:00Z")),
        (Cron("0 0 13 * 5"), _at("2026-02-13T00:00Z"), _at("2026-02-20T00:00Z")),
        (Cron("0 0 */2 * 5"), _at("2026-02-01T00:00Z"), _at("2026-02-13T00:00Z")),
        (Cron("* * * * * */10"), NOW + 0.5, NOW + 10),
        (Cron("59 23 31 12 * 59"), NOW, _at("2026-12-31T23:59:59Z")),
        (Cron("0 0 1 1 *"), math.inf, None),
        (Cron("0 0 1 1 *"), -math.inf, _at("1971-01-01T00:00Z")),
        (Calendar(times=(0,), month_days=(31,)), NOW, _at("2026-11-30T00:00Z")),
        (Calendar(times=(0,), nth=((5, 0),)), NOW, _at("2026-11-30T00:00Z")),
        (Calendar(times=(0,), nth=((5, 0),)), _at("2026-11-30T00:00Z"), _at("2027-03-29T00:00Z")),
        (Calendar(window=Window(32400, 61200, 900)), NOW, _at("2026-11-25T09:00Z")),
        (Calendar(window=Window(32400, 61200, 900)), NOW - 1, NOW),
        (Calendar(window=Window(32400, 61200, 25200)), NOW - 3601, NOW - 3600),
        (Calendar(window=Window(32400, 61200, 25200)), NOW - 3600, _at("2026-11-25T09:00Z")),
    ],
)
def test_the_first_time_after(rule: Rule, after: float, expected: float | None) -> None:
    found = next_after(rule, "UTC", after)
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-6))
    assert found is None or found > after


def test_an_interval_never_repeats_a_time() -> None:
    rule = Every(1.1, anchor=NOW + 1 / 3)
    at: float | None = NOW
    for _ in range(2000):
        before, at = at, next_after(rule, "UTC", at or 0.0)
        assert at is not None
        assert before is not None
        assert 0 < at - before < 1.5
    assert at == pytest.approx(NOW + 1 / 3 + 2000 * 1.1, abs=1e-3)


def test_explain_shows_the_times_in_the_zone_and_in_utc() -> None:
    found = explain("every day at 2:30 AM", tz="Europe/Berlin", after=_at("2026-03-27T12:00Z"), n=3)
    assert (found.words, found.canonical, found.tz) == (
        "every day at 02:30",
        "30 2 * * *",
        "Europe/Berlin",
    )
    assert [(due.local, due.utc) for due in found.next] == [
        ("2026-03-28T02:30:00+01:00", "2026-03-28T01:30:00+00:00"),
        ("2026-03-29T03:00:00+02:00", "2026-03-29T01:00:00+00:00"),
        ("2026-03-30T02:30:00+02:00", "2026-03-30T00:30:00+00:00"),
    ]


def test_explain_counts_an_interval_from_now_and_gives_five_times() -> None:
    found = explain(90, tz="UTC", after=NOW)
    assert [due.at for due in found.next] == [NOW + 90 * nth for nth in range(1, 6)]


def test_explain_gives_what_there_is() -> None:
    assert [due.at for due in explain("in 10 minutes", tz="UTC", after=NOW).next] == [NOW + 600]
    assert explain("on 2020-01-01 at 10:00", tz="UTC", after=NOW).next == ()


@pytest.mark.parametrize("n", [-1, 1001, True, 2.5, "5"])
def test_explain_refuses_a_wrong_number_of_times(n: Any) -> None:
    with pytest.raises(InvalidOption) as caught:
        explain("daily", tz="UTC", after=NOW, n=n)
    assert caught.value.fields["option"] == "n"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes of every hour"),
        ("7 * * * *", "every hour at :07"),
        ("0 */6 * * *", "at minute 0 of hours 0, 6, 12 and 18"),
        ("*/15 9-17 * * mon-fri", "every 15 minutes of hours 9 to 17, every weekday"),
        ("0 9 * * 1-5", "every weekday at 09:00"),
        ("0 0 1,15 * *", "on the 1st and 15th of every month at 00:00"),
        ("0 0 31 * *", "on the 31st of every month that has it at 00:00"),
        ("0 0 13 * 5", "on the 13th of every month or every Friday at 00:00"),
        ("0 12 * * 5#2", "on the second Friday of every month at 12:00"),
        ("0 12 * 3 L5", "on the last Friday of March at 12:00"),
        ("0 0 L * *", "on the last day of every month at 00:00"),
        ("* * * * * *", "every second"),
        ("* * * * * */30", "at seconds 0 and 30 of every minute"),
    ],
)
def test_cron_in_words(expression: str, words: str) -> None:
    assert understand(expression, tz="UTC", now=NOW).words == words


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * fri-mon", "0 0 * * 0,1,5,6"),
        ("0 0 * * sun-tue", "0 0 * * 0-2"),
        ("0 0 * * 1-1", "0 0 * * 1"),
        ("0 22-2 * * *", "0 0,1,2,22,23 * * *"),
        ("5/20 * * * *", "5,25,45 * * * *"),
        ("0 0 1 nov-feb *", "0 0 1 1,2,11,12 *"),
        ("0 0 ? * mon", "0 0 * * mon"),
        ("0 0 * * 5L", "0 0 * * L5"),
        ("0 0 * * 1,5#1", "0 0 * * 5#1,1"),
    ],
)
def test_spellings_of_the_same_expression(expression: str, same: str) -> None:
    times = [explain(text, tz="UTC", after=NOW, n=60).next for text in (expression, same)]
    assert times[0] == times[1]


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("60 * * * *", "60"),
        ("* 24 * * *", "24"),
        ("* * 0 * *", "0"),
        ("* * 32 * *", "32"),
        ("* * * 13 *", "13"),
        ("* * * * 8", "8"),
        ("* * * foo *", "foo"),
        ("* * 15W * *", "15w"),
        ("* * * * L", "l"),
        ("* * * * 5#6", "5#6"),
        ("*/0 * * * *", "*/0"),
        ("1- * * * *", ""),
        ("1,,2 * * * *", ""),
        ("H * * * *", "h"),
        ("R * * * *", "r"),
        ("* * * * * 60", "60"),
        ("* * * * * 0 2027", "* * * * * 0 2027"),
        ("0 0 31 4,6 *", "0 0 31 4,6 *"),
        ("0 0 30 2 ?", "0 0 30 2 ?"),
        ("@reboot", "@reboot"),
        ("9" * 50 + " * * * *", "9" * 50),
    ],
)
def test_what_is_no_cron_expression_is_refused_with_the_field(expression: str, part: str) -> None:
    with pytest.raises(PhraseNotUnderstood) as caught:
        understand(expression, tz="UTC", now=NOW)
    assert caught.value.fields["part"] == part
    for suggestion in caught.value.fields["suggestions"]:
        understand(suggestion, tz="UTC", now=NOW)


@pytest.mark.parametrize(
    "rule",
    [
        Cron("0 9 * * mon"),
        Every(300.0, 5.0),
        Calendar(times=(0,), window=Window(1, 2, 3), nth=((1, 0),)),
        Once(5.0),
    ],
)
def test_rules_are_stored_as_they_are(rule: Rule) -> None:
    stored = msgspec.msgpack.encode(rule)
    assert msgspec.msgpack.decode(stored, type=Rule) == rule
    assert describe(rule, "UTC")


def test_ten_thousand_schedules_are_looked_at_within_a_second() -> None:
    rules: list[Rule] = [
        *(Cron(f"{nth % 60} {nth % 24} * * {nth % 7}") for nth in range(5000)),
        *(Every(60.0 + nth, NOW) for nth in range(3000)),
        *(Calendar(times=(nth,), nth=((1, nth % 7),)) for nth in range(2000)),
    ]
    started = time.process_time()
    assert all(next_after(rule, "Europe/Berlin", NOW) for rule in rules)
    # About 0.2 s where it is quiet; the bound is for a machine that is not.
    assert time.process_time() - started < 1.5
