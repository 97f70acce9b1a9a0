"""What phrases mean, and what is refused with which suggestion.

The present is Tuesday 24 November 2026, 18:00:00 in Berlin.
"""

from datetime import datetime
from typing import Any

import pytest

from taskqueue_ray.core.errors import AmbiguousPhrase, InvalidRequest, PhraseNotUnderstood
from taskqueue_ray.core.phrases.suggestions import CATALOGUE
from taskqueue_ray.core.recurrence import Once, next_after, understand
from taskqueue_ray.core.rules import Every

TZ = "Europe/Berlin"
NOW = datetime.fromisoformat("2026-11-24T18:00:00+01:00").timestamp()

INTERVALS = {
    "every second": 1,
    "every 1 second": 1,
    "every 10 seconds": 10,
    "every 10 secs": 10,
    "every ten seconds": 10,
    "every 30s": 30,
    "every 90 seconds": 90,
    "each minute": 60,
    "every minute": 60,
    "every 5 minutes": 300,
    "every 5 mins": 300,
    "every 5 min": 300,
    "every five minutes": 300,
    "EVERY 5 MINUTES": 300,
    "  every   5\tminutes  ": 300,
    "every 5 minutes.": 300,
    "Every 15 Minutes": 900,
    "every fifteen minutes": 900,
    "every 5m": 300,
    "5m": 300,
    "1h30m": 5400,
    "30s": 30,
    "2 h": 7200,
    "7d": 604800,
    "every half hour": 1800,
    "every half an hour": 1800,
    "every quarter hour": 900,
    "every quarter of an hour": 900,
    "every hour": 3600,
    "every 1 hour": 3600,
    "every 2 hours": 7200,
    "every two hours": 7200,
    "every other hour": 7200,
    "every 1.5 hours": 5400,
    "every 1 hour 30 minutes": 5400,
    "every 1 hour and 30 minutes": 5400,
    "every 1h30m": 5400,
    "every 36 hours": 129600,
    "every day": 86400,
    "every 3 days": 259200,
    "every other day": 172800,
    "every week": 604800,
    "every 2 weeks": 1209600,
    "every other week": 1209600,
    "every fortnight": 1209600,
    "fortnightly": 1209600,
    "every 1.5 days": 129600,
}

