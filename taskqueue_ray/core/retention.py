"""For how long ended jobs are kept, by the state in which they ended.

What is said of a queue goes before what is said of all, state by state.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.timing import LONGEST, parse_duration

Term = float | UnsetType | None
"""Seconds; None: for good; UNSET: nothing is said."""

FOREVER = "forever"
_ACCEPTS = (
    'a duration such as "7d", "forever", or those by state: {"completed": "7d", "failed": "30d"} '
    'or the text "completed=7d, failed=30d"'
)


class Retention(msgspec.Struct, frozen=True, omit_defaults=True):
    """Terms in seconds from the end of a job, by how it ended.

    A dead letter (`failed`) whose term is over is purged, so it cannot be redriven any more; of the
    others the row in the history goes.
    """

    completed: Term = UNSET
    failed: Term = UNSET
    cancelled: Term = UNSET
    expired: Term = UNSET

    def __str__(self) -> str:
        terms = ((state, getattr(self, state)) for state in STATES)
        return ", ".join(f"{state}={_text(term)}" for state, term in terms if term is not UNSET)


STATES = Retention.__struct_fields__
KEEP = Retention()
"""Nothing is said: all is kept for good."""


class Horizon(NamedTuple):
    """What ended in `state` up to the time `before` is kept no longer.

    In `queue`; None stands for all queues but the `others`, of which something else is said.
    """

    state: JobState
    before: float
    queue: str | None = None
    others: tuple[str, ...] = ()


def parse_retention(value: object, option: str = "retention") -> Retention:
    """The terms that are meant. A plain duration is that of all states but `failed`.

    Raises `InvalidOption` in the name of `option`.

    >>> str(parse_retention("completed=7d, failed=30d"))
    'completed=7d, failed=30d'
    >>> str(parse_retention(90))
    'completed=90s, cancelled=90s, expired=90s'
    """
    if isinstance(value, Retention):
        check_retention(value, option)
        return value
    if isinstance(value, str) and "=" in value:
        value = _pairs(value, option)
    if isinstance(value, Mapping):
        unknown = [name for name in value if name not in STATES]
        if unknown or not value:
            raise InvalidOption(option, ascii(value)[:80], _ACCEPTS)
        return Retention(**{name: _term(term, f"{option}.{name}") for name, term in value.items()})
    term = _term(value, option)
    return Retention(completed=term, cancelled=term, expired=term)


def check_retention(given: Retention, option: str = "retention") -> None:
    """Refuse terms that are none, whoever sends them: nothing is to be dropped by mistake."""
    for state in STATES:
        term = getattr(given, state)
        # NaN fails both comparisons.
        if isinstance(term, float | int) and not 0 < term <= LONGEST:
            raise InvalidOption(f"{option}.{state}", str(term), "more than 0 seconds")


def term_of(default: Retention, own: Retention | None, state: str) -> float | None:
    """How long jobs of a queue are kept that ended in this state; None: for good."""
    term: Term = UNSET if own is None else getattr(own, state)
    if term is UNSET:
        term = getattr(default, state)
    return None if term is UNSET else term


def horizons(
    default: Retention, queues: Mapping[str, Retention | None], now: float
) -> list[Horizon]:
    """What is kept no longer at `now`. `queues` are those that have something of their own."""
    found = []
    for state in STATES:
        own = {
            name: term
            for name, said in queues.items()
            if said is not None and (term := getattr(said, state)) is not UNSET
        }
        common = getattr(default, state)
        if isinstance(common, float | int):
            found.append(Horizon(JobState(state), now - common, None, tuple(own)))
        found += [
            Horizon(JobState(state), now - term, name)
            for name, term in own.items()
            if term is not None
        ]
    return found


def _pairs(text: str, option: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.replace(",", " ").split()]
    names = [name for name, _, _ in pairs]
    if not all(equals for _, equals, _ in pairs) or len(set(names)) != len(names):
        raise InvalidOption(option, ascii(text)[:80], _ACCEPTS)
    return {name: term for name, _, term in pairs}


def _term(value: object, option: str) -> float | None:
    if value is None or (isinstance(value, str) and value.strip().lower() == FOREVER):
        return None
    try:
        seconds = parse_duration(value, option)
    except InvalidOption as refusal:
        raise InvalidOption(option, refusal.fields["value"], _ACCEPTS) from None
    if seconds <= 0:
        raise InvalidOption(option, ascii(value)[:80], "more than 0 seconds")
    return seconds


def _text(term: float | None) -> str:
    if term is None:
        return FOREVER
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60)):
        if term % seconds == 0:
            return f"{term / seconds:.0f}{unit}"
    return f"{term:g}s"
