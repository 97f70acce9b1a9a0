"""Cron expressions give the times that two other libraries give, where these agree with Vixie."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from taskqueue_ray.core.errors import PhraseNotUnderstood
from taskqueue_ray.core.recurrence import Cron, next_after, understand
from tests.recurrences import changes

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
FROM = datetime(2024, 1, 1, tzinfo=UTC)
HOW_MANY = 6


def _field(low: int, high: int, names: list[str] | None = None) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    spelt = number.map(lambda n: names[(n - low) % len(names)] if names else str(n))
    span = st.tuples(number, number).filter(lambda ab: ab[0] < ab[1])
    part = st.one_of(
        number.map(str),
        spelt,
        span.map(lambda ab: f"{ab[0]}-{ab[1]}"),
        st.tuples(span, st.integers(1, 9)).map(lambda x: f"{x[0][0]}-{x[0][1]}/{x[1]}"),
        st.integers(2, max(3, high // 2)).map(lambda step: f"*/{step}"),
    )
    listed = st.lists(part, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), part, listed)


DAY_OF_MONTH = st.one_of(_field(1, 31), _field(1, 28), st.just("L"))
DAY_OF_WEEK = st.one_of(
    _field(0, 6, DAYS),
    st.tuples(st.integers(0, 6), st.integers(1, 5)).map(lambda x: f"{x[0]}#{x[1]}"),
)
EXPRESSIONS = st.tuples(
    _field(0, 59), _field(0, 23), DAY_OF_MONTH, _field(1, 12, MONTHS), DAY_OF_WEEK
).map(" ".join)
STARTS = st.integers(0, 4 * 365 * 86400).map(lambda passed: FROM + timedelta(seconds=passed))


def _ours(expression: str, tz: str, start: datetime) -> list[float]:
    rule = understand(expression, tz=tz, now=0.0).rule
    found: list[float] = []
    at: float | None = start.timestamp()
    while len(found) < HOW_MANY and at is not None and (at := next_after(rule, tz, at)) is not None:
        found.append(at)
    return found


@given(EXPRESSIONS, STARTS)
def test_in_utc_as_cronsim(expression: str, start: datetime) -> None:
    try:
        ours = _ours(expression, "UTC", start)
    except PhraseNotUnderstood:
        # The 31st of short months, and the like.
        assert list(islice(_cronsim(expression, start), 1)) == []
        return
    theirs = [at.timestamp() for at in islice(_cronsim(expression, start), HOW_MANY)]
    assert ours == theirs


def _cronsim(expression: str, start: datetime):  # type: ignore[no-untyped-def]  # an iterator
    try:
        return CronSim(expression, start)
    except Exception:  # it refuses some of what never happens, too
        return iter(())


@given(EXPRESSIONS.filter(lambda text: "#" not in text), STARTS)
def test_in_utc_as_croniter(expression: str, start: datetime) -> None:
    try:
        ours = _ours(expression, "UTC", start)
    except PhraseNotUnderstood:
        return
    times = croniter(expression, start, implement_cron_bug=True)
    assert ours == [times.get_next(float) for _ in range(len(ours))]


@given(EXPRESSIONS, _field(0, 59), STARTS)
def test_with_seconds_as_cronsim(expression: str, seconds: str, start: datetime) -> None:
    try:
        ours = _ours(f"{expression} {seconds}", "UTC", start)
    except PhraseNotUnderstood:
        return
    theirs = islice(CronSim(f"{seconds} {expression}", start), HOW_MANY)
    assert ours == [at.timestamp() for at in theirs]


@given(
    # Over some changes of other zones cronsim comes to no end.
    st.sampled_from(["Europe/Berlin", "America/New_York"]),
    st.tuples(_field(0, 59), _field(0, 5), st.just("* * *")).map(" ".join),
    st.integers(0, 7),
)
def test_over_changes_of_the_clock_as_cronsim(tz: str, expression: str, nth: int) -> None:
    change = datetime.fromtimestamp(_changes(tz)[nth], UTC)
    start, end = change - timedelta(hours=20), change + timedelta(hours=28)
    theirs = CronSim(expression, start.astimezone(ZoneInfo(tz)))
    expected = sorted({at.timestamp() for at in _until(theirs, end)})
    found = []
    at = next_after(Cron(expression), tz, start.timestamp())
    while at is not None and at <= end.timestamp():
        found.append(at)
        at = next_after(Cron(expression), tz, at)
    assert found == expected


@cache
def _changes(tz: str) -> list[int]:
    start = round(FROM.timestamp())
    return changes(tz, start, start + 5 * 365 * 86400)


def _until(times: CronSim, end: datetime):  # type: ignore[no-untyped-def]  # an iterator
    for at in times:
        if at.timestamp() > end.timestamp():
            return
        yield at