CRON = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 0",
    "monthly": "0 0 1 * *",
    "quarterly": "0 0 1 1,4,7,10 *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
    "hourly at :15": "15 * * * *",
    "every hour at :15": "15 * * * *",
    "every hour at :15 and :45": "15,45 * * * *",
    "every hour at minute 15": "15 * * * *",
    "at 15 minutes past the hour every hour": "15 * * * *",
    "every hour at 5 past the hour": "5 * * * *",
    "every hour at :30 on weekdays": "30 * * * 1-5",
    "every day at 2:30 AM": "30 2 * * *",
    "every day at 2:30am": "30 2 * * *",
    "every day at 2:30 a.m.": "30 2 * * *",
    "every day at 2:30 a.m": "30 2 * * *",
    "every day at 2:30 PM": "30 14 * * *",
    "every day at 14:30": "30 14 * * *",
    "every day at 14:30:15": "30 14 * * * 15",
    "every day 14:30": "30 14 * * *",
    "every day at 8": "0 8 * * *",
    "every day at 8 o'clock": "0 8 * * *",
    "every day at 08:00": "0 8 * * *",
    "every day at 0": "0 0 * * *",
    "every day at 12 am": "0 0 * * *",
    "every day at 12 pm": "0 12 * * *",
    "every day at 12:30 am": "30 0 * * *",
    "every day at noon": "0 12 * * *",
    "every day at midday": "0 12 * * *",
    "every midnight": "0 0 * * *",
    "each day at midnight": "0 0 * * *",
    "at 9:00 every day": "0 9 * * *",
    "9am every day": "0 9 * * *",
    "daily at 9": "0 9 * * *",
    "daily at noon and midnight": "0 0,12 * * *",
    "every day at 9:00, 12:00 and 15:00": "0 9,12,15 * * *",
    "every day at 9:00, at 12:00, and at 15:00": "0 9,12,15 * * *",
    "every day at 8 am and 8 pm": "0 8,20 * * *",
    "every day at 9:00 and 9:30": "0,30 9 * * *",
    "twice a day at 8 and 20": "0 8,20 * * *",
    "twice daily at 8:00 and 20:00": "0 8,20 * * *",
    "2 times a day at 8 and 20": "0 8,20 * * *",
    "three times per day at 6, 14 & 22": "0 6,14,22 * * *",
    "once a day at 9": "0 9 * * *",
    "twice a week on Monday and Thursday at 9:00": "0 9 * * 1,4",
    "every Monday": "0 0 * * 1",
    "every Monday at 9:00 AM": "0 9 * * 1",
    "every monday at 9:00 am": "0 9 * * 1",
    "every mon at 9": "0 9 * * 1",
    "every Mon. at 9": "0 9 * * 1",
    "each Tuesday at 9:00": "0 9 * * 2",
    "every tues at 9:00": "0 9 * * 2",
    "every wed, fri at 9:00": "0 9 * * 3,5",
    "Mondays at 9": "0 9 * * 1",
    "on Mondays at 9": "0 9 * * 1",
    "at 9 on Mondays and Fridays": "0 9 * * 1,5",
    "every Sunday at 18:30": "30 18 * * 0",
    "every Monday and Thursday at 18:00": "0 18 * * 1,4",
    "every Monday, Wednesday and Friday at 18:00": "0 18 * * 1,3,5",
    "every Monday, Wednesday, and Friday at 18:00": "0 18 * * 1,3,5",
    "every Monday and every Thursday at 18:00": "0 18 * * 1,4",
    "on Monday and Thursday at 18:00": "0 18 * * 1,4",
    "weekly on Monday at 9:00": "0 9 * * 1",
    "every week on Monday at 9:00": "0 9 * * 1",
    "every weekday": "0 0 * * 1-5",
    "every weekday at 9": "0 9 * * 1-5",
    "weekdays at 9:00": "0 9 * * 1-5",
    "on weekdays at 9:00": "0 9 * * 1-5",
    "at 9:00 on weekdays": "0 9 * * 1-5",
    "daily at 9:00 in January": "0 9 * 1 *",
    "Monday to Friday at 17:00": "0 17 * * 1-5",
    "Monday through Friday at 17:00": "0 17 * * 1-5",
    "from Monday to Friday at 17:00": "0 17 * * 1-5",
    "mon-fri at 8:30": "30 8 * * 1-5",
    "every sat-mon at 8:30": "30 8 * * 0,1,6",
    "every weekend at 10:00": "0 10 * * 0,6",
    "on weekends at 10:00": "0 10 * * 0,6",
    "on the weekend and Monday at 10:00": "0 10 * * 0,1,6",
    "every Monday in June and July at 9:00": "0 9 * 6,7 1",
    "first day of every month at 9:00": "0 9 1 * *",
    "on the first day of the month at 9:00": "0 9 1 * *",
    "every first day of the month": "0 0 1 * *",
    "every month on the 1st at 9:00": "0 9 1 * *",
    "on the 15th of every month at 9:00": "0 9 15 * *",
    "on the 1st and 15th of every month at 9:00": "0 9 1,15 * *",
    "on the 1st and the 15th of each month": "0 0 1,15 * *",
    "on day 15 of every month at 9:00": "0 9 15 * *",
    "every 15th of the month at noon": "0 12 15 * *",
    "monthly on the 15th at 9:00": "0 9 15 * *",
    "every month on the 28th": "0 0 28 * *",
    "on the 31st of January and July": "0 0 31 1,7 *",
    "every year on 25 December at 9:00": "0 9 25 12 *",
    "every year on December 25th at 9:00": "0 9 25 12 *",
    "every 25 December at 9:00": "0 9 25 12 *",
    "every January 1st at 00:00": "0 0 1 1 *",
    "yearly on the 4th of July at noon": "0 12 4 7 *",
    "every month": "0 18 24 * *",
    "every year": "0 18 24 11 *",
}

