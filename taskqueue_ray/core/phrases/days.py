"""The grammar of days: weekdays, days of a month, months."""

from taskqueue_ray.core.phrases.draft import Draft
from taskqueue_ray.core.phrases.tokens import Reader
from taskqueue_ray.core.phrases.vocabulary import (
    MONTHS,
    ORDINALS,
    PLURAL_WEEKDAYS,
    UNITS,
    WEEKDAYS,
    WEEKENDS,
    WORKDAYS,
)

_ALL_WEEKDAYS = WEEKDAYS | PLURAL_WEEKDAYS
_TO = ("-", "to", "through", "till", "until")


def starts_weekdays(reader: Reader) -> bool:
    """Whether the name of a day of the week comes next, or "weekday" or "weekend"."""
    text = reader.peek().text
    return text in _ALL_WEEKDAYS or text in WORKDAYS or text in WEEKENDS


def weekdays(reader: Reader, draft: Draft) -> None:
    """As in "Monday", "mon-fri", "Monday, Wednesday and Friday", "weekdays", "weekends"."""
    if draft.weekdays:
        reader.refuse("days of the week were said before")
    while True:
        _one_or_range(reader, draft)
        here = reader.mark()
        if not reader.separator():
            break
        reader.take("on", "every", "each")
        if not starts_weekdays(reader):
            reader.back(here)
            break
    reader.take("only")
    draft.recurs |= len(draft.weekdays) > 1


def _one_or_range(reader: Reader, draft: Draft) -> None:
    start = reader.mark()
    text = reader.next().text
    if text in WORKDAYS:
        draft.weekdays |= {0, 1, 2, 3, 4}
    elif text in WEEKENDS:
        draft.weekdays |= {5, 6}
        reader.take("day", "days")
    else:
        first = _ALL_WEEKDAYS[text]
        last = first
        if reader.sees(*_TO) and reader.peek(1).text in _ALL_WEEKDAYS:
            reader.next()
            last = _ALL_WEEKDAYS[reader.next().text]
        elif reader.sees("-"):
            reader.refuse("a range has two ends", "mon-fri at 09:00", mark=start)
        draft.weekdays |= {
            day % 7 for day in range(first, (last if last >= first else last + 7) + 1)
        }
    if text in PLURAL_WEEKDAYS or text in {"weekdays", "workdays", "weekends"}:
        draft.recurs = True


def numbered(reader: Reader, draft: Draft) -> None:
    """After "on day": "15 of every month"."""
    token = reader.peek()
    if token.kind != "number" or not token.text.isdecimal() or not 1 <= int(token.text[:4]) <= 31:
        reader.refuse("days of a month go from 1 to 31", "on the 15th of every month at 09:00")
    if draft.month_days or draft.nth:
        reader.refuse("days of the month were said before")
    reader.next()
    draft.month_days.add(int(token.text))
    of_months(reader, draft)


def starts_nth(reader: Reader) -> bool:
    """Whether an ordinal comes next: "first", "2nd", "last"; "second" alone is a unit."""
    token, after = reader.peek(), reader.peek(1)
    if token.text == "second":
        return after.text in _ALL_WEEKDAYS or after.text in ("day", "of", "and", ",")
    return token.kind == "ordinal" or token.text in ORDINALS


def nth(reader: Reader, draft: Draft) -> None:
    """As in "first Monday", "1st and 3rd Tuesday", "last day", "15th", and the months after it."""
    start = reader.mark()
    if draft.month_days or draft.nth:
        reader.refuse("days of the month were said before")
    numbers = _numbers(reader)
    if reader.peek().text in WEEKDAYS:
        _nth_weekday(reader, draft, numbers, start)
    else:
        _month_days(reader, draft, numbers, start)
    _or_last(reader, draft)
    of_months(reader, draft)


def _nth_weekday(reader: Reader, draft: Draft, numbers: list[int], start: int) -> None:
    weekday = WEEKDAYS[reader.next().text]
    if not all(number in (1, 2, 3, 4, 5, -1) for number in numbers):
        reader.refuse(
            "a month has five of a weekday at most",
            "on the last Monday of every month at 09:00",
            mark=start,
        )
    draft.nth |= {(number, weekday) for number in numbers}


def _month_days(reader: Reader, draft: Draft, numbers: list[int], start: int) -> None:
    if reader.take("day", "days"):
        pass
    elif reader.sees("weekday", "weekend", "workday"):
        reader.refuse(
            "",
            "on the last Friday of every month at 18:00",
            "on the last day of every month at 18:00",
        )
    elif -1 in numbers and not reader.sees("of"):
        reader.refuse("the last of what", "on the last day of every month at 18:00")
    if not all(number == -1 or 1 <= number <= 31 for number in numbers):
        reader.refuse(
            "days of a month go from 1 to 31", "on the last day of every month", mark=start
        )
    draft.month_days |= set(numbers)


def _numbers(reader: Reader) -> list[int]:
    found = [_number(reader)]
    while True:
        here = reader.mark()
        if reader.sees("day") and reader.sees("and", "&", ",", ahead=1):
            reader.next()
        if not reader.separator():
            reader.back(here)
            return found
        reader.take("the")
        if not starts_nth(reader):
            reader.back(here)
            return found
        found.append(_number(reader))


def _number(reader: Reader) -> int:
    token = reader.next()
    if token.text in ORDINALS:
        return ORDINALS[token.text]
    return int(token.text[:-2][:6])


def _or_last(reader: Reader, draft: Draft) -> None:
    here = reader.mark()
    if reader.take("or"):
        reader.take("the")
        if reader.take("last"):
            reader.take("day")
            draft.or_last = True
        else:
            reader.back(here)


def of_months(reader: Reader, draft: Draft) -> None:
    """As in "of the month", "of every month", "of January and July"; it may be left out."""
    here = reader.mark()
    if not reader.take("of", "in"):
        return
    said_the = reader.take("the")
    every = reader.take("every", "each")
    if reader.take("month", "months") and reader.peek().text not in UNITS:
        draft.recurs = draft.of_month = True
    elif reader.peek().text in MONTHS and not said_the:
        months(reader, draft)
        draft.recurs = True
    elif every:
        reader.refuse("", "on the first day of every month at 09:00", mark=here)
    else:
        reader.back(here)


def months(reader: Reader, draft: Draft) -> None:
    """As in "January", "January and July", "from" is not said here."""
    if draft.months:
        reader.refuse("months were said before")
    while True:
        draft.months.add(MONTHS[reader.next().text])
        here = reader.mark()
        if not reader.separator():
            return
        if reader.peek().text not in MONTHS:
            reader.back(here)
            return
