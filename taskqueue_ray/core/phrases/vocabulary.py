"""The words that phrases are made of."""

DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_SHORT_DAYS = {
    "mon": 0,
    "tue": 1,
    "tues": 1,
    "wed": 2,
    "weds": 2,
    "thu": 3,
    "thur": 3,
    "thurs": 3,
    "fri": 4,
    "sat": 5,
    "sun": 6,
}
WEEKDAYS = {name.lower(): nth for nth, name in enumerate(DAY_NAMES)} | _SHORT_DAYS
PLURAL_WEEKDAYS = {f"{name}s": nth for name, nth in WEEKDAYS.items()}
MONTHS = {
    **{name.lower(): nth for nth, name in enumerate(MONTH_NAMES, 1)},
    **{name[:3].lower(): nth for nth, name in enumerate(MONTH_NAMES, 1)},
    "sept": 9,
}
WORKDAYS = {"weekday", "weekdays", "workday", "workdays"}
WEEKENDS = {"weekend", "weekends"}

UNITS = {
    **dict.fromkeys(("second", "seconds", "sec", "secs", "s"), "second"),
    **dict.fromkeys(("minute", "minutes", "min", "mins", "m"), "minute"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs", "h"), "hour"),
    **dict.fromkeys(("day", "days", "d"), "day"),
    **dict.fromkeys(("week", "weeks", "wk", "wks", "w"), "week"),
    **dict.fromkeys(("month", "months"), "month"),
    **dict.fromkeys(("year", "years", "yr", "yrs"), "year"),
}
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
"""Units of real time; a month has none."""

NUMBERS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "ninety": 90,
    "a": 1,
    "an": 1,
}
ORDINALS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "eleventh": 11,
    "twelfth": 12,
    "fifteenth": 15,
    "last": -1,
}
NAMED = {
    "hourly": ("hour", 1),
    "daily": ("day", 1),
    "weekly": ("week", 1),
    "fortnightly": ("week", 2),
    "monthly": ("month", 1),
    "quarterly": ("month", 3),
    "yearly": ("year", 1),
    "annually": ("year", 1),
}
TWOFOLD = {
    "biweekly": ("every 2 weeks", "twice a week on Monday and Thursday at 09:00"),
    "bimonthly": ("every 2 months", "on the 1st and 15th of every month at 09:00"),
    "biannually": ("every 6 months", "every 2 years"),
    "biannual": ("every 6 months", "every 2 years"),
}
TIMES_NAMED = {"noon": 43200, "midday": 43200, "midnight": 0}
COUNTS = {"once": 1, "twice": 2, "thrice": 3}
ROUND_ABOUT = {"morning", "afternoon", "evening", "night", "tonight", "lunchtime"}
_GRAMMAR = {
    *("every", "each", "other", "on", "at", "the", "of", "in", "and", "between", "from", "to"),
    *("until", "till", "through", "next", "today", "tomorrow", "starting", "beginning", "times"),
    *("per", "or", "past", "only", "fortnight"),
}
KNOWN = frozenset(
    {*WEEKDAYS, *PLURAL_WEEKDAYS, *MONTHS, *WORKDAYS, *WEEKENDS, *UNITS}
    | {*NUMBERS, *ORDINALS, *NAMED, *TIMES_NAMED, *COUNTS, *_GRAMMAR}
)
