"""What operators say of nodes: their names, weights and abilities, and which get no jobs."""

import math
from collections.abc import Iterable, Mapping

import msgspec

from taskqueue_ray.core.commands import ForgetNode, RegisterNode, SetNodeMode
from taskqueue_ray.core.errors import InvalidOption, UnknownNode
from taskqueue_ray.core.events import Event, NodeConfigured, NodeForgotten, NodeRegistered
from taskqueue_ray.core.model import NodeMode, NodeRule, Registration
from taskqueue_ray.core.naming import check_label
from taskqueue_ray.core.state import State

MIN_WEIGHT, MAX_WEIGHT = 0.01, 1_000.0
MAX_CAPABILITIES = 64
MAX_NODES = 10_000
LEAST_PREFIX = 4
"""Characters of a node's id that may stand for it."""

MODES: tuple[NodeMode, ...] = ("open", "cordoned", "draining", "fenced")


class NodeSight(msgspec.Struct, frozen=True):
    """A node as Ray sees it. `drain_by` is the time at which Ray ends it (0: it does not).

    `draining` says that Ray drains it, with a known end or without.
    """

    id: str
    alive: bool = True
    address: str = ""
    host: str = ""
    name: str = ""
    port: int = 0
    resources: dict[str, float] = {}
    available: dict[str, float] = {}
    labels: dict[str, str] = {}
    draining: bool = False
    drain_by: float = 0.0
    is_head: bool = False


class NodeView(msgspec.Struct, frozen=True):
    """A node: as Ray sees it, as operators have set it, and what workers do on it.

    `id` is "" for one that was registered and that Ray does not show.
    """

    id: str
    name: str
    address: str
    host: str
    port: int
    alive: bool
    mode: NodeMode
    since: float
    draining: bool
    weight: float
    capabilities: tuple[str, ...]
    resources: dict[str, float]
    available: dict[str, float]
    labels: dict[str, str]
    workers: list[str]
    running: int
    held: int
    memory_used: int
    memory_total: int
    seen_at: float


class Standing(msgspec.Struct, frozen=True):
    """What operators have set for a node, whichever way they named it."""

    name: str = ""
    mode: NodeMode = "open"
    since: float = 0.0
    weight: float = 1.0
    capabilities: tuple[str, ...] = ()


def standing(state: State, node: NodeSight) -> Standing:
    """All that is set for one node."""
    rule = state.premises.nodes.get(node.id)
    found = registration_of(state.premises.registrations, node)
    name, one = found or ("", Registration())
    mode, since = (rule.mode, rule.at) if rule else ("open", 0.0)
    return Standing(name, mode, since, one.weight, one.capabilities)


def registration_of(
    registrations: Mapping[str, Registration], node: NodeSight
) -> tuple[str, Registration] | None:
    """The registration that means this node, with its name. One that names its port goes first."""
    fitting = [(name, one) for name, one in registrations.items() if _means(name, one, node)]
    return max(fitting, key=lambda found: (found[1].port, found[0]), default=None)


def _means(name: str, one: Registration, node: NodeSight) -> bool:
    if one.port and one.port != node.port:
        return False
    if one.address:
        return one.address in (node.address, node.host)
    return name in (node.id, node.name, node.address, node.host) or (
        len(name) >= LEAST_PREFIX and node.id.startswith(name)
    )


def find(
    name: str, nodes: Iterable[NodeSight], registrations: Mapping[str, Registration]
) -> NodeSight:
    """The one node of that id, beginning of an id, name, address, `address:port` or host.

    A living node goes before one that has died. Raises `UnknownNode`, also when several fit.
    """
    known = list(nodes)
    for among in ([one for one in known if one.alive], known):
        for fits in (_by_id, _by_name, _by_prefix):
            found = [one for one in among if fits(name, one, registrations)]
            if len(found) == 1:
                return found[0]
            if found:
                raise UnknownNode(name, [one.id for one in found], "is the name of several nodes")
    raise UnknownNode(name, sorted(one.id for one in known if one.alive))