CALENDAR = {
    "last day of every month at 18:00": "on the last day of every month at 18:00",
    "on the last day of the month at 6 pm": "on the last day of every month at 18:00",
    "every month on the last day at 18:00": "on the last day of every month at 18:00",
    "on the last of every month": "on the last day of every month at 00:00",
    "every last day of the month": "on the last day of every month at 00:00",
    "on the 1st and last day of every month": "on the 1st and last day of every month at 00:00",
    "on the last day of February at noon": "on the last day of February at 12:00",
    "first Monday of the month": "on the first Monday of every month at 00:00",
    "first Monday of every month at 10am": "on the first Monday of every month at 10:00",
    "every first Monday of the month at 10:00": "on the first Monday of every month at 10:00",
    "monthly on the first Monday at 10:00": "on the first Monday of every month at 10:00",
    "every 2nd Tuesday of the month at 9": "on the second Tuesday of every month at 09:00",
    "1st and 3rd Tuesday of the month at 9": (
        "on the first and third Tuesday of every month at 09:00"
    ),
    "on the last Friday of every month at 17": "on the last Friday of every month at 17:00",
    "on the first Monday of March at 9:00": "on the first Monday of March at 09:00",
    "every month on the 31st or the last day at 10": (
        "on the 31st or the last day of every month at 10:00"
    ),
    "every day at 9:00 and 17:30": "every day at 09:00 and 17:30",
    "every weekday at 9:00, 12:30 and noon": "every weekday at 09:00, 12:00 and 12:30",
    "every 15 minutes between 9:00 and 17:00 on weekdays": (
        "every 15 minutes between 09:00 and 17:00 on weekdays"
    ),
    "on weekdays every 15 minutes between 9 and 17": (
        "every 15 minutes between 09:00 and 17:00 on weekdays"
    ),
    "every weekday every 15 minutes from 9:00 to 17:00": (
        "every 15 minutes between 09:00 and 17:00 on weekdays"
    ),
    "every 10 minutes from 9am until 5pm": "every 10 minutes between 09:00 and 17:00",
    "every hour between 9 and 17": "every hour between 09:00 and 17:00",
    "hourly between 9:30 and 17:30": "every hour between 09:30 and 17:30",
    "every 30 minutes on weekdays": "every 30 minutes between 00:00 and 23:59:59 on weekdays",
    "every 20 minutes between 8:00 and 12:00 in July": (
        "every 20 minutes between 08:00 and 12:00 in July"
    ),
    "every hour between 8 and 12 on the last day of every month": (
        "every hour between 08:00 and 12:00 on the last day of every month"
    ),
    "every other week on Friday": "every 2 weeks on Friday at 00:00 from 2026-11-27",
    "every other Friday at 17:00": "every 2 weeks on Friday at 17:00 from 2026-11-27",
    "fortnightly on Friday at 17:00": "every 2 weeks on Friday at 17:00 from 2026-11-27",
    "every 2 weeks on Monday and Friday at 9": (
        "every 2 weeks on Monday and Friday at 09:00 from 2026-11-27"
    ),
    "every 3 weeks on weekdays at 9:00 starting 2027-01-31": (
        "every 3 weeks on weekdays at 09:00 from 2027-01-31"
    ),
    "every 2 days at 9:00": "every 2 days at 09:00 from 2026-11-25",
    "every 2 days at 19:00": "every 2 days at 19:00 from 2026-11-24",
    "every other day at 9:00": "every 2 days at 09:00 from 2026-11-25",
    "every 2 days at 9:00 from tomorrow": "every 2 days at 09:00 from 2026-11-25",
    "every 3 months": "every 3 months on the 24th at 18:00 from 2026-11-24",
    "every 3 months on the 1st at 9:00": "every 3 months on the 1st at 09:00 from 2026-12-01",
    "every other month on the last day": "every 2 months on the last day at 00:00 from 2026-11-30",
    "every 2 months on the first Monday at 9:00": (
        "every 2 months on the first Monday at 09:00 from 2026-12-07"
    ),
    "every 2 years": "every 24 months on the 24th at 18:00 from 2026-11-24",
}

