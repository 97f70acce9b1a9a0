"""When something recurs: from what a user writes to a rule, and from a rule to its next times.

Pure: the present is an argument. Times are seconds since the epoch; `tz` is an IANA zone. About
changes of a zone's clock the rule is Vixie cron's: a fixed time that the clock skips is due at the
first instant after the gap, one that it shows twice is due the first time; minutes or hours left
open (`*`), windows and intervals run on in real time.
"""

from datetime import UTC, datetime, timedelta

import msgspec

from taskqueue_ray.core.cron import looks_like_cron, normalised
from taskqueue_ray.core.due import EARLIEST, LATEST
from taskqueue_ray.core.due import next_after as next_after
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.phrases.moments import exact
from taskqueue_ray.core.phrases.reading import rule_of
from taskqueue_ray.core.rules import Calendar as Calendar
from taskqueue_ray.core.rules import Cron as Cron
from taskqueue_ray.core.rules import Every as Every
from taskqueue_ray.core.rules import Once as Once
from taskqueue_ray.core.rules import Rule as Rule
from taskqueue_ray.core.timing import looks_like_duration, parse_duration, parse_moment
from taskqueue_ray.core.wording import calendar_words, cron_words, interval_words
from taskqueue_ray.core.zones import local, zone

SHORTEST = 1.0
"""Seconds; a schedule is no timer."""
_MOST_TIMES = 1000


class Understood(msgspec.Struct, frozen=True):
    """A rule, what it means in words, and a text that gives the same rule again."""

    rule: Rule
    words: str
    canonical: str


class DueTime(msgspec.Struct, frozen=True):
    """One time of a rule: on the wall of its zone and in UTC, in ISO 8601, and as an instant."""

    local: str
    utc: str
    at: float


class Explanation(msgspec.Struct, frozen=True):
    """What was understood, and the next times."""

    words: str
    canonical: str
    tz: str
    next: tuple[DueTime, ...]


When = str | timedelta | datetime | int | float


def understand(when: When, *, tz: str, now: float) -> Understood:
    """The rule that `when` stands for, in the zone `tz`.

    Numbers and timedeltas are intervals, aware datetimes are that instant, texts are cron
    expressions, durations (`"5m"`) or English. Raises `PhraseNotUnderstood` or `AmbiguousPhrase`
    for a text, and `InvalidOption` for what is none, a naive datetime or an unknown zone.
    """
    zone(tz)
    rule = _rule(when, tz, now)
    return Understood(rule, describe(rule, tz), canonical(rule, tz))


def _rule(when: object, tz: str, now: float) -> Rule:
    if isinstance(when, datetime):
        return Once(_moment(when))
    if isinstance(when, str):
        return _read(when.strip(), tz, now)
    if isinstance(when, int | float | timedelta) and not isinstance(when, bool):
        return _interval(when)
    raise InvalidOption("when", ascii(when)[:80], "a text, a number of seconds or a datetime")


def _read(text: str, tz: str, now: float) -> Rule:
    if looks_like_cron(text):
        return Cron(normalised(text))
    if looks_like_duration(text):
        return _interval(text)
    return rule_of(text, tz, now)


def _interval(when: object) -> Every:
    seconds = parse_duration(when, "when")
    if seconds < SHORTEST:
        raise InvalidOption("when", ascii(when), "an interval of at least one second")
    return Every(seconds)


def _moment(when: datetime) -> float:
    """The instant as the float that its text in ISO 8601 gives again."""
    at = parse_moment(when, "when")
    if not EARLIEST <= at < LATEST:
        raise InvalidOption("when", ascii(when)[:80], "a time from 1970 to 9000")
    return exact(at)


def describe(rule: Rule, tz: str) -> str:
    """What the rule means, in words; moments on the wall of the zone."""
    match rule:
        case Cron(expression):
            return cron_words(expression)
        case Every(seconds, _):
            return interval_words(seconds)
        case Once(at):
            return f"once, on {local(tz, at).isoformat(' ')}"
        case Calendar():
            return calendar_words(rule)


def canonical(rule: Rule, tz: str) -> str:
    """A text from which `understand` makes the same rule again."""
    match rule:
        case Cron(expression):
            return expression
        case Every(seconds, _):
            return interval_words(seconds)
        case Once(at):
            return local(tz, at).isoformat()
        case Calendar():
            return calendar_words(rule)


def explain(when: When, *, tz: str, after: float, n: int = 5) -> Explanation:
    """What `when` means, and its next `n` times after that instant, from which intervals count."""
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= _MOST_TIMES:
        raise InvalidOption("n", ascii(n)[:80], f"a number from 0 to {_MOST_TIMES}")
    understood = understand(when, tz=tz, now=after)
    return Explanation(
        understood.words, understood.canonical, tz, _times(understood.rule, tz, after, n)
    )


def _times(rule: Rule, tz: str, after: float, n: int) -> tuple[DueTime, ...]:
    if isinstance(rule, Every) and not rule.anchor:
        rule = msgspec.structs.replace(rule, anchor=after)
    found: list[DueTime] = []
    at: float | None = after
    while len(found) < n and (at := next_after(rule, tz, after)) is not None:
        utc = datetime.fromtimestamp(at, UTC).isoformat()
        found.append(DueTime(local(tz, at).isoformat(), utc, at))
        after = at
    return tuple(found)
