"""What operators set: pauses of queues, types and tags; settings of single queues."""

from msgspec import UNSET

from taskqueue_ray.core.aside import Pause as What
from taskqueue_ray.core.commands import Configure, Pause, Resume
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.events import Configured, Event, Paused, Resumed
from taskqueue_ray.core.limits import set_of_queue
from taskqueue_ray.core.model import MAX_UNITS, QueueSettings
from taskqueue_ray.core.naming import check_label, check_name, check_type_name
from taskqueue_ray.core.retention import check_retention
from taskqueue_ray.core.state import State

_CHECKS = {"queue": check_name, "type": check_type_name, "tag": check_label}
MIN_WEIGHT, MAX_WEIGHT = 0.1, 1_000.0


def decide_pause(state: State, command: Pause, now: float) -> tuple[list[Event], bool]:
    """Begin a pause; False when there is one already."""
    what = _check(command.kind, command.name)
    if what in state.pauses:
        return [], False
    return [Paused(now, *what)], True


def decide_resume(state: State, command: Resume, now: float) -> tuple[list[Event], bool]:
    """End a pause; False when there is none."""
    what = _check(command.kind, command.name)
    if what not in state.pauses:
        return [], False
    return [Resumed(now, *what)], True


def decide_configure(
    state: State, command: Configure, now: float
) -> tuple[list[Event], QueueSettings]:
    """Set what a queue has of its own; the answer is what holds then."""
    check_name("queue", command.queue)
    known = state.settings.get(command.queue, QueueSettings())
    settings = QueueSettings(
        known.max_depth if command.max_depth is UNSET else command.max_depth,
        known.weights if command.weights is UNSET else command.weights,
        known.retention if command.retention is UNSET else command.retention,
        known.concurrency if command.concurrency is UNSET else command.concurrency,
    )
    if settings.max_depth is not None and settings.max_depth < 0:
        raise InvalidOption("max_depth", str(settings.max_depth), "a whole number from 0")
    if settings.concurrency is not None and not 1 <= settings.concurrency <= MAX_UNITS:
        accepts = "a whole number from 1; to start nothing, pause the queue"
        raise InvalidOption("concurrency", str(settings.concurrency), accepts)
    for key, weight in settings.weights.items():
        if not MIN_WEIGHT <= weight <= MAX_WEIGHT:
            accepts = f"numbers from {MIN_WEIGHT} to {MAX_WEIGHT:g}"
            raise InvalidOption("weights", f"{key!a}: {weight}", accepts)
    if settings.retention is not None:
        check_retention(settings.retention)
    if known == settings:
        return [], settings
    return [Configured(now, command.queue, settings)], settings


def apply_paused(state: State, event: Paused) -> None:
    """Such jobs are not leased from now on; those in hand go on."""
    what = What(event.kind, event.name)
    state.pauses[what] = event.at
    state.ready.pause(what)


def apply_resumed(state: State, event: Resumed) -> None:
    """Such jobs are leased again."""
    what = What(event.kind, event.name)
    state.pauses.pop(what, None)
    state.ready.resume(what)


def apply_configured(state: State, event: Configured) -> None:
    """From now on these are the settings of the queue."""
    state.settings[event.queue] = event.settings
    state.ready.weigh(event.queue, event.settings.weights)
    set_of_queue(state, event.queue, event.settings.concurrency)


def _check(kind: str, name: str) -> What:
    check = _CHECKS.get(kind)
    if check is None:
        raise InvalidOption("kind", ascii(kind)[:80], "'queue', 'type' or 'tag'")
    return What(kind, check(kind, name))