MOMENTS = {
    "in 90 seconds": "2026-11-24T18:01:30+01:00",
    "in 10 minutes": "2026-11-24T18:10:00+01:00",
    "In 10 Min": "2026-11-24T18:10:00+01:00",
    "in an hour": "2026-11-24T19:00:00+01:00",
    "in 1 hour and 30 minutes": "2026-11-24T19:30:00+01:00",
    "in 2 days": "2026-11-26T18:00:00+01:00",
    "in 2 weeks": "2026-12-08T18:00:00+01:00",
    "in 3 months": "2027-02-24T18:00:00+01:00",
    "in one year": "2027-11-24T18:00:00+01:00",
    "today at 20:00": "2026-11-24T20:00:00+01:00",
    "tomorrow at 5pm": "2026-11-25T17:00:00+01:00",
    "tomorrow 17:00": "2026-11-25T17:00:00+01:00",
    "at 5 p.m. tomorrow": "2026-11-25T17:00:00+01:00",
    "tomorrow at noon": "2026-11-25T12:00:00+01:00",
    "next Friday 14:00": "2026-11-27T14:00:00+01:00",
    "next Friday at 14:00": "2026-11-27T14:00:00+01:00",
    "on next Friday at 14:00": "2026-11-27T14:00:00+01:00",
    "next tue at 9": "2026-12-01T09:00:00+01:00",
    "on 2027-01-31 at 10:00": "2027-01-31T10:00:00+01:00",
    "2027-01-31 at 10:00": "2027-01-31T10:00:00+01:00",
    "2027-01-31 10:00": "2027-01-31T10:00:00+01:00",
    "2027-01-31T10:00": "2027-01-31T10:00:00+01:00",
    "2027-01-31T10:00:00Z": "2027-01-31T11:00:00+01:00",
    "2027-07-31T10:00:00+02:00": "2027-07-31T10:00:00+02:00",
    "on 31 January 2027 at 10:00": "2027-01-31T10:00:00+01:00",
    "on January 31st, 2027 at 10:00": "2027-01-31T10:00:00+01:00",
    "on the 31st of January 2027 at 10:00": "2027-01-31T10:00:00+01:00",
    "on 2027-03-28 at 02:30": "2027-03-28T03:00:00+02:00",
    "on 2027-10-31 at 02:30": "2027-10-31T02:30:00+02:00",
}

UNDERSTOOD = [*INTERVALS, *CRON, *CALENDAR, *MOMENTS, *CATALOGUE]


@pytest.mark.parametrize(("phrase", "seconds"), INTERVALS.items())
def test_intervals(phrase: str, seconds: float) -> None:
    assert understand(phrase, tz=TZ, now=NOW).rule == Every(float(seconds))


@pytest.mark.parametrize(("phrase", "canonical"), {**CRON, **CALENDAR}.items())
def test_days_and_hours(phrase: str, canonical: str) -> None:
    assert understand(phrase, tz=TZ, now=NOW).canonical == canonical


@pytest.mark.parametrize(("phrase", "expected"), MOMENTS.items())
def test_moments(phrase: str, expected: str) -> None:
    found = understand(phrase, tz=TZ, now=NOW)
    assert found.canonical == expected
    assert found.rule == Once(datetime.fromisoformat(expected).timestamp())


@pytest.mark.parametrize("phrase", UNDERSTOOD)
def test_what_is_understood_is_understood_again(phrase: str) -> None:
    found = understand(phrase, tz=TZ, now=NOW)
    assert understand(found.canonical, tz=TZ, now=NOW) == found
    # On another day, in another zone: the canonical form depends on neither but for the wall.
    assert understand(found.canonical, tz=TZ, now=NOW + 86400 * 100).rule == found.rule
    if not isinstance(found.rule, Once):
        assert understand(found.words, tz=TZ, now=NOW).rule == found.rule
        assert next_after(found.rule, TZ, NOW) is not None


def test_two_hundred_phrases_are_held_here() -> None:
    assert len(set(UNDERSTOOD)) >= 200


