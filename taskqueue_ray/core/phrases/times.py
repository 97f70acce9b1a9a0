"""The grammar of times of the day, of windows, and of minutes past the hour.

A bare hour is one of a clock of 24 hours: "at 8" is 08:00.
"""

from typing import NamedTuple

from taskqueue_ray.core.phrases.draft import Draft
from taskqueue_ray.core.phrases.tokens import Reader
from taskqueue_ray.core.phrases.vocabulary import TIMES_NAMED, UNITS


class Said(NamedTuple):
    """A time in seconds after midnight, and whether a half of the day was said: am or pm."""

    second: int
    halved: bool | None


def read(reader: Reader, draft: Draft) -> None:
    """Times of the day, or minutes past each hour."""
    start = reader.mark()
    found = past = None
    if reader.peek().kind == "past":
        past = _past_marks(reader)
    elif reader.take("minute", "minutes"):
        past = _minutes(reader)
        _the_hour(reader)
    elif _says_past(reader):
        past = _minutes(reader)
        reader.take("minute", "minutes", "min", "mins")
        _the_hour(reader)
    elif starts_time(reader):
        found = _times(reader)
    else:
        reader.refuse()
    if draft.has_clock():
        reader.refuse("a time was said before", mark=start)
    draft.times, draft.past_hour = found or [], past or []


def window(reader: Reader, draft: Draft, *joints: str) -> None:
    """Two times with one of the joints between them; the second is the later one."""
    start = reader.mark()
    first = _time(reader)
    joint = reader.peek().text
    if not reader.take(*joints):
        reader.refuse("a window has two ends", "every 15 minutes between 09:00 and 17:00")
    last = _time(reader)
    _see_halves(reader, [first, last], start, joint)
    if not first.second < last.second:
        reader.refuse(
            "a window ends on the day on which it begins, later than that",
            reader.instead(start, f"{shown(first.second)} {joint} 23:59"),
            "every 15 minutes between 09:00 and 17:00",
            mark=start,
        )
    if draft.has_clock():
        reader.refuse("a time was said before", mark=start)
    draft.window = first.second, last.second


def _times(reader: Reader) -> list[int]:
    start = reader.mark()
    found = [_time(reader)]
    while True:
        here = reader.mark()
        if not reader.separator():
            break
        reader.take("at")
        if not starts_time(reader):
            reader.back(here)
            break
        found.append(_time(reader))
    _see_halves(reader, found, start)
    seconds = [said.second for said in found]
    if len(set(seconds)) < len(seconds):
        reader.refuse("the same time is said twice", mark=start)
    return seconds


def _see_halves(reader: Reader, found: list[Said], start: int, joint: str = "and") -> None:
    """As in "8 and 10 pm" may mean the morning or the evening for the 8."""
    if not any(said.halved for said in found):
        return
    for at, said in enumerate(found):
        if said.halved is False and 3600 <= said.second < 46800:
            seconds = [each.second for each in found]
            early = f" {joint} ".join(map(shown, seconds))
            seconds[at] += 43200
            late = f" {joint} ".join(map(shown, seconds))
            reader.doubt(
                "say am or pm for each time or for none",
                reader.instead(start, early),
                reader.instead(start, late),
                mark=start,
            )


def starts_time(reader: Reader) -> bool:
    """Whether a time of the day comes next: not the number of something."""
    token, after = reader.peek(), reader.peek(1)
    if token.kind == "number":
        return (
            "." not in token.text and after.text not in UNITS and not reader.sees("times", ahead=1)
        )
    return token.kind == "clock" or token.text in TIMES_NAMED


def _time(reader: Reader) -> Said:
    start = reader.mark()
    token = reader.peek()
    if token.text in TIMES_NAMED:
        reader.next()
        return Said(TIMES_NAMED[token.text], None)
    if not starts_time(reader):
        reader.refuse(
            "a time of the day was expected", "every day at 02:30", "every day at 2:30 pm"
        )
    reader.next()
    hour, minute, second = ([int(part) for part in token.text.split(":")] + [0, 0])[:3]
    half = reader.next().text if reader.peek().kind == "half" else ""
    reader.take("o'clock")
    if half:
        if not 1 <= hour <= 12:
            reader.refuse(
                "with am and pm hours go from 1 to 12", reader.instead(start, "09:00"), mark=start
            )
        hour = hour % 12 + (12 if half == "pm" else 0)
    if hour > 23 or minute > 59 or second > 59:
        reader.refuse(
            "times go from 00:00 to 23:59:59",
            reader.instead(start, "midnight"),
            reader.instead(start, "23:59"),
            mark=start,
        )
    return Said(hour * 3600 + minute * 60 + second, bool(half))


def shown(second: int) -> str:
    """A time of the day as text: 09:30, and the seconds if there are some."""
    hour, rest = divmod(second % 86400, 3600)
    text = f"{hour:02}:{rest // 60:02}"
    return f"{text}:{rest % 60:02}" if rest % 60 else text


def _past_marks(reader: Reader) -> list[int]:
    """As in ":15 and :45"."""
    found = []
    while reader.peek().kind == "past":
        found.append(_minute(reader, reader.peek().text[1:]))
        here = reader.mark()
        if reader.separator() and reader.peek().kind != "past":
            reader.back(here)
            break
    return found


def _minutes(reader: Reader) -> list[int]:
    found = [_minute(reader, reader.peek().text)]
    here = reader.mark()
    while reader.separator() and reader.peek().kind == "number":
        found.append(_minute(reader, reader.peek().text))
        here = reader.mark()
    reader.back(here)
    return found


def _minute(reader: Reader, text: str) -> int:
    if not text.isdecimal() or len(text) > 2 or int(text) > 59:
        reader.refuse("minutes go from 0 to 59", "every hour at :15")
    reader.next()
    return int(text)


def _says_past(reader: Reader) -> bool:
    ahead = 2 if UNITS.get(reader.peek(1).text) == "minute" else 1
    return reader.peek().kind == "number" and reader.sees("past", "after", ahead=ahead)


def _the_hour(reader: Reader) -> None:
    if reader.take("past", "after", "of"):
        reader.take("the", "every", "each")
        if not reader.take("hour"):
            reader.refuse("the hour was expected", "every hour at :15")
