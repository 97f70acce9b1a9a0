"""Which concern decides a command, and which applies an event.

`decide` changes nothing and may refuse with a `TaskQueueError`; `apply` never refuses and is the
only way in which state changes. Live operation, recovery, compaction and the simulator all run
this same `apply`.
"""

from typing import Any, NamedTuple, assert_never

from taskqueue_ray.core import (
    cancelling,
    commands,
    dependencies,
    enqueueing,
    events,
    leasing,
    promoting,
    settling,
    upkeep,
)
from taskqueue_ray.core.model import Receipt
from taskqueue_ray.core.state import State


class Decision(NamedTuple):
    """What is to happen, and the answer to whoever asked."""

    events: list[events.Event]
    reply: Any = None


def decide(state: State, command: commands.Command, now: float) -> Decision:
    """What follows from a command in this state. Raises a `TaskQueueError` to refuse it."""
    match command:
        case commands.Enqueue():
            return Decision(*enqueueing.decide(state, command, now))
        case commands.Settle():
            return Decision(*settling.decide(state, command, now))
        case commands.Lease():
            return Decision(leasing.decide_lease(state, command, now))
        case commands.Start():
            return Decision(leasing.decide_start(state, command, now))
        case commands.Release():
            return Decision(leasing.decide_release(state, command, now))
        case commands.Lose():
            return Decision(leasing.decide_lose(state, command, now))
        case commands.Promote():
            return Decision(promoting.decide(state, now))
        case commands.Cancel():
            return Decision(*cancelling.decide(state, command, now))
        case commands.Redrive():
            return Decision(*upkeep.decide_redrive(state, command, now))
        case commands.Purge():
            return Decision(*upkeep.decide_purge(state, command, now))
        case commands.StoreCode():
            return Decision(upkeep.decide_store_code(state, command))
        case commands.Fold():
            return Decision(upkeep.decide_fold(state, command, now))
        case _:
            assert_never(command)


def apply(state: State, event: events.Event) -> None:
    """Make the event a fact."""
    at = time_of(event)
    if at > state.at:
        state.at = at
    _apply(state, event)
    if state.ended:
        dependencies.apply_ended(state, state.at)


def _apply(state: State, event: events.Event) -> None:
    match event:
        case events.Enqueued():
            enqueueing.apply(state, event)
        case events.Leased():
            leasing.apply_leased(state, event)
        case events.Settled():
            settling.apply(state, event)
        case events.Started():
            leasing.apply_started(state, event)
        case events.Promoted():
            promoting.apply(state, event)
        case events.Released():
            leasing.apply_released(state, event)
        case events.Lost():
            leasing.apply_lost(state, event)
        case events.Cancelled():
            cancelling.apply(state, event)
        case events.Redriven():
            upkeep.apply_redriven(state, event)
        case events.Purged():
            upkeep.apply_purged(state, event)
        case events.CodeStored():
            upkeep.apply_code_stored(state, event)
        case events.Marked():
            upkeep.apply_marked(state, event)
        case events.Folded():
            upkeep.apply_folded(state, event)
        case events.Received():
            state.receipts[event.command] = Receipt(event.at, event.reply)
        case events.Opened():
            state.epoch = event.epoch
        case _:
            assert_never(event)


def time_of(event: events.Event) -> float:
    """When the event happened; 0 for those that carry no time."""
    if isinstance(event, events.Promoted):
        return event.until
    return getattr(event, "at", 0.0)
