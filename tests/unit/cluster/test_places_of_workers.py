"""Nodes as Ray tells of them, and where a worker goes in words of Ray."""

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from taskqueue_ray.cluster.admission import options_of
from taskqueue_ray.cluster.nodes import sight_of
from taskqueue_ray.core.nodes import NodeSight
from taskqueue_ray.core.placement import Spot

TOLD = {
    "NodeID": "ab12", "Alive": True, "NodeManagerAddress": "10.0.0.1", "NodeName": "n",
    "NodeManagerHostname": "box", "NodeManagerPort": 7, "Labels": {"zone": "a"},
    "Resources": {"CPU": 2.0, "node:10.0.0.1": 1.0, "node:__internal_head__": 1.0},
}  # fmt: skip


def test_a_node_as_ray_tells_of_it() -> None:
    free = {"ab12": {"CPU": 0.5, "node:10.0.0.1": 1.0}}
    sight = sight_of(TOLD, free, {"ab12": 1_700_000_000_000})
    assert sight == NodeSight(
        "ab12", True, "10.0.0.1", "box", "n", 7, {"CPU": 2.0}, {"CPU": 0.5}, {"zone": "a"},
        draining=True, drain_by=1_700_000_000.0, is_head=True,
    )  # fmt: skip


def test_a_drain_without_an_end() -> None:
    sight = sight_of(TOLD, {}, {"ab12": (1 << 63) - 1})
    assert (sight.draining, sight.drain_by) == (True, 0.0)
    assert not sight_of(TOLD, {}, {}).draining


def test_a_dead_node_has_nothing() -> None:
    sight = sight_of({"NodeID": "ab12", "Alive": False}, {}, {})
    assert (sight.alive, sight.resources, sight.available) == (False, {}, {})


def test_a_worker_goes_where_it_is_told_or_where_ray_likes() -> None:
    options = options_of(Spot("ab12" * 14, ("cd34", "ef56")))
    strategy = options["scheduling_strategy"]
    assert isinstance(strategy, NodeAffinitySchedulingStrategy)
    assert (strategy.node_id, strategy.soft) == ("ab12" * 14, True)
    assert options["label_selector"] == {"ray.io/node-id": "!in(cd34,ef56)"}
    assert options_of(Spot("", (), spread=True)) == {"scheduling_strategy": "SPREAD"}
    assert options_of(Spot()) == {}
