"""Rules in words: the phrase that is understood as the same rule, wherever there is one."""

from collections.abc import Iterable
from datetime import date

from taskqueue_ray.core.calendars import shortest
from taskqueue_ray.core.cron import CronDays, cron_pattern
from taskqueue_ray.core.patterns import EVERY_DAY, Clock
from taskqueue_ray.core.phrases.times import shown
from taskqueue_ray.core.phrases.vocabulary import DAY_NAMES, MONTH_NAMES, SECONDS
from taskqueue_ray.core.rules import Calendar

_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_MANY_TIMES = 24


def interval_words(seconds: float) -> str:
    """As in "every 5 minutes", "every hour": in the largest unit of which it is a multiple."""
    for unit in ("week", "day", "hour", "minute"):
        if seconds % SECONDS[unit] == 0:
            return _every(int(seconds // SECONDS[unit]), unit)
    return _every(int(seconds) if seconds == int(seconds) else seconds, "second")


def _every(number: float, unit: str) -> str:
    return f"every {unit}" if number == 1 else f"every {number!r} {unit}s"


def calendar_words(rule: Calendar) -> str:
    """The phrase that says the rule."""
    begin = f" from {date.fromordinal(rule.anchor).isoformat()}" if rule.step > 1 else ""
    if rule.window:
        often = interval_words(rule.window.step)
        span = f"between {shown(rule.window.first)} and {shown(rule.window.last)}"
        return f"{often} {span}{_within(rule)}{begin}"
    return f"{_days(rule)} at {listed(map(shown, rule.times))}{begin}"


def _days(rule: Calendar) -> str:
    if rule.step > 1:
        return f"{_every(rule.step, rule.unit)}{_within(rule)}"
    if rule.weekdays:
        return f"every {_weekdays(rule.weekdays)}{_in_months(rule)}"
    if len(rule.months) == len(rule.month_days) == 1 and 0 < rule.month_days[0] <= shortest(
        rule.months
    ):
        return f"every year on {rule.month_days[0]} {_months(rule)}"
    if rule.month_days or rule.nth:
        return f"on the {_of_month(rule)} of {_months(rule) or 'every month'}"
    return f"every day{_in_months(rule)}"


def _within(rule: Calendar) -> str:
    """The days as what limits something said before."""
    if rule.weekdays:
        plural = {(0, 1, 2, 3, 4): "weekdays", (5, 6): "weekends"}
        named = plural.get(rule.weekdays) or listed(DAY_NAMES[day] for day in rule.weekdays)
        return f" on {named}{_in_months(rule)}"
    if rule.month_days or rule.nth:
        of = "" if rule.unit == "month" else f" of {_months(rule) or 'every month'}"
        return f" on the {_of_month(rule)}{of}"
    return _in_months(rule)


def _weekdays(days: tuple[int, ...]) -> str:
    groups = {(0, 1, 2, 3, 4): "weekday", (5, 6): "weekend"}
    return groups.get(days) or listed(DAY_NAMES[day] for day in days)


def _of_month(rule: Calendar) -> str:
    if rule.nth:
        numbers = sorted({number for number, _ in rule.nth}, key=lambda n: n % 10)
        return f"{listed(_ORDINALS[number] for number in numbers)} {DAY_NAMES[rule.nth[0][1]]}"
    days = [day for day in rule.month_days if day > 0]
    words = [ordinal(day) for day in days]
    late = any(day > shortest(rule.months) for day in days)
    if -1 in rule.month_days:
        return listed([*words, "last day"])
    return listed(words) + (" or the last day" if late else "")


def _in_months(rule: Calendar) -> str:
    return f" in {_months(rule)}" if rule.months else ""


def _months(rule: Calendar) -> str:
    return listed(MONTH_NAMES[month - 1] for month in rule.months)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{_ENDINGS.get(number % 10, 'th')}"


def listed(members: Iterable[str]) -> str:
    """As in "a", "a and b", "a, b and c"."""
    *rest, last = [*members] or [""]
    return f"{', '.join(rest)} and {last}" if rest else last


# --- cron -----------------------------------------------------------------------------------------


def cron_words(expression: str) -> str:
    """What a normalised cron expression means."""
    pattern = cron_pattern(expression)
    clock, days = pattern.times, pattern.days
    if not isinstance(clock, Clock) or not isinstance(days, CronDays):
        raise TypeError(expression)
    times = (
        [h * 3600 + m * 60 + s for h in clock.hours for m in clock.minutes for s in clock.seconds]
        if not pattern.runs_on
        and len(clock.hours) * len(clock.minutes) * len(clock.seconds) <= _MANY_TIMES
        else []
    )
    if times:
        return f"{_cron_days(days)} at {listed(map(shown, times))}"
    on = _cron_days(days)
    often = _clock_words(clock)
    return often if on == "every day" else f"{often}, {on}"


def _clock_words(clock: Clock) -> str:
    """As in "every hour at :15", "every second of minutes 0 and 30 of hours 9 to 17"."""
    hours = "every hour" if len(clock.hours) == 24 else _named("hour", clock.hours)
    if clock.seconds == (0,):
        if len(clock.minutes) == 60:
            return "every minute" if len(clock.hours) == 24 else f"every minute of {hours}"
        if (step := _even_step(clock.minutes)) > 1:
            return f"every {step} minutes of {hours}"
        if len(clock.hours) == 24:
            return f"every hour at {listed(f':{minute:02}' for minute in clock.minutes)}"
        return f"at {_named('minute', clock.minutes)} of {hours}"
    seconds = (
        "every second" if len(clock.seconds) == 60 else f"at {_named('second', clock.seconds)}"
    )
    minutes = "every minute" if len(clock.minutes) == 60 else _named("minute", clock.minutes)
    if len(clock.minutes) == 60 and len(clock.hours) == 24:
        return seconds if len(clock.seconds) == 60 else f"{seconds} of every minute"
    return f"{seconds} of {minutes} of {hours}"


def _even_step(minutes: tuple[int, ...]) -> int:
    """5 for */5, when it divides the hour; else 0."""
    step = minutes[1] if len(minutes) > 3 else 0
    return step if step and minutes == tuple(range(0, 60, step)) and 60 % step == 0 else 0


def _named(unit: str, values: tuple[int, ...]) -> str:
    return f"{unit}{'s' if len(values) > 1 else ''} {_spans(values)}"


def _spans(values: tuple[int, ...]) -> str:
    """Numbers in a row as a span: "0, 15 and 20 to 30"."""
    spans: list[list[int]] = []
    for value in values:
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    words: list[str] = []
    for first, last in spans:
        if last > first + 1:
            words.append(f"{first} to {last}")
        else:
            words += [str(value) for value in range(first, last + 1)]
    return listed(words)


def _cron_days(days: CronDays) -> str:
    months = tuple(sorted(days.months)) if len(days.months) < 12 else ()
    by_number = _cron_numbers(days, months)
    by_weekday = _cron_weekdays(days)
    in_months = f" in {listed(MONTH_NAMES[month - 1] for month in months)}" if months else ""
    if by_number and by_weekday:
        joint = "or" if days.either else "that is also"
        return f"{by_number} {joint} {by_weekday}{in_months if not by_number else ''}"
    if by_weekday and not days.weekdays:
        of = listed(MONTH_NAMES[month - 1] for month in months) or "every month"
        return f"{by_weekday} of {of}"
    return by_number or f"{by_weekday or 'every day'}{in_months}"


def _cron_numbers(days: CronDays, months: tuple[int, ...]) -> str:
    if days.numbers == EVERY_DAY:
        return ""
    numbers = [day for day in range(1, 32) if days.numbers >> day - 1 & 1]
    if len(numbers) == len(months) == 1 and numbers[0] <= shortest(months) and not days.last:
        return f"every year on {numbers[0]} {MONTH_NAMES[months[0] - 1]}"
    words = listed([*map(ordinal, numbers), *(["last day"] if days.last else [])])
    of = listed(MONTH_NAMES[month - 1] for month in months) or "every month"
    late = not months and any(day > 28 for day in numbers)
    return f"on the {words} of {of}{' that has it' if late else ''}"


def _cron_weekdays(days: CronDays) -> str:
    if len(days.weekdays) == 7:
        return ""
    nth = sorted(days.nth, key=lambda pair: (pair[0] % 10, pair[1]))
    named = listed(f"{_ORDINALS[number]} {DAY_NAMES[day]}" for number, day in nth) if nth else ""
    plain = _weekdays(tuple(sorted(days.weekdays))) if days.weekdays else ""
    parts = [f"every {plain}" if plain else "", f"on the {named}" if named else ""]
    return " and ".join(part for part in parts if part)
