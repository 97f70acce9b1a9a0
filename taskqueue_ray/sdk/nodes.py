"""`q.nodes` and `q.load_balancer`: the nodes of the cluster, and which of them workers go to."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import NodeMode, Registration, Strategy
from taskqueue_ray.core.naming import check_label
from taskqueue_ray.core.nodes import NodeView
from taskqueue_ray.core.placement import check_strategy
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.records import moment
from taskqueue_ray.sdk.requests import Ask
from taskqueue_ray.sdk.tables import RecordList

SHORT = 12
"""Characters of a node's id that tables show; they may stand for it."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node at the moment of asking. `id` is Ray's, "" for one that was only registered.

    `state` is `alive`, `draining` (by us or by Ray), `cordoned`, `fenced`, `dead`, or `absent`.
    `memory_used` and `memory_total` are bytes as a worker there measured them, 0 without one.
    """

    id: str
    name: str
    address: str
    port: int
    host: str
    state: str
    since: datetime | None
    weight: float
    capabilities: tuple[str, ...]
    resources: dict[str, float]
    available: dict[str, float]
    labels: dict[str, str]
    workers: tuple[str, ...]
    running: int
    held: int
    memory_used: int
    memory_total: int
    last_seen: datetime | None

    @staticmethod
    def of(view: NodeView) -> "NodeRecord":
        """The record of a view."""
        return NodeRecord(
            view.id, view.name, view.address, view.port, view.host, _state(view),
            moment(view.since), view.weight, view.capabilities, view.resources, view.available,
            view.labels, tuple(view.workers), view.running, view.held, view.memory_used,
            view.memory_total, moment(view.seen_at),
        )  # fmt: skip

    def row(self) -> dict[str, Any]:
        """What a table shows of it."""
        return {
            "node": self.id[:SHORT] or self.name,
            "name": self.name,
            "state": self.state,
            "address": f"{self.address}:{self.port}" if self.port else self.address,
            "host": self.host,
            "cpus": self.resources.get("CPU"),
            "gpus": self.resources.get("GPU"),
            "workers": len(self.workers),
            "running": self.running,
            "memory": f"{self.memory_used / self.memory_total:.0%}" if self.memory_total else None,
            "weight": self.weight,
            "capabilities": ", ".join(self.capabilities),
            "last_seen": self.last_seen,
        }


def _state(view: NodeView) -> str:
    if not view.id:
        return "absent"
    if not view.alive and view.seen_at:
        return "dead"
    if view.mode != "open":
        return view.mode
    return "draining" if view.draining else "alive"


class Nodes:
    """Ray's nodes, live, and what is set for them. A node goes by its id, the beginning of one, its
    registered name, its address, or its host; `UnknownNode` is raised for one that is not there.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def list(self) -> RecordList[NodeRecord]:
        """All nodes: the living first, then those that died lately, or are only registered."""
        return RecordList(map(NodeRecord.of, self._ask(requests.nodes())))

    def get(self, node: str) -> NodeRecord:
        """One node."""
        return NodeRecord.of(self._ask(requests.node(_name(node))))

    def register(
        self,
        name: str,
        *,
        address: str = "",
        port: int = 0,
        capabilities: Iterable[str] = (),
        weight: float = 1.0,
    ) -> Registration:
        """Say more of a node than Ray knows, in place of what was said under this name.

        It means the node at `address` (an IP or a host name; with `port`, the one whose Ray
        listens there), or without one the node whose id, address or host is `name`. It may come
        later. `capabilities` are words of your own for `select_node`; a node has its resources
        and labels as such too. `weight` (0.01 to 1000) is for the strategy `weighted`.

        >>> q.nodes.register("gpu-box", address="10.0.0.7", capabilities=["ssd"])  # doctest: +SKIP
        """
        given = Registration(
            _text("address", address),
            _port(port),
            _capabilities(capabilities),
            _weight(weight),
        )
        found: Registration = self._ask(requests.register_node(_name(name), given))
        return found

    def unregister(self, name: str) -> bool:
        """Take that back; False when nothing was said of it."""
        found: bool = self._ask(requests.forget_node(_name(name)))
        return found

    def cordon(self, node: str) -> NodeRecord:
        """No more jobs and no new workers for a node; what runs there goes on."""
        return self._set(node, "cordoned")

    def drain(self, node: str, *, within: Duration | None = None) -> NodeRecord:
        """Cordon a node and have its workers leave: they give back at once what has not begun,
        and what still runs after `within` (else after their own 30 s), without an attempt counted.
        """
        seconds = 0.0 if within is None else parse_duration(within, "within")
        return self._set(node, "draining", seconds)

    def readmit(self, node: str) -> NodeRecord:
        """Take back a cordon, a drain or a fence: the node gets jobs and workers again."""
        return self._set(node, "open")

    async def alist(self) -> RecordList[NodeRecord]:
        """`list` for async code."""
        return await asyncio.to_thread(self.list)

    async def aget(self, node: str) -> NodeRecord:
        """`get` for async code."""
        return await asyncio.to_thread(self.get, node)

    async def aregister(self, name: str, **given: Any) -> Registration:
        """`register` for async code."""
        return await asyncio.to_thread(lambda: self.register(name, **given))

    async def aunregister(self, name: str) -> bool:
        """`unregister` for async code."""
        return await asyncio.to_thread(self.unregister, name)

    async def acordon(self, node: str) -> NodeRecord:
        """`cordon` for async code."""
        return await asyncio.to_thread(self.cordon, node)

    async def adrain(self, node: str, *, within: Duration | None = None) -> NodeRecord:
        """`drain` for async code."""
        return await asyncio.to_thread(lambda: self.drain(node, within=within))

    async def areadmit(self, node: str) -> NodeRecord:
        """`readmit` for async code."""
        return await asyncio.to_thread(self.readmit, node)

    def _set(self, node: str, mode: NodeMode, within: float = 0.0) -> NodeRecord:
        return NodeRecord.of(self._ask(requests.set_node_mode(_name(node), mode, within)))


