"""The grammar of dates: of one year, or, when every year is said, of each."""

from datetime import date, timedelta
from typing import NamedTuple

from taskqueue_ray.core.phrases.draft import Draft
from taskqueue_ray.core.phrases.tokens import Reader
from taskqueue_ray.core.phrases.vocabulary import MONTHS, WEEKDAYS

_DAY_FIRST, _MONTH_FIRST, _YEAR_FIRST = (2, 1, 0), (2, 0, 1), (0, 1, 2)


class DayOfYear(NamedTuple):
    """A month, a day of it, and the year if one was said."""

    month: int
    day: int
    year: int | None


def read(reader: Reader, draft: Draft) -> None:
    """Whatever date comes next."""
    start = reader.mark()
    token = reader.peek()
    if draft.says_once() or draft.month_days:
        reader.refuse("a day was said before")
    if token.kind == "moment":
        draft.moment = reader.next().text
    elif token.kind == "slashed":
        reader.doubt("day and month can be read in two orders", *_orders(reader), mark=start)
    elif token.kind == "date":
        draft.on_date = _iso_date(reader)
    else:
        found = _day_of_year(reader)
        if found.year:
            draft.on_date = date(found.year, found.month, found.day)
        else:
            draft.months, draft.month_days = {found.month}, {found.day}
            _more_months(reader, draft)


def _more_months(reader: Reader, draft: Draft) -> None:
    """As in "1st of January and July": what has several months recurs."""
    here = reader.mark()
    while reader.separator() and reader.peek().text in MONTHS:
        draft.months.add(MONTHS[reader.next().text])
        draft.recurs = True
        here = reader.mark()
    reader.back(here)


def starts(reader: Reader) -> bool:
    """Whether a date comes next."""
    return reader.peek().kind in ("date", "moment", "slashed") or starts_day_of_year(reader)


def starts_day_of_year(reader: Reader) -> bool:
    """Whether a day with a month comes next: "25 December", "December 25th"."""
    if reader.peek().text in MONTHS:
        return reader.peek(1).kind in ("number", "ordinal")
    if reader.peek().kind in ("number", "ordinal"):
        ahead = 2 if reader.sees("of", ahead=1) else 1
        return reader.peek(ahead).text in MONTHS
    return False


def _iso_date(reader: Reader) -> date:
    token = reader.peek()
    try:
        found = date.fromisoformat(token.text)
    except ValueError:
        reader.refuse("there is no such date", "on 2027-01-31 at 10:00")
    reader.next()
    return found


def _day_of_year(reader: Reader) -> DayOfYear:
    start = reader.mark()
    if reader.peek().text in MONTHS:
        month = MONTHS[reader.next().text]
        day = _day(reader)
    else:
        day = _day(reader)
        reader.take("of")
        month = MONTHS[reader.next().text]
    here = reader.mark()
    reader.take(",")
    year = None
    if reader.peek().kind == "number" and len(reader.peek().text) == 4:
        year = int(float(reader.next().text))
    else:
        reader.back(here)
    try:
        date(year or 2000, month, day)
    except ValueError:
        reader.refuse("there is no such date", "every year on 25 December at 09:00", mark=start)
    return DayOfYear(month, day, year)


def _day(reader: Reader) -> int:
    digits = reader.peek().text.rstrip("stndrh")
    if not digits.isdecimal() or not 1 <= int(digits[:4]) <= 31:
        reader.refuse("days of a month go from 1 to 31")
    reader.next()
    return int(digits[:4])


def _orders(reader: Reader) -> list[str]:
    """The phrase with its date in ISO 8601, in each order in which it is one."""
    start = reader.mark()
    parts = [int(part) for part in reader.next().text.replace(".", "/").split("/")]
    found = []
    for order in (_DAY_FIRST, _MONTH_FIRST, _YEAR_FIRST):
        try:
            day = date(*(parts[at] for at in order))
        except ValueError:
            continue
        if day.year > 1970:
            found.append(reader.instead(start, day.isoformat()))
    return found


def following(reader: Reader, draft: Draft) -> None:
    """After "next": the first such weekday after today."""
    start = reader.mark()
    if reader.peek().text not in WEEKDAYS:
        reader.next()
        reader.doubt("say the day", "next Monday at 09:00", "in 7 days", mark=start)
    ahead = (WEEKDAYS[reader.next().text] - draft.today.weekday() - 1) % 7 + 1
    _set(reader, draft, ahead)


def this(reader: Reader, _draft: Draft) -> None:
    """After "this": today or in a week?"""
    start = reader.mark()
    day = reader.next().text.title()
    reader.doubt("say the day", f"next {day} at 09:00", "tomorrow at 09:00", mark=start)


def today(reader: Reader, draft: Draft) -> None:
    _set(reader, draft, 0)
    draft.said_today = True


def tomorrow(reader: Reader, draft: Draft) -> None:
    _set(reader, draft, 1)


def _set(reader: Reader, draft: Draft, days_ahead: int) -> None:
    if draft.says_once():
        reader.refuse("a day was said before")
    draft.on_date = draft.today + timedelta(days=days_ahead)