NOT_UNDERSTOOD = {
    "": ("", "every 5 minutes"),
    "   ": ("", "every 5 minutes"),
    "whenever": ("whenever", None),
    "soon": ("soon", None),
    "evry day at 9": ("evry", "every day at 9"),
    "every dya at 9": ("dya", "every day at 9"),
    "every mondey at 9": ("mondey", "every monday at 9"),
    "every 5 minuts": ("minuts", "every 5 minutes"),
    "every 5 bananas": ("bananas", None),
    "every blue moon": ("blue", None),
    "every": ("every", None),
    "every 0 minutes": ("0 minutes", "every 1 minute"),
    "every -5 minutes": ("-", None),
    "every 0.5 seconds": ("every 0.5 seconds", "every second"),
    "every 1.5 months": ("every 1.5 months", "every 2 months"),
    "every 1.5 weeks on Friday": ("every 1.5 weeks on Friday", "every 2 weeks"),
    "every 2000 days at 9:00": ("every 2000 days at 9:00", "every 1000 days"),
    "every 300 years": ("every 300 years", "every 120 months"),
    "every 1 month 2 days": ("every 1 month 2 days", "every 90 days"),
    "every day at 25:00": ("25:00", "every day at midnight"),
    "every day at 24:00": ("24:00", "every day at midnight"),
    "every day at 9:60": ("9:60", "every day at midnight"),
    "every day at 13 pm": ("13 pm", "every day at 09:00"),
    "every day at 0 am": ("0 am", "every day at 09:00"),
    "every day at": ("at", None),
    "every day at nine": ("nine", None),
    "every day at 9 and 9": ("9 and 9", None),
    "every day at 9:00 at 10:00": ("10:00", None),
    "every day every week": ("week", None),
    "every morning": ("morning", "every day at 08:00"),
    "every day in the evening": ("the", "every day at 20:00"),
    "every Monday morning": ("morning", "every day at 08:00"),
    "tonight": ("tonight", "tomorrow at 20:00"),
    "every 15 minutes between 17:00 and 9:00": (
        "17:00 and 9:00",
        "every 15 minutes between 17:00 and 23:59",
    ),
    "every 15 minutes between 9:00": ("9:00", "every 15 minutes between 09:00 and 17:00"),
    "every 15 minutes at 9:00": ("every 15 minutes at 9:00", "every day at 09:00"),
    "every 2 hours between 9:00 and 10:00": None,
    "between 9:00 and 17:00": ("between 9:00 and 17:00", None),
    "every day between 9:00 and 17:00": ("every day between 9:00 and 17:00", None),
    "every 2 hours at :15": ("every 2 hours at :15", "every hour at :15"),
    "every hour at :75": (":75", "every hour at :15"),
    "every 2 days on Monday": ("every 2 days on Monday", "every Monday"),
    "every week on the 15th": ("every week on the 15th", "every other week on Friday"),
    "every year at 9:00 on Monday": None,
    "on the 32nd of every month": ("32nd", "on the last day of every month"),
    "on the 6th Monday of every month": ("6th Monday", None),
    "on the last weekday of the month": (
        "weekday",
        "on the last Friday of every month at 18:00",
    ),
    "on 2027-02-30 at 10:00": ("2027-02-30", "on 2027-01-31 at 10:00"),
    "on 30 February 2027 at 10:00": ("30 February 2027", None),
    "2027-01-31T25:00": ("2027-01-31T25:00", None),
    "on 1812-01-31 at 10:00": ("on 1812-01-31 at 10:00", "on 2027-01-31 at 10:00"),
    "today at 9:00": ("today at 9:00", "tomorrow at 09:00"),
    "in 0 minutes": ("0 minutes", "in 1 minute"),
    "in 1.5 months": ("in 1.5 months", "in 2 months"),
    "in 1000 years": ("in 1000 years", "in 90 days"),
    "in 10 minutes at 9:00": ("in 10 minutes at 9:00", "in 10 minutes"),
    "tomorrow at 9 and 10": ("tomorrow at 9 and 10", None),
    "every day at 9:00 tomorrow": ("every day at 9:00 tomorrow", "every day at 09:00"),
    "every 5 minutes from 2027-01-31": ("every 5 minutes from 2027-01-31", "every 5 minutes"),
    "every Monday from 2027-01-31": ("every Monday from 2027-01-31", None),
    "5 times an hour": ("5 times an hour", "every 20 minutes"),
    "every day at 9:00 日本": ("日", None),
    "every day; drop table jobs": (";", None),
    "61 * * * *": ("61", "30 2 * * *"),
    "* * * *": ("* * * *", "30 2 * * *"),
    "0 0 30 2 *": ("0 0 30 2 *", "0 0 28 2 *"),
    "@reboot": ("@reboot", "@hourly"),
}

