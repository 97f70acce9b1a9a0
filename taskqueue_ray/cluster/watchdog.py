"""When a worker kills one of its executors, and on whose account. Nothing here acts."""

from taskqueue_ray.cluster.executor_slot import Charge, ExecutorSlot

ASYNC_GRACE = 1.0
"""Seconds that a coroutine has to end after its timeout has cancelled it."""

BLOCKED = 0.5
"""Seconds that a step of a coroutine may take before others' delays are its fault."""

FROZEN = 30.0
"""Seconds that an executor may have work and begin nothing."""


def charges(slot: ExecutorSlot, now: float) -> dict[int, Charge]:
    """The runs, by ordinal, for whose sake the executor is to be killed now; mostly none."""
    overdue = _overdue(slot, now)
    stage = slot.on_stage()
    if overdue and slot.kind == "async" and stage and now - stage.began > BLOCKED:
        # The one on the loop keeps the others from ending: it alone is to blame.
        return {stage.ordinal: overdue.get(stage.ordinal, "blocked")}
    return overdue


def is_frozen(slot: ExecutorSlot, now: float) -> bool:
    """Whether the executor has had work for long and runs nothing."""
    return bool(slot.held) and now - slot.moved > FROZEN and not slot.running()


def suspects(slot: ExecutorSlot) -> dict[int, Charge]:
    """The runs to blame for an end that came by itself.

    That is the one on the main thread, or all of its call. When an event loop was between two steps
    (its jobs' threads go on meanwhile), it can be any of those that had begun.
    """
    stage = slot.on_stage()
    if stage is not None and slot.kind == "async":
        return {stage.ordinal: "exit"}
    return {mark.ordinal: "exit" for mark, _ in slot.running()}


def _overdue(slot: ExecutorSlot, now: float) -> dict[int, Charge]:
    grace = ASYNC_GRACE if slot.kind == "async" else 0.0
    found: dict[int, Charge] = {}
    running = slot.running()
    # Of the jobs of one call none is killed for another's sake: it is let go on for the rest.
    cancellable = slot.kind == "async" or all(
        ticket.cancel_by and now >= ticket.cancel_by for _, ticket in running
    )
    for mark, ticket in running:
        if cancellable and ticket.cancel_by and now >= ticket.cancel_by:
            found[mark.ordinal] = "cancel"
        elif now - mark.began >= ticket.options.timeout + grace:
            found[mark.ordinal] = "timeout"
    return found
