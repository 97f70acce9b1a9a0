"""Which of the times that have passed is to be fired, and which were missed."""

from collections.abc import Iterator
from typing import NamedTuple

from taskqueue_ray.core.recurrence import next_after
from taskqueue_ray.core.rules import Rule
from taskqueue_ray.core.schedule import Plan

ON_TIME = 60.0
"""Seconds after its time for which a firing is merely late, and none that was missed."""

WALK = 64
"""Times that are counted one by one; of more than that the last is looked for by halving."""

HALVINGS = 60


class Turn(NamedTuple):
    """What is to be done about the times up to `cursor`: fire `due`, or nothing (0).

    `missed` passed unheeded, at least. `following` is the next time, 0 when there is none.
    """

    cursor: float
    due: float
    missed: int
    following: float


def next_due(rule: Rule, plan: Plan, after: float) -> float:
    """The first time after this one at which the plan lets something happen; 0: there is none."""
    found = next_after(rule, plan.zone, after)
    if found is None or (plan.until and found > plan.until):
        return 0.0
    return found


def turn(rule: Rule, plan: Plan, due: float, now: float) -> Turn:
    """Deal with the times from `due`, which has come, to now.

    With `all`, each of them has a turn of its own. Else only the last one counts.
    """
    oldest = now - plan.window if plan.window else 0.0
    if plan.catch_up == "all":
        return _first(rule, plan, due, oldest, now)
    last, missed, following = _last(rule, plan, due, now)
    if plan.catch_up == "skip":
        oldest = now - ON_TIME
    if last < min(oldest, now - ON_TIME):
        return Turn(last, 0.0, missed + 1, following)
    return Turn(last, last, missed, following)


def _first(rule: Rule, plan: Plan, due: float, oldest: float, now: float) -> Turn:
    """The first that is not too old to be made up for."""
    oldest = min(oldest, now - ON_TIME)
    if due >= oldest:
        return Turn(due, due, 0, next_due(rule, plan, due))
    missed = 1
    for later in _after(rule, plan, due):
        if later > now:
            return Turn(due, 0.0, missed, later)
        if later >= oldest:
            return Turn(later, later, missed, next_due(rule, plan, later))
        missed += 1
        due = later
        if missed >= WALK:
            break
    else:
        return Turn(due, 0.0, missed, 0.0)
    following = next_due(rule, plan, oldest)
    last = min(oldest, following) if following else oldest
    return Turn(last, 0.0, missed, following)


def _last(rule: Rule, plan: Plan, due: float, now: float) -> tuple[float, int, float]:
    """The last time up to now, how many were before it (at least), and the one that follows."""
    missed = 0
    for later in _after(rule, plan, due):
        if later > now:
            return due, missed, later
        due = later
        missed += 1
        if missed >= WALK:
            return (*_halved(rule, plan, due, now, missed),)
    return due, missed, 0.0


def _halved(
    rule: Rule, plan: Plan, known: float, now: float, missed: int
) -> tuple[float, int, float]:
    """The same by halving: `known` is such a time, and there may be ever so many after it."""
    late = now
    for _ in range(HALVINGS):
        following = next_due(rule, plan, known)
        if not following or following > now:
            return known, missed, following
        middle = (following + late) / 2
        found = next_due(rule, plan, middle)
        missed += 1
        if found and found <= now:
            known = found
        else:
            known, late = following, middle
    return known, missed, next_due(rule, plan, known)


def _after(rule: Rule, plan: Plan, due: float) -> Iterator[float]:
    while due := next_due(rule, plan, due):
        yield due