class LoadBalancer:
    """How nodes are chosen for workers, and for whoever asks. Stored with the queue.

    `least_connections` (the default) takes the node with the fewest jobs and workers, `round_robin`
    each in turn, `weighted` by their weights; `spread` and `pack` leave it to Ray, which uses many
    nodes or few. None of them takes a node that is cordoned, draining or fenced.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    @property
    def strategy(self) -> Strategy:
        """The strategy that holds. May be set."""
        found: Strategy = self._ask(requests.strategy())
        return found

    @strategy.setter
    def strategy(self, value: str) -> None:
        self.set_strategy(value)

    def set_strategy(self, strategy: str) -> Strategy:
        """Place workers that start from now on by another strategy."""
        found: Strategy = self._ask(requests.set_strategy(check_strategy(strategy)))
        return found

    def select_node(self, capabilities: Iterable[str] = ()) -> NodeRecord:
        """An open node that has all of these, by the strategy. Raises `UnknownCapability`.

        A capability is a word of a registration, a resource of Ray, or a label as `name=value`.

        >>> q.load_balancer.select_node(["gpu", "ssd"]).address  # doctest: +SKIP
        """
        wanted = list(_capabilities(capabilities))
        return NodeRecord.of(self._ask(requests.select_node(wanted)))

    async def aset_strategy(self, strategy: str) -> Strategy:
        """`set_strategy` for async code."""
        return await asyncio.to_thread(self.set_strategy, strategy)

    async def aselect_node(self, capabilities: Iterable[str] = ()) -> NodeRecord:
        """`select_node` for async code."""
        return await asyncio.to_thread(self.select_node, capabilities)


def _name(value: object) -> str:
    return check_label("node", getattr(value, "id", None) or value)


def _text(option: str, value: object) -> str:
    return check_label(option, value) if value != "" else ""


def _capabilities(value: object) -> tuple[str, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidOption("capabilities", ascii(value)[:80], "a list of words")
    return tuple(dict.fromkeys(check_label("capabilities", one) for one in value))


def _port(value: object) -> int:
    if type(value) is not int:
        raise InvalidOption("port", ascii(value)[:80], "0 (any) to 65535")
    return value


def _weight(value: object) -> float:
    if type(value) not in (int, float):
        raise InvalidOption("weight", ascii(value)[:80], "a number from 0.01 to 1000")
    return float(value)  # type: ignore[arg-type]  # it is one of the two
