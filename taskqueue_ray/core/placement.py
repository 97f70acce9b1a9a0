"""Where a new worker goes: on which node, by a strategy that is stored with the queue."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import get_args

import msgspec

from taskqueue_ray.core.commands import SetStrategy
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.events import Event, StrategySet
from taskqueue_ray.core.model import Strategy
from taskqueue_ray.core.state import State

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
DEFAULT: Strategy = "least_connections"
RAYS_OWN: frozenset[Strategy] = frozenset(("spread", "pack"))
"""Strategies that Ray carries out: it chooses the node, from those that are not closed."""


Selector = Iterable[tuple[str, str]]
"""Labels, and what Ray's label selectors say of each."""

_IN = re.compile(r"in\((.*)\)")


class Seat(msgspec.Struct, frozen=True):
    """A node as a place for workers. `connections` are jobs in hand there, `workers` those that are
    there or are starting; `is_open` is False where no new worker may go.
    """

    id: str
    free: dict[str, float]
    workers: int = 0
    connections: int = 0
    weight: float = 1.0
    is_open: bool = True
    abilities: frozenset[str] = frozenset()
    labels: dict[str, str] = {}


class Spot(msgspec.Struct, frozen=True):
    """Where a worker goes: to `node`, or ("") wherever Ray puts it, but to none of `closed`.

    `spread` asks Ray to use as many nodes as it can; otherwise Ray fills one before the next.
    """

    node: str = ""
    closed: tuple[str, ...] = ()
    spread: bool = False


def place(
    strategy: Strategy,
    seats: Sequence[Seat],
    wanted: Mapping[str, float],
    turn: int,
    selector: Selector = (),
) -> Spot:
    """Where the next worker goes, among nodes whose labels are as it asks.

    When no open node has room it is Ray's to wait for one.
    """
    closed = tuple(sorted(seat.id for seat in seats if not seat.is_open))
    if strategy in RAYS_OWN:
        return Spot("", closed, strategy == "spread")
    able_to = [seat for seat in seats if matches(selector, seat.labels)]
    return Spot(choose(strategy, able_to, wanted, turn) or "", closed)


def choose(
    strategy: Strategy, seats: Sequence[Seat], wanted: Mapping[str, float], turn: int
) -> str | None:
    """The node for one worker that needs `wanted` of Ray, or None when none has that free.

    `turn` counts the workers that were placed before. `spread` and `pack` answer as Ray
    would.

    >>> seats = [Seat("a", {"CPU": 2}, workers=3), Seat("b", {"CPU": 2}, workers=1)]
    >>> choose("least_connections", seats, {"CPU": 1}, 0), choose("round_robin", seats, {}, 2)
    ('b', 'a')
    """
    fitting = sorted(
        (seat for seat in seats if seat.is_open and _has_room(seat, wanted)),
        key=lambda seat: seat.id,
    )
    if not fitting:
        return None
    if strategy == "round_robin":
        return fitting[turn % len(fitting)].id
    return min(fitting, key=_ORDERS[strategy]).id


def able(seats: Sequence[Seat], capabilities: Collection[str]) -> list[Seat]:
    """The seats that have all that is asked for."""
    return [seat for seat in seats if seat.abilities.issuperset(capabilities)]


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether labels are as a selector of Ray says.

    >>> matches([("zone", "in(a, b)"), ("arch", "!arm")], {"zone": "b"})
    True
    """
    for name, wanted in selector:
        negated = wanted.startswith("!")
        inner = _IN.fullmatch(wanted.removeprefix("!"))
        values = [one.strip() for one in (inner[1].split(",") if inner else [wanted[negated:]])]
        if (labels.get(name) in values) is negated:
            return False
    return True


def _has_room(seat: Seat, wanted: Mapping[str, float]) -> bool:
    return all(seat.free.get(name, 0.0) >= amount for name, amount in wanted.items())


_ORDERS: Mapping[Strategy, Callable[[Seat], tuple[float, ...]]] = {
    "least_connections": lambda seat: (seat.connections + seat.workers, seat.workers),
    # The node that would be least full, for its weight, with one more.
    "weighted": lambda seat: ((seat.workers + 1) / seat.weight, -seat.weight),
    "spread": lambda seat: (seat.workers,),
    "pack": lambda seat: (-seat.workers,),
}


def check_strategy(value: object) -> Strategy:
    """One of the strategies, or `InvalidOption`."""
    for strategy in STRATEGIES:
        if value == strategy:
            return strategy
    raise InvalidOption("strategy", ascii(value)[:80], ", ".join(map(repr, STRATEGIES)))


def decide(state: State, command: SetStrategy, now: float) -> tuple[list[Event], Strategy]:
    """Place workers by a strategy from now on."""
    strategy = check_strategy(command.strategy)
    if strategy == (state.premises.strategy or DEFAULT):
        return [], strategy
    return [StrategySet(now, strategy)], strategy


def apply(state: State, event: StrategySet) -> None:
    """From now on it holds."""
    state.premises.strategy = event.strategy
