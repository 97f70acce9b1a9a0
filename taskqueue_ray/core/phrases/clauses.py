"""The grammar of a whole phrase: clauses in any order, each of which says one thing.

"at 9:00 on weekdays" and "every weekday at 9:00" are the same clauses.
"""

from collections.abc import Callable
from datetime import date

from taskqueue_ray.core.phrases import dates, days, frequency, times
from taskqueue_ray.core.phrases.draft import Draft
from taskqueue_ray.core.phrases.tokens import Reader
from taskqueue_ray.core.phrases.vocabulary import MONTHS, NAMED, ROUND_ABOUT, TWOFOLD, WEEKDAYS

_UNTIL = ("to", "until", "till", "through", "-")


def read(text: str, today: date) -> Draft:
    """What the phrase says. Raises `Unclear`."""
    reader, draft = Reader(text), Draft(today)
    if reader.at_end():
        reader.refuse("it is empty")
    while not reader.at_end():
        _clause(reader, draft)
        reader.separator()
    return draft


def _clause(reader: Reader, draft: Draft) -> None:
    token = reader.peek()
    if clause := _CLAUSES.get(token.text):
        reader.next()
        clause(reader, draft)
    elif token.text in NAMED:
        frequency.named(reader, draft)
    elif token.text in TWOFOLD:
        reader.doubt("it has two meanings", *TWOFOLD[token.text])
    elif token.text in ROUND_ABOUT:
        reader.refuse("say the hour", "every day at 08:00", "tomorrow at 20:00")
    elif frequency.starts_count(reader):
        frequency.count(reader, draft)
    elif not _days(reader, draft):
        times.read(reader, draft)


def _days(reader: Reader, draft: Draft) -> bool:
    """Days without a word before them; False when none come next."""
    if dates.starts(reader):
        dates.read(reader, draft)
    elif days.starts_nth(reader):
        days.nth(reader, draft)
    elif days.starts_weekdays(reader):
        days.weekdays(reader, draft)
    else:
        return False
    return True


def _on(reader: Reader, draft: Draft) -> None:
    """After "on": days of some kind."""
    if reader.take("the"):
        _the(reader, draft)
    elif reader.take("every", "each"):
        frequency.every(reader, draft)
    elif reader.take("day"):
        days.numbered(reader, draft)
    elif reader.take("next"):
        dates.following(reader, draft)
    elif not _days(reader, draft):
        reader.refuse("a day was expected", "every Monday at 09:00", "on 2027-01-31 at 10:00")


def _the(reader: Reader, draft: Draft) -> None:
    if not _days(reader, draft):
        reader.refuse("a day was expected", "on the first day of every month at 09:00")


def _in(reader: Reader, draft: Draft) -> None:
    """After "in": "90 seconds", or "January"."""
    if reader.sees("the"):
        reader.refuse("say the hour", "every day at 08:00", "every day at 20:00")
    if reader.peek().text in MONTHS:
        days.months(reader, draft)
    elif draft.says_once():
        reader.refuse("a moment was said before")
    else:
        draft.after = frequency.amounts(reader)


def _of(reader: Reader, draft: Draft) -> None:
    """After "of", when it does not follow the day that it belongs to."""
    reader.take("the", "every", "each")
    if reader.take("month"):
        draft.recurs = draft.of_month = True
    elif reader.peek().text in MONTHS:
        days.months(reader, draft)
    else:
        reader.refuse("a month was expected", "on the first day of every month at 09:00")


def _at(reader: Reader, draft: Draft) -> None:
    times.read(reader, draft)


def _between(reader: Reader, draft: Draft) -> None:
    times.window(reader, draft, "and", "-", "to")


def _from(reader: Reader, draft: Draft) -> None:
    """After "from": days, hours, or the day on which to begin."""
    if reader.peek().text in WEEKDAYS:
        days.weekdays(reader, draft)
    elif dates.starts(reader) or reader.peek().text in _BEGINNINGS:
        _starting(reader, draft)
    else:
        times.window(reader, draft, *_UNTIL)


def _starting(reader: Reader, draft: Draft) -> None:
    reader.take("on", "from")
    if draft.anchor:
        reader.refuse("the beginning was said before")
    begin = Draft(draft.today)
    if clause := _BEGINNINGS.get(reader.peek().text):
        reader.next()
        clause(reader, begin)
    elif dates.starts(reader):
        dates.read(reader, begin)
    if not begin.on_date:
        reader.refuse("a date was expected", "every 2 days at 09:00 from 2027-01-31")
    draft.anchor = begin.on_date


_Clause = Callable[[Reader, Draft], None]
_BEGINNINGS: dict[str, _Clause] = {
    "today": dates.today,
    "tomorrow": dates.tomorrow,
    "next": dates.following,
}
_CLAUSES: dict[str, _Clause] = {
    "every": frequency.every,
    "each": frequency.every,
    "on": _on,
    "the": _the,
    "in": _in,
    "of": _of,
    "at": _at,
    "between": _between,
    "from": _from,
    "starting": _starting,
    "beginning": _starting,
    **_BEGINNINGS,
    "this": dates.this,
}
