"""Promote: scheduled jobs become pending when their time has come."""

from itertools import islice

from taskqueue_ray.core.events import Event, Promoted
from taskqueue_ray.core.lifecycle import PROMOTE
from taskqueue_ray.core.state import State

PORTION = 5_000
"""Jobs that become ready in one step, about, so that a million that are due hold nothing up."""


def decide(state: State, now: float) -> list[Event]:
    """One event for what is due. Nothing is due early: `now` is the queue's clock."""
    if not state.due(now):
        return []
    last = next(islice(state.delayed, PORTION, None), None)
    return [Promoted(now if last is None else min(now, last[0]))]


def apply(state: State, event: Promoted) -> None:
    """Move every job that was due at `until` into line."""
    while state.due(event.until):
        *_, job = state.delayed.pop()
        state.move(job, PROMOTE)
        state.wait(job, 0.0)