def _by_id(name: str, node: NodeSight, _registrations: Mapping[str, Registration]) -> bool:
    return node.id == name


def _by_name(name: str, node: NodeSight, registrations: Mapping[str, Registration]) -> bool:
    if name and name in (node.name, node.address, node.host, f"{node.address}:{node.port}"):
        return True
    found = registration_of(registrations, node)
    return found is not None and found[0] == name


def _by_prefix(name: str, node: NodeSight, _registrations: Mapping[str, Registration]) -> bool:
    return len(name) >= LEAST_PREFIX and node.id.startswith(name.lower())


def abilities(node: NodeSight, capabilities: Iterable[str]) -> frozenset[str]:
    """All that a node can be asked for: registered capabilities, resources it has, its labels.

    Resources count in lower case too (`gpu`), labels as `name=value`.
    """
    has = {name for name, amount in node.resources.items() if amount > 0}
    labels = {f"{name}={value}" for name, value in node.labels.items()}
    return frozenset((*capabilities, *has, *(name.lower() for name in has), *labels))


def decide_register(
    state: State, command: RegisterNode, now: float
) -> tuple[list[Event], Registration]:
    """Say more of a node than Ray knows; the answer is what holds then."""
    one = command.registration
    check_label("node", command.name)
    if not math.isfinite(one.weight) or not MIN_WEIGHT <= one.weight <= MAX_WEIGHT:
        accepts = f"numbers from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}"
        raise InvalidOption("weight", f"{one.weight:g}", accepts)
    if not 0 <= one.port < 65536:
        raise InvalidOption("port", str(one.port), "0 (any) to 65535")
    if one.address:
        check_label("address", one.address)
    if len(one.capabilities) > MAX_CAPABILITIES:
        raise InvalidOption(
            "capabilities", f"{len(one.capabilities)} of them", f"at most {MAX_CAPABILITIES}"
        )
    for capability in one.capabilities:
        check_label("capabilities", capability)
    if (
        command.name not in state.premises.registrations
        and len(state.premises.registrations) >= MAX_NODES
    ):
        raise InvalidOption("node", "one more registration", f"at most {MAX_NODES:,} of them")
    if state.premises.registrations.get(command.name) == one:
        return [], one
    return [NodeRegistered(now, command.name, one)], one


def decide_forget(state: State, command: ForgetNode, now: float) -> tuple[list[Event], bool]:
    """Drop a registration; False when there is none."""
    if command.name not in state.premises.registrations:
        return [], False
    return [NodeForgotten(now, command.name)], True


def decide_mode(state: State, command: SetNodeMode, now: float) -> tuple[list[Event], bool]:
    """Say what a node may get; False when that is so already. `node` is the id that Ray gave it."""
    if command.mode not in MODES:
        raise InvalidOption("mode", ascii(command.mode)[:80], ", ".join(MODES))
    check_label("node", command.node)
    known = state.premises.nodes.get(command.node)
    if (known.mode if known else "open") == command.mode:
        return [], False
    return [NodeConfigured(now, command.node, command.mode)], True


def apply_registered(state: State, event: NodeRegistered) -> None:
    """From now on this is what is said of it."""
    state.premises.registrations[event.name] = event.registration


def apply_forgotten(state: State, event: NodeForgotten) -> None:
    """From now on nothing is said of it."""
    state.premises.registrations.pop(event.name, None)


def apply_configured(state: State, event: NodeConfigured) -> None:
    """From now on the node gets what its mode allows. The oldest of too many is forgotten.

    An id is never given to another node, so a rule outlives its node for nobody's sake.
    """
    state.premises.nodes.pop(event.node, None)
    if event.mode != "open":
        state.premises.nodes[event.node] = NodeRule(event.mode, event.at)
    while len(state.premises.nodes) > MAX_NODES:
        del state.premises.nodes[next(iter(state.premises.nodes))]
