"""The nearest phrases to one that is not understood."""

from difflib import get_close_matches

from taskqueue_ray.core.phrases.tokens import tokens
from taskqueue_ray.core.phrases.vocabulary import KNOWN

CATALOGUE = (
    "every 30 seconds",
    "every 5 minutes",
    "every 2 hours",
    "every 3 days",
    "every 2 weeks",
    "every 3 months",
    "every hour at :15",
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "quarterly",
    "yearly",
    "every day at 02:30",
    "every day at 2:30 pm",
    "daily at noon and midnight",
    "twice a day at 08:00 and 20:00",
    "every Monday at 09:00",
    "every Monday and Thursday at 18:00",
    "every weekday at 09:00",
    "every weekend at 10:00",
    "every other day at 09:00",
    "every other week on Friday",
    "on the first day of every month at 09:00",
    "on the last day of every month at 18:00",
    "on the 15th of every month at 09:00",
    "on the first Monday of every month at 09:00",
    "on the last Friday of every month at 18:00",
    "every year on 25 December at 09:00",
    "every 15 minutes between 09:00 and 17:00 on weekdays",
    "in 10 minutes",
    "tomorrow at 17:00",
    "next Friday at 14:00",
    "on 2027-01-31 at 10:00",
)
"""One of each kind; all are understood."""


def nearest(text: str) -> list[str]:
    """Two phrases of the catalogue."""
    by_lower = {phrase.lower(): phrase for phrase in CATALOGUE}
    found = get_close_matches(text[:80].lower(), by_lower, n=2, cutoff=0.4)
    return [by_lower[phrase] for phrase in found] or ["every 5 minutes", "every day at 02:30"]


def corrected(text: str) -> list[str]:
    """The text with unknown words replaced by the nearest known ones, if there are some."""
    parts, last = [], 0
    for token in tokens(text):
        if token.kind == "word" and token.text not in KNOWN:
            near = get_close_matches(token.text[:30], KNOWN, n=1, cutoff=0.65)
            parts += [text[last : token.start], near[0] if near else ""]
            last = token.end
    if not parts:
        return []
    return [" ".join("".join([*parts, text[last:]]).split())]
