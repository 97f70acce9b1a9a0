"""`jobs redrive` and `jobs cancel`: the jobs that are named, or all that fit."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import typer

from taskqueue_ray.cli.failures import fail
from taskqueue_ray.cli.opening import client, reader
from taskqueue_ray.cli.render import clean, say
from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.sdk.client import TaskQueue


class Verb(NamedTuple):
    """What can be done to jobs: its words, which it is for, and how the SDK does it."""

    name: str
    past: str
    whom: str
    is_for: Callable[[JobState], bool]
    move: Callable[..., list[str]]
    move_all: Callable[..., list[str]]


REDRIVE = Verb(
    "redrive", "redrove", "failed", lambda state: state is JobState.FAILED,
    TaskQueue.redrive, TaskQueue.redrive_all,
)  # fmt: skip
CANCEL = Verb(
    "cancel", "cancelled", "unfinished", lambda state: not state.final,
    TaskQueue.cancel, TaskQueue.cancel_all,
)  # fmt: skip


class Chosen(NamedTuple):
    """Which jobs: these ids, or when there are none, all that fit what is wanted."""

    ids: list[str]
    wanted: dict[str, Any]


def choose(verb: Verb, ids: list[str] | None, wanted: Mapping[str, Any], *, all: bool) -> Chosen:
    """Raises `InvalidRequest` unless it is clear which jobs are meant, and that they can move."""
    filters = {name: value for name, value in wanted.items() if value is not None}
    if bool(ids) == all:
        raise InvalidRequest(f"name the ids of the jobs to {verb.name}, or say --all")
    if ids and filters:
        raise InvalidRequest(f"--{next(iter(filters))} goes with --all, not with ids")
    state = filters.get("state")
    if state is not None and not verb.is_for(state):
        raise InvalidRequest(f"{verb.name} is for {verb.whom} jobs; state {state} is not")
    return Chosen(list(dict.fromkeys(ids or ())), filters)


def look(verb: Verb, chosen: Chosen, settings: Settings) -> None:
    """Say how many would be moved; nothing is."""
    with reader(settings) as found:
        if chosen.ids:
            count = sum(verb.is_for(found.job(one).state) for one in chosen.ids)
        else:
            count = len(verb.move_all(found, **chosen.wanted, dry_run=True))
    say(f"would {verb.name} {jobs(count)}")


def carry_out(verb: Verb, chosen: Chosen, settings: Settings, *, yes: bool, **given: Any) -> None:
    """Move them, once the user has agreed to a move of all; `given` goes with the move."""
    if not chosen.ids:
        confirm(f"{verb.name.capitalize()} {_description(verb, chosen.wanted)}", yes=yes)
    with client(settings) as (found, _):
        if chosen.ids:
            moved = verb.move(found, *chosen.ids, **given)
        else:
            moved = verb.move_all(found, **chosen.wanted, **given)
    say(f"{verb.past} {jobs(len(moved))}")
    left = set(chosen.ids) - set(moved)
    if left:
        raise fail(f"not in a state to {verb.name}, or not known: {', '.join(sorted(left))}")


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless the user has said yes already."""
    if not yes:
        typer.confirm(f"{question}?", abort=True)


def jobs(count: int) -> str:
    """So many jobs, in words."""
    return f"{count:,} job{'' if count == 1 else 's'}"


def _description(verb: Verb, wanted: Mapping[str, Any]) -> str:
    filters = dict(wanted)
    words = [f"all {filters.pop('state', None) or verb.whom} jobs"]
    return clean(", ".join([*words, *(f"{name} {value}" for name, value in filters.items())]))
