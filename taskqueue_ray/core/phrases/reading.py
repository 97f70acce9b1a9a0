"""From a text to a rule, or to an error that names what would be understood."""

from taskqueue_ray.core.errors import AmbiguousPhrase, PhraseNotUnderstood
from taskqueue_ray.core.phrases.asked import Asked
from taskqueue_ray.core.phrases.assembly import assemble
from taskqueue_ray.core.phrases.clauses import read
from taskqueue_ray.core.phrases.suggestions import corrected, nearest
from taskqueue_ray.core.phrases.tokens import Unclear
from taskqueue_ray.core.rules import Rule
from taskqueue_ray.core.zones import local

LONGEST = 300
"""Characters; what is longer is no phrase."""


def rule_of(text: str, tz: str, now: float) -> Rule:
    """The rule that the phrase stands for. Raises `PhraseNotUnderstood` or `AmbiguousPhrase`."""
    text = text.strip()
    if len(text) > LONGEST:
        raise PhraseNotUnderstood(text[:77] + "...", text[:40], nearest(text), "it is too long")
    try:
        return _read(text, tz, now)
    except Unclear as unclear:
        kind = AmbiguousPhrase if unclear.ambiguous else PhraseNotUnderstood
        part = text[unclear.start : unclear.end] or text
        raise kind(text, part, _suggestions(text, unclear, tz, now), unclear.why) from None


def _read(text: str, tz: str, now: float) -> Rule:
    return assemble(Asked(read(text, local(tz, now).date()), text, tz, now))


def _suggestions(text: str, unclear: Unclear, tz: str, now: float) -> list[str]:
    """Only what is understood is suggested."""
    wanted = [" ".join(phrase.split()) for phrase in unclear.instead]
    if not unclear.instead:
        wanted = corrected(text)
    for phrases in (wanted, [f"{phrase} at 09:00" for phrase in wanted]):
        found = [phrase for phrase in dict.fromkeys(phrases) if _understood(phrase, tz, now)]
        if found:
            return found
    return nearest(text)


def _understood(phrase: str, tz: str, now: float) -> bool:
    if phrase[:1].isdigit() and "*" in phrase:  # cron
        return True
    try:
        _read(phrase, tz, now)
    except Unclear:
        return False
    return True
