"""Strategies: on which node the next worker goes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue_ray.core import commands
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import Strategy
from taskqueue_ray.core.placement import STRATEGIES, Seat, Spot, able, choose, place
from tests.ledger import Ledger

FREE = {"CPU": 100.0}


def _placed(strategy: Strategy, seats: list[Seat], count: int) -> Counter[str]:
    """Where so many workers go, one after another."""
    workers = Counter({seat.id: seat.workers for seat in seats})
    for turn in range(count):
        now = [Seat(s.id, s.free, workers[s.id], s.connections, s.weight, s.is_open) for s in seats]
        chosen = choose(strategy, now, {"CPU": 1}, turn)
        assert chosen is not None
        workers[chosen] += 1
    return workers


def test_round_robin_gives_each_its_turn() -> None:
    seats = [Seat(name, FREE, connections=9 * (name == "a")) for name in "cab"]
    assert _placed("round_robin", seats, 7) == {"a": 3, "b": 2, "c": 2}


def test_least_connections_goes_where_least_is_done() -> None:
    seats = [Seat("a", FREE, 1, 5), Seat("b", FREE, 1, 0), Seat("c", FREE, 4, 0)]
    assert choose("least_connections", seats, {}, 0) == "b"
    assert _placed("least_connections", [Seat(n, FREE) for n in "ab"], 6) == {"a": 3, "b": 3}


def test_weighted_is_in_proportion() -> None:
    seats = [Seat("a", FREE, weight=3), Seat("b", FREE, weight=1), Seat("c", FREE, weight=2)]
    assert _placed("weighted", seats, 60) == {"a": 30, "b": 10, "c": 20}


def test_what_has_no_room_or_is_closed_gets_nothing() -> None:
    full, closed = Seat("a", {"CPU": 0.5}), Seat("b", FREE, is_open=False)
    for strategy in STRATEGIES:
        assert choose(strategy, [full, closed], {"CPU": 1}, 0) is None
        assert choose(strategy, [full, closed, Seat("c", FREE)], {"CPU": 1}, 5) == "c"
    assert choose("weighted", [Seat("a", FREE)], {"license": 1}, 0) is None


def test_what_nobody_has_room_for_is_left_to_ray() -> None:
    seats = [Seat("a", {"CPU": 0}), Seat("b", FREE, is_open=False)]
    assert place("round_robin", seats, {"CPU": 1}, 0) == Spot("", ("b",), False)


def test_ray_spreads_and_packs() -> None:
    seats = [Seat("a", FREE), Seat("b", FREE, is_open=False)]
    assert place("spread", seats, {}, 0) == Spot("", ("b",), True)
    assert place("pack", seats, {}, 0) == Spot("", ("b",), False)
    busy = [Seat("a", FREE, workers=2), Seat("b", FREE, workers=1)]
    assert (choose("spread", busy, {}, 0), choose("pack", busy, {}, 0)) == ("b", "a")


def test_capabilities_are_all_asked_for() -> None:
    seats = [
        Seat("a", FREE, abilities=frozenset(("gpu", "ssd"))),
        Seat("b", FREE, abilities=frozenset(("ssd",))),
    ]
    assert [seat.id for seat in able(seats, ["ssd"])] == ["a", "b"]
    assert [seat.id for seat in able(seats, ["ssd", "gpu"])] == ["a"]
    assert able(seats, ["tape"]) == []


seats = st.lists(
    st.builds(
        Seat,
        st.text("abc", min_size=1, max_size=3),
        st.fixed_dictionaries({"CPU": st.floats(0, 4)}),
        st.integers(0, 9),
        st.integers(0, 9),
        st.floats(0.01, 1000),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda seat: seat.id,
)


@given(st.sampled_from(STRATEGIES), seats, st.floats(0, 4), st.integers(0, 1000), st.randoms())
def test_the_choice_is_open_has_room_and_does_not_hang_on_the_order(
    strategy: Strategy, given_seats: list[Seat], cpus: float, turn: int, chance: object
) -> None:
    chosen = choose(strategy, given_seats, {"CPU": cpus}, turn)
    fitting = {s.id for s in given_seats if s.is_open and s.free["CPU"] >= cpus}
    assert chosen in fitting if fitting else chosen is None
    assert choose(strategy, given_seats[::-1], {"CPU": cpus}, turn) == chosen


def test_the_strategy_is_a_fact() -> None:
    ledger = Ledger()
    assert ledger.do(commands.SetStrategy("weighted")) == "weighted"
    assert ledger.replayed().premises.strategy == "weighted"
    with pytest.raises(InvalidOption, match="round_robin"):
        ledger.do(commands.SetStrategy("fastest"))


def test_a_worker_that_asks_for_labels_goes_where_they_are() -> None:
    seats = [Seat("a", FREE, labels={"zone": "x"}), Seat("b", FREE, 5, labels={"zone": "y"})]
    assert place("least_connections", seats, {"CPU": 1}, 0) == Spot("a")
    assert place("least_connections", seats, {"CPU": 1}, 0, [("zone", "y")]) == Spot("b")
    assert place("least_connections", seats, {"CPU": 1}, 0, [("zone", "z")]) == Spot("")