AMBIGUOUS = {
    "every 5": ("5", "every 5 minutes"),
    "at 9": ("at 9", "every day at 09:00"),
    "9:00": ("9:00", "tomorrow at 09:00"),
    "noon": ("noon", "every day at 12:00"),
    "at :15": ("at :15", "every hour at :15"),
    "Friday at 14:00": ("Friday at 14:00", "next Friday at 14:00"),
    "on Monday at 9": ("on Monday at 9", "every Monday at 09:00"),
    "Friday": ("Friday", "every Friday"),
    "on the 15th": ("on the 15th", "on the 15th of every month"),
    "on the 15th at 9:00": ("on the 15th at 9:00", None),
    "first Monday at 9:00": ("first Monday at 9:00", None),
    "on 25 December at 9:00": (
        "on 25 December at 9:00",
        "every year on 25 December at 09:00",
    ),
    "01/02/2027": ("01/02/2027", "2027-02-01 at 09:00"),
    "on 01/02/2027 at 10:00": ("01/02/2027", "on 2027-01-02 at 10:00"),
    "on 31.01.2027 at 10:00": ("31.01.2027", "on 2027-01-31 at 10:00"),
    "next month": ("month", "next Monday at 09:00"),
    "next week": ("week", "in 7 days"),
    "this Friday at 9:00": ("Friday", "next Friday at 09:00"),
    "tomorrow": ("tomorrow", "tomorrow at 09:00"),
    "next Friday": ("next Friday", "next Friday at 09:00"),
    "on 2027-01-31": ("on 2027-01-31", "on 2027-01-31 at 09:00"),
    "every month on the 31st": (
        "every month on the 31st",
        "on the 31st or the last day of every month",
    ),
    "on the 30th of every month at 9:00": (
        "on the 30th of every month at 9:00",
        "on the last day of every month at 09:00",
    ),
    "every year on 29 February": ("every year on 29 February", "0 0 29 2 *"),
    "every second Friday": ("second Friday", "every other week on Friday"),
    "every 2nd Tuesday": ("2nd Tuesday", "on the second Tuesday of every month"),
    "every second day": ("second day", "every 2 days"),
    "every month at 9:00": ("every month at 9:00", "every month on the 1st at 09:00"),
    "every week at 9:00": ("every week at 9:00", "every week on Tuesday at 09:00"),
    "monthly at 9:00": ("monthly at 9:00", "every month on the last day at 09:00"),
    "every year at 9:00": ("every year at 9:00", "every year on 24 November at 09:00"),
    "every month on Monday": (
        "every month on Monday",
        "on the first Monday of every month",
    ),
    "every January": ("every January", "every day in January"),
    "every Friday on the 13th of every month": (
        "every Friday on the 13th of every month",
        "every Friday",
    ),
    "twice a day": ("twice a day", "every day at 08:00 and 20:00"),
    "three times a day at 8 and 20": (
        "three times a day at 8 and 20",
        "every day at 00:00, 08:00 and 16:00",
    ),
    "twice a week": ("twice a week", "every Monday and Thursday"),
    "biweekly": ("biweekly", "every 2 weeks"),
    "bimonthly": ("bimonthly", "every 2 months"),
    "every day at 8 and 10 pm": ("8 and 10 pm", "every day at 20:00 and 22:00"),
    "every hour between 9 and 5pm": ("9 and 5pm", "every hour between 09:00 and 17:00"),
}


def _refusal(phrase: str) -> InvalidRequest:
    with pytest.raises((AmbiguousPhrase, PhraseNotUnderstood)) as caught:
        understand(phrase, tz=TZ, now=NOW)
    return caught.value


def _see(phrase: str, expected: tuple[str, str | None] | None, fields: dict[str, Any]) -> None:
    if expected is None:
        return
    part, suggestion = expected
    assert fields["part"] == part or not part
    assert suggestion is None or suggestion in fields["suggestions"], fields["suggestions"]


@pytest.mark.parametrize(("phrase", "expected"), NOT_UNDERSTOOD.items())
def test_what_is_not_understood_is_named(
    phrase: str, expected: tuple[str, str | None] | None
) -> None:
    error = _refusal(phrase)
    assert type(error) is PhraseNotUnderstood
    _see(phrase, expected, error.fields)


@pytest.mark.parametrize(("phrase", "expected"), AMBIGUOUS.items())
def test_what_is_ambiguous_is_named(phrase: str, expected: tuple[str, str | None] | None) -> None:
    error = _refusal(phrase)
    assert type(error) is AmbiguousPhrase
    _see(phrase, expected, error.fields)


@pytest.mark.parametrize("phrase", [*NOT_UNDERSTOOD, *AMBIGUOUS])
def test_what_is_suggested_is_understood(phrase: str) -> None:
    suggestions = _refusal(phrase).fields["suggestions"]
    assert suggestions
    for suggestion in suggestions:
        understand(suggestion, tz=TZ, now=NOW)
