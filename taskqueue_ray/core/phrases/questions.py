"""What a phrase leaves open, or says twice: each is refused with what would be clear."""

from typing import NoReturn

from taskqueue_ray.core.calendars import shortest
from taskqueue_ray.core.phrases.asked import Asked
from taskqueue_ray.core.phrases.times import shown
from taskqueue_ray.core.phrases.vocabulary import DAY_NAMES, MONTH_NAMES
from taskqueue_ray.core.wording import listed, ordinal

_MOST_TIMES = 12


def does_not_recur(asked: Asked) -> NoReturn:
    """Neither "every" nor a date: it may be meant once or for ever."""
    draft, at = asked.draft, asked.at
    if draft.month_days and draft.months:
        day = f"{min(draft.month_days)} {MONTH_NAMES[min(draft.months) - 1]}"
        once = f"on {day} {asked.today.year + 1}{at or ' at 09:00'}"
        asked.doubt("once, or every year", f"every year on {day}{at}", once)
    if draft.month_days or draft.nth:
        asked.doubt("of which month", f"{asked.text} of every month")
    if draft.weekdays:
        day = DAY_NAMES[min(draft.weekdays)]
        asked.doubt("once, or every week", f"every {day}{at}", f"next {day}{at or ' at 09:00'}")
    if draft.times:
        asked.doubt("once, or every day", f"every day{at}", f"tomorrow{at}")
    if draft.past_hour:
        asked.doubt("of which hours", f"every hour {asked.text}")
    asked.refuse("say how often", "every 15 minutes between 09:00 and 17:00", "every day at 09:00")


def see_count(asked: Asked) -> None:
    """As many times as "twice a day" says, or days for "twice a week"."""
    draft = asked.draft
    count, unit = draft.count, draft.count_unit
    if draft.amounts or unit not in ("day", "week") or count > _MOST_TIMES:
        asked.refuse("say when", "twice a day at 08:00 and 20:00", "every 20 minutes")
    if unit == "day" and len(draft.times) != count:
        spread = sorted((28800 + nth * 86400 // count) % 86400 for nth in range(count))
        asked.doubt(f"at which {count} times", f"every day at {listed(map(shown, spread))}")
    if unit == "week" and len(draft.weekdays) != count:
        asked.doubt(f"on which {count} days", f"every Monday and Thursday{asked.at}")


def see_days(asked: Asked, number: int, unit: str) -> None:
    """The days that were said go together with what is counted."""
    draft = asked.draft
    named = draft.weekdays or draft.month_days or draft.nth
    if unit == "day" and draft.amounts and (number > 1 or named):
        asked.refuse(
            "days are counted, or named", f"every Monday{asked.at}", f"every 2 days{asked.at}"
        )
    if unit == "week" and not draft.weekdays:
        asked.refuse("say days of the week", "every other week on Friday")
    if unit == "month" and draft.weekdays:
        day = DAY_NAMES[min(draft.weekdays)]
        one = "on the {} {} of every month{}"
        firsts = (one.format(nth, day, asked.at) for nth in ("first", "last"))
        asked.doubt("which one of the month", *firsts)
    if unit == "month" and draft.months:
        asked.refuse("months are counted, or named", "every 3 months on the 1st at 09:00")
    if unit == "year" and not (draft.months and (draft.month_days or draft.nth)):
        asked.refuse("say the day of the year", "every year on 25 December at 09:00")
    if not (named or draft.amounts):
        month = MONTH_NAMES[min(draft.months) - 1]
        days = (f"every day in {month}{asked.at}", f"on the 1st of {month}{asked.at}")
        asked.doubt("on which days of it", *days)
    if draft.weekdays and (draft.month_days or draft.nth):
        asked.doubt(
            "a day of the week, or of the month",
            f"every {DAY_NAMES[min(draft.weekdays)]}{asked.at}",
            f"on the 13th of every month{asked.at}",
        )
    _see_month_days(asked, unit)


def _see_month_days(asked: Asked, unit: str) -> None:
    draft = asked.draft
    of_which = draft.of_month or draft.months or unit in ("month", "year")
    if (draft.month_days or draft.nth) and not of_which:
        asked.doubt("of which month", f"{asked.text} of every month")
    months = tuple(sorted(draft.months))
    late = [day for day in draft.month_days if day > shortest(months)]
    if draft.or_last and not late:
        asked.refuse("there is such a day always", "every month on the 31st or the last day")
    if late and not draft.or_last:
        of = listed(MONTH_NAMES[month - 1] for month in months) or "every month"
        asked.doubt(
            f"there is not always a {ordinal(late[0])}",
            f"on the {ordinal(late[0])} or the last day of {of}{asked.at}",
            f"on the last day of {of}{asked.at}",
            f"0 0 {late[0]} {','.join(map(str, months)) or '*'} *",
        )


def which_day(asked: Asked, number: int, unit: str) -> NoReturn:
    """As in "every week at 9:00": a time, and no day."""
    often = f"every {unit}" if number == 1 else f"every {number} {unit}s"
    today = asked.today
    instead = {
        "week": (f"{often} on {DAY_NAMES[today.weekday()]}{asked.at}",),
        "month": (f"{often} on the 1st{asked.at}", f"{often} on the last day{asked.at}"),
        "year": (f"every year on {today.day} {MONTH_NAMES[today.month - 1]}{asked.at}",),
    }
    asked.doubt(f"on which day of the {unit}", *instead[unit])
