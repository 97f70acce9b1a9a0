"""Intervals of less than a day, with or without a window, and minutes past the hour."""

import msgspec

from taskqueue_ray.core.calendars import simplest
from taskqueue_ray.core.phrases.asked import Asked
from taskqueue_ray.core.phrases.draft import Draft
from taskqueue_ray.core.phrases.vocabulary import SECONDS
from taskqueue_ray.core.rules import Calendar, Cron, Every, Rule, Window
from taskqueue_ray.core.wording import interval_words

_LAST_SECOND = 86399
_LONGEST = 100 * 365 * 86400


def interval(asked: Asked) -> Rule:
    """The rule of "every 5 minutes", and of what narrows it."""
    draft = asked.draft
    seconds = in_seconds(asked, draft.amounts)
    if draft.anchor:
        asked.refuse("an interval counts from the schedule's start", interval_words(seconds))
    if draft.past_hour:
        return _past_hour(asked, seconds)
    if draft.times:
        asked.refuse(
            "an interval has no time of the day", interval_words(seconds), f"every day{asked.at}"
        )
    if draft.window or draft.has_days():
        return _window(asked, seconds)
    return Every(seconds)


def in_seconds(asked: Asked, amounts: list[tuple[float, str]]) -> float:
    """The amounts together. Units without a fixed length are refused."""
    for _, unit in amounts:
        if unit not in SECONDS:
            asked.refuse(f"a {unit} has no fixed length", "every 3 months", "every 90 days")
    seconds = sum(number * SECONDS[unit] for number, unit in amounts)
    if not 1 <= seconds <= _LONGEST:
        asked.refuse("an interval is from one second to a hundred years", "every second")
    return float(seconds)


def _past_hour(asked: Asked, seconds: float) -> Rule:
    if seconds != 3600:
        asked.refuse("minutes past the hour are said of every hour", "every hour at :15")
    days = simplest(calendar(asked.draft, (0,)))
    if not isinstance(days, Cron):
        asked.refuse("say the hours", "every hour at :15 on weekdays")
    minutes = ",".join(map(str, sorted(set(asked.draft.past_hour))))
    return Cron(f"{minutes} * {' '.join(days.expression.split()[2:])}")


def _window(asked: Asked, seconds: float) -> Rule:
    first, last = asked.draft.window or (0, _LAST_SECOND)
    if seconds != int(seconds):
        asked.refuse("a window takes whole seconds", "every 15 minutes between 09:00 and 17:00")
    if seconds > last - first:
        asked.refuse(
            "the interval is longer than the window",
            "every 15 minutes between 09:00 and 17:00",
            interval_words(seconds),
        )
    return msgspec.structs.replace(
        calendar(asked.draft, ()), window=Window(first, last, int(seconds))
    )


def calendar(draft: Draft, times: tuple[int, ...]) -> Calendar:
    """Those times on the days that were said."""
    return Calendar(
        times=times,
        weekdays=() if len(draft.weekdays) == 7 else tuple(sorted(draft.weekdays)),
        month_days=tuple(sorted(draft.month_days)),
        nth=tuple(sorted(draft.nth)),
        months=tuple(sorted(draft.months)) if len(draft.months) < 12 else (),
    )
