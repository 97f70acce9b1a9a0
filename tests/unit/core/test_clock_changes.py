"""Rules over the changes of zones' clocks, against a wall that is watched minute by minute."""

import random
from datetime import UTC, date, datetime

import pytest

from taskqueue_ray.core.recurrence import Calendar, Cron, Every, Rule, next_after
from taskqueue_ray.core.rules import Window
from tests.recurrences import changes, due, watch

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Pacific/Apia",
    "Europe/Dublin",
    "America/St_Johns",
    "Antarctica/Troll",
    "Pacific/Chatham",
    "Asia/Kolkata",
]
FIXED = ["30 2 * * *", "0,30 0-5 * * *", "15 1,2,3 * * sun", "59 23 L * *", "0 0 1 * 6#2"]
OPEN = ["*/15 * * * *", "30 * * * *", "0 */2 * * *", "*/20 2 * * *", "* 1-3 * * 0,6"]
NAMED = [
    Calendar(times=(5400, 9000, 10800)),
    Calendar(times=(9000,), step=2, anchor=date(2024, 1, 2).toordinal()),
    Calendar(times=(0, 7200), nth=((-1, 6), (1, 6), (2, 6)), months=(3, 4, 9, 10, 11)),
    Calendar(window=Window(3600, 14400, 900)),
    Calendar(window=Window(0, 86399, 2400), weekdays=(5, 6)),
]
RULES: list[Cron | Calendar] = [*map(Cron, (e.lower() for e in (*FIXED, *OPEN))), *NAMED]
START, END = (round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2024, 2029))
AROUND = 4 * 3600


def _times(rule: Rule, zone: str, start: int, end: int) -> list[float]:
    found: list[float] = []
    at = next_after(rule, zone, start - 0.5)
    while at is not None and at < end:
        found.append(at)
        at = next_after(rule, zone, at)
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_each_change_of_five_years_is_as_the_wall_shows_it(zone: str) -> None:
    found = changes(zone, START, END)
    steady = {"America/Sao_Paulo", "Asia/Tehran", "Pacific/Apia", "Asia/Kolkata"}
    assert (len(found) >= 10) != (zone in steady)
    for change in found or [START + 90 * 86400]:
        minutes = watch(zone, change - AROUND, change + AROUND)
        for rule in RULES:
            expected = due(rule, minutes)
            assert _times(rule, zone, change - AROUND, change + AROUND) == expected, (rule, change)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_the_days_around_each_change_are_as_the_wall_shows_them(zone: str) -> None:
    for change in changes(zone, START, END) or [START + 90 * 86400]:
        minutes = watch(zone, change - 86400, change + 3 * 86400)
        for rule in RULES:
            found = _times(rule, zone, change - 86400, change + 3 * 86400)
            assert found == due(rule, minutes), (rule, change)


@pytest.mark.parametrize(
    ("zone", "expression", "after", "expected"),
    [
        # Spring in Berlin: 02:00 to 03:00 is missing on 29 March 2026.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
        ("Europe/Berlin", "30 2 * * *", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"),
        ("Europe/Berlin", "0,30 2,3 * * *", "2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"),
        ("Europe/Berlin", "*/30 * * * *", "2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"),
        ("Europe/Berlin", "*/30 2 * * *", "2026-03-28T12:00+01:00", "2026-03-30T02:00+02:00"),
        ("Europe/Berlin", "30 2 * * * 15", "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
        # Autumn: 02:00 to 03:00 comes twice on 25 October 2026.
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T01:00+02:00", "2026-10-25T02:30+02:00"),
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T02:15+01:00", "2026-10-26T02:30+01:00"),
        ("Europe/Berlin", "30 * * * *", "2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"),
        # Lord Howe's clock moves by half an hour.
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00+10:30", "2026-10-04T02:30+11:00"),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"),
        # Samoa had no 30 December 2011.
        ("Pacific/Apia", "0 9 * * *", "2011-12-29T09:00-10:00", "2011-12-31T00:00+14:00"),
    ],
)
def test_fixed_times_are_due_once_and_open_ones_run_on(
    zone: str, expression: str, after: str, expected: str
) -> None:
    at = next_after(Cron(expression), zone, datetime.fromisoformat(after).timestamp())
    assert at == datetime.fromisoformat(expected).timestamp()


def test_intervals_take_no_notice_of_clocks() -> None:
    spring = datetime(2026, 3, 29, tzinfo=UTC).timestamp()
    times = _times(
        Every(7200.0, anchor=spring), "Europe/Berlin", round(spring), round(spring) + 86400
    )
    assert times == [spring + 7200.0 * nth for nth in range(1, 12)]


def _random_rule(rng: random.Random) -> Cron | Calendar:
    hours = tuple(sorted(rng.sample(range(24), rng.randint(1, 3))))
    minute = rng.choice(["0", "30", "*/10", "5,35", "17"])
    days = rng.choice(["* * *", "1-15 * *", "* * mon-fri", "*/3 * 0,3", "13 * 5", "* 3,4,10 *"])
    times = tuple(hour * 3600 + rng.choice([0, 900, 1800]) for hour in hours)
    anchor = date(2024, 1, rng.randint(1, 28)).toordinal()
    return rng.choice(
        [
            Cron(f"{minute} {','.join(map(str, hours))} {days}"),
            Cron(f"{minute} {rng.choice(['*', '*/3', '0-6'])} {days}"),
            Calendar(times=times, weekdays=tuple(sorted(rng.sample(range(7), 3)))),
            Calendar(times=times, step=rng.randint(2, 5), unit="day", anchor=anchor),
            Calendar(times=times, weekdays=(5, 6), step=2, unit="week", anchor=anchor),
            Calendar(times=times, month_days=(1, 31, -1), step=2, unit="month", anchor=anchor),
            Calendar(times=times, nth=((rng.choice([1, 2, 5, -1]), rng.randint(0, 6)),)),
            Calendar(window=Window(hours[0] * 1800, 86340, rng.choice([600, 1500, 5400]))),
        ]
    )


def _soak(seed: int, walls: int, rules: int, days: int) -> None:
    rng = random.Random(seed)
    for _ in range(walls):
        zone = rng.choice(ZONES)
        around = changes(zone, START, END) or [rng.randrange(START, END, 3600)]
        start = rng.choice(around) - days // 2 * 86400
        end = start + days * 86400
        minutes = watch(zone, start, end)
        for _ in range(rules):
            rule = _random_rule(rng)
            assert _times(rule, zone, start, end) == due(rule, minutes), (zone, start, rule)


def test_random_rules_are_due_as_the_wall_shows() -> None:
    _soak(seed=7, walls=6, rules=12, days=4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_random_rules_are_due_as_the_wall_shows() -> None:
    _soak(seed=11, walls=50, rules=20, days=40)
