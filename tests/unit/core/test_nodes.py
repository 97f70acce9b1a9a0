"""What is said of nodes: which one is meant, and what holds for it."""

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.errors import InvalidOption, UnknownNode
from taskqueue_ray.core.model import Registration
from taskqueue_ray.core.nodes import NodeSight, abilities, find, standing
from tests.ledger import Ledger

HEAD = NodeSight("aaaa1111", address="10.0.0.1", host="head", port=6001, resources={"CPU": 4})
BOX = NodeSight(
    "bbbb2222", address="10.0.0.2", host="box", port=6002, resources={"GPU": 2, "CPU": 8},
    labels={"zone": "a"},
)  # fmt: skip
TWIN = NodeSight("bbcc3333", address="10.0.0.2", host="box", port=6003)
DEAD = NodeSight("dddd4444", alive=False, address="10.0.0.1", host="head")
ALL = [HEAD, BOX, TWIN, DEAD]


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("aaaa1111", HEAD), ("aaaa", HEAD), ("AAAA1", HEAD), ("10.0.0.1", HEAD), ("head", HEAD),
        ("10.0.0.2:6003", TWIN), ("bbbb", BOX), ("dddd4444", DEAD), ("dddd", DEAD),
        ("gpu-box", BOX),
    ],
)  # fmt: skip
def test_one_node_is_meant(name: str, node: NodeSight) -> None:
    said = {"gpu-box": Registration("10.0.0.2", 6002)}
    assert find(name, ALL, said) is node


@pytest.mark.parametrize("name", ["nowhere", "aaa", "", "10.0.0.9", "10.0.0.2:1"])
def test_none_is_meant(name: str) -> None:
    with pytest.raises(UnknownNode, match="no node of the Ray cluster"):
        find(name, ALL, {})


@pytest.mark.parametrize("name", ["10.0.0.2", "box"])
def test_several_are_meant(name: str) -> None:
    with pytest.raises(UnknownNode, match="several nodes"):
        find(name, ALL, {})


def test_what_holds_for_a_node() -> None:
    ledger = Ledger()
    ledger.do(commands.RegisterNode("any", Registration("10.0.0.2", 0, ("ssd",), 2.0)))
    ledger.do(commands.RegisterNode("gpu-box", Registration("10.0.0.2", 6002, ("fast",), 3.0)))
    ledger.do(commands.SetNodeMode("bbbb2222", "cordoned"))
    state = ledger.replayed()
    box, twin, head = (standing(state, one) for one in (BOX, TWIN, HEAD))
    assert (box.name, box.mode, box.weight) == ("gpu-box", "cordoned", 3.0)
    assert (twin.name, twin.mode, twin.capabilities) == ("any", "open", ("ssd",))
    assert (head.name, head.mode, head.weight) == ("", "open", 1.0)
    assert ledger.do(commands.SetNodeMode("bbbb2222", "open")) is True
    assert ledger.do(commands.SetNodeMode("bbbb2222", "open")) is False
    assert ledger.do(commands.ForgetNode("gpu-box")) is True
    assert standing(ledger.state, BOX).name == "any"
    assert not ledger.state.premises.nodes


def test_what_a_node_can_be_asked_for() -> None:
    assert abilities(BOX, ["ssd"]) == {"ssd", "GPU", "gpu", "CPU", "cpu", "zone=a"}


@pytest.mark.parametrize(
    "wrong",
    [
        Registration(weight=0), Registration(weight=-1), Registration(weight=float("nan")),
        Registration(port=-1), Registration(port=70_000), Registration(capabilities=("",)),
        Registration(capabilities=tuple(map(str, range(65)))), Registration("a\nb"),
    ],
)  # fmt: skip
def test_what_cannot_be_said(wrong: Registration) -> None:
    ledger = Ledger()
    with pytest.raises(InvalidOption):
        ledger.do(commands.RegisterNode("box", wrong))
    with pytest.raises(InvalidOption):
        ledger.do(commands.SetNodeMode("x", "broken"))  # type: ignore[arg-type]  # on purpose
    assert not ledger.state.premises
