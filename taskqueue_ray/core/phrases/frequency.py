"""The grammar of how often: "every", "daily", "twice a day"."""

from taskqueue_ray.core.phrases import dates, days, times
from taskqueue_ray.core.phrases.draft import Draft
from taskqueue_ray.core.phrases.tokens import Reader
from taskqueue_ray.core.phrases.vocabulary import (
    COUNTS,
    DAY_NAMES,
    MONTHS,
    NAMED,
    NUMBERS,
    ORDINALS,
    ROUND_ABOUT,
    TIMES_NAMED,
    UNITS,
    WEEKDAYS,
)


def every(reader: Reader, draft: Draft) -> None:
    """After "every": an interval, days, or dates."""
    draft.recurs = True
    start = reader.mark()
    token = reader.peek()
    if reader.take("other"):
        _other(reader, draft, start)
    elif reader.take("fortnight"):
        _set(reader, draft, [(2.0, "week")], start)
    elif dates.starts_day_of_year(reader):
        dates.read(reader, draft)
    elif days.starts_nth(reader):
        _nth(reader, draft)
    elif days.starts_weekdays(reader):
        days.weekdays(reader, draft)
    elif token.text in MONTHS:
        days.months(reader, draft)
    elif token.text in UNITS:
        _set(reader, draft, [(1.0, UNITS[reader.next().text])], start)
    elif token.text in TIMES_NAMED:
        times.read(reader, draft)
    elif token.text in ROUND_ABOUT:
        reader.refuse("say the hour", "every day at 08:00", "every day at 20:00")
    else:
        _set(reader, draft, amounts(reader), start)


def _other(reader: Reader, draft: Draft, start: int) -> None:
    if reader.peek().text in UNITS:
        _set(reader, draft, [(2.0, UNITS[reader.next().text])], start)
    elif reader.peek().text in WEEKDAYS:
        _set(reader, draft, [(2.0, "week")], start)
        days.weekdays(reader, draft)
    else:
        reader.refuse("", "every other day at 09:00", "every other week on Friday")


def _nth(reader: Reader, draft: Draft) -> None:
    """After "every", "2nd Tuesday": of the month, or every other one?"""
    start = reader.mark()
    number, unit = reader.peek(), UNITS.get(reader.peek(1).text, "day")
    if unit != "day":
        count = ORDINALS.get(number.text) or int(number.text[:-2][:4])
        reader.next()
        reader.next()
        reader.refuse("", reader.instead(start, f"{count} {unit}s"), mark=start)
    days.nth(reader, draft)
    if draft.of_month or draft.months:
        return
    what = DAY_NAMES[next(iter(draft.nth))[1]] if draft.nth else ""
    reader.doubt(
        "it may count them, or mean one of each month",
        f"every other week on {what}" if what else "every 2 days",
        f"on the second {what} of every month" if what else "on the 2nd of every month",
        mark=start,
    )


def amounts(reader: Reader) -> list[tuple[float, str]]:
    """Numbers and units: "5 minutes", "1 hour and 30 minutes", "1h30m"."""
    found = [_amount(reader)]
    while True:
        here = reader.mark()
        reader.separator()
        token = reader.peek()
        number = token.kind == "number" or token.text in NUMBERS
        if not number or reader.peek(1).text not in UNITS:
            reader.back(here)
            return found
        found.append(_amount(reader))


def _amount(reader: Reader) -> tuple[float, str]:
    start = reader.mark()
    token = reader.peek()
    if (part := _part_of_an_hour(reader)) is not None:
        return part
    if token.kind != "number" and token.text not in NUMBERS:
        reader.refuse("an interval, or days, were expected")
    number = float(NUMBERS.get(token.text) or token.text)
    reader.next()
    if reader.peek().text not in UNITS:
        _no_unit(reader, token.text, start)
    unit = UNITS[reader.next().text]
    if number <= 0:
        reader.refuse("it is not above 0", reader.instead(start, f"1 {unit}"), mark=start)
    return number, unit


def _part_of_an_hour(reader: Reader) -> tuple[float, str] | None:
    """As in "half an hour", "quarter of an hour"; None, and nothing read, for anything else."""
    start = reader.mark()
    minutes = 30.0 if reader.take("half") else 15.0 if reader.take("quarter") else 0.0
    if minutes:
        reader.take("of")
        reader.take("an", "a")
        if UNITS.get(reader.peek().text) == "hour":
            reader.next()
            return minutes, "minute"
    reader.back(start)
    return None


def _no_unit(reader: Reader, number: str, start: int) -> None:
    if reader.peek().kind == "word":
        reader.refuse("a unit of time was expected")
    reader.doubt(
        "minutes, or hours",
        reader.instead(start, f"{number} minutes"),
        reader.instead(start, f"{number} hours"),
        mark=start,
    )


def _set(reader: Reader, draft: Draft, found: list[tuple[float, str]], start: int) -> None:
    if draft.amounts:
        reader.refuse("how often was said before", mark=start)
    draft.amounts = found


def named(reader: Reader, draft: Draft) -> None:
    """As in "daily", "weekly" and the like."""
    if draft.amounts:
        reader.refuse("how often was said before")
    draft.named = reader.next().text
    draft.recurs = True
    unit, number = NAMED[draft.named]
    draft.amounts = [(float(number), unit)]


def starts_count(reader: Reader) -> bool:
    """Whether "twice" or "3 times" comes next."""
    token = reader.peek()
    number = token.text in NUMBERS or (token.kind == "number" and token.text.isdecimal())
    return token.text in COUNTS or (number and reader.sees("times", ahead=1))


def count(reader: Reader, draft: Draft) -> None:
    """As in "twice a day", "3 times per week"."""
    start = reader.mark()
    if draft.count:
        reader.refuse("how often was said before")
    token = reader.next()
    if token.text in COUNTS:
        draft.count = COUNTS[token.text]
    else:
        draft.count = NUMBERS.get(token.text) or int(token.text[:4])
        reader.take("times")
    if reader.take("daily"):
        draft.count_unit = "day"
    elif reader.take("weekly"):
        draft.count_unit = "week"
    elif reader.take("a", "an", "per", "every", "each") and reader.peek().text in UNITS:
        draft.count_unit = UNITS[reader.next().text]
    if not (draft.count and draft.count_unit):
        reader.refuse("", "twice a day at 08:00 and 20:00", "every 12 hours", mark=start)
    draft.recurs = True
