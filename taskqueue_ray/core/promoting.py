"""Promote: scheduled jobs become pending when their time has come."""

from heapq import heappop

from taskqueue_ray.core.events import Event, Promoted
from taskqueue_ray.core.lifecycle import PROMOTE
from taskqueue_ray.core.state import State


def decide(state: State, now: float) -> list[Event]:
    """One event for all that is due. Nothing is due early: `now` is the queue's clock."""
    return [Promoted(now)] if state.due(now) else []


def apply(state: State, event: Promoted) -> None:
    """Move every job that was due at `until` into line."""
    while state.due(event.until):
        *_, job = heappop(state.delayed)
        state.move(job, PROMOTE)
        state.wait(job, 0.0)
