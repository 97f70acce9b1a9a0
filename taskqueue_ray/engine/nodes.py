"""The nodes of the cluster as they are now, and what follows for the workers on them.

What operators have set is a fact; what Ray says of its nodes is told here every second or so and
is kept by nobody. A node that has died takes its workers along at once, one that Ray is about to
end has them give back their jobs while there is time.
"""

from collections.abc import Callable, Iterable

from taskqueue_ray.core import commands
from taskqueue_ray.core.errors import NodeFenced
from taskqueue_ray.core.exchange import WorkerInfo
from taskqueue_ray.core.model import NodeMode, Registration
from taskqueue_ray.core.nodes import NodeSight, NodeView, abilities, find, standing
from taskqueue_ray.core.placement import Seat
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.fleet import WorkerSession
from taskqueue_ray.engine.work import Work
from taskqueue_ray.engine.writepath import WritePath

PATIENCE = 30.0
"""Seconds that workers have to leave a node, if nobody says how many."""

MARGIN = 3.0
"""Seconds before the end of a node by which its workers have given everything back."""

MEMORY_OF_THE_DEAD = 3600.0
"""Seconds for which a node that has died is listed."""


class Nodes:
    """Nodes as Ray shows them, with what is set for each."""

    def __init__(self, path: WritePath, work: Work, lose: Callable[[str], object]) -> None:
        self._path = path
        self._work = work
        self._lose = lose
        self._sights: dict[str, NodeSight] = {}
        self._seen: dict[str, float] = {}

    # --- what Ray says --------------------------------------------------------------------

    def observe(self, sights: Iterable[NodeSight], now: float) -> list[str]:
        """Take in all nodes that Ray shows; says in words what that led to."""
        said = []
        for sight in sights:
            self._sights[sight.id] = sight
            if sight.alive:
                self._seen[sight.id] = now
            said += self._look_after(sight, now)
        for gone in [i for i in self._sights if self._seen.get(i, 0.0) < now - MEMORY_OF_THE_DEAD]:
            del self._sights[gone]
            self._seen.pop(gone, None)
        return said

    def _look_after(self, sight: NodeSight, now: float) -> list[str]:
        said = []
        for worker, session in self._on(sight.id):
            if not sight.alive:
                self._lose(worker)
                said.append(f"node {sight.id[:12]} has died, and worker {worker} with it")
            elif sight.draining and self._work.hurry(session, _left(sight, now)):
                said.append(f"Ray ends node {sight.id[:12]}: worker {worker} gives its jobs back")
        return said

    @property
    def are_known(self) -> bool:
        """Whether Ray has been heard."""
        return bool(self._sights)

    def total(self) -> dict[str, float]:
        """What all living nodes have together."""
        total: dict[str, float] = {}
        for sight in self._sights.values():
            if sight.alive:
                for name, amount in sight.resources.items():
                    total[name] = total.get(name, 0.0) + amount
        return total

    # --- workers --------------------------------------------------------------------------

    def check(self, info: WorkerInfo) -> None:
        """Raises `NodeFenced` for a worker that must get nothing and settle nothing."""
        if self._mode(info.node) == "fenced":
            raise NodeFenced(info.node)

    def registered(self, info: WorkerInfo) -> None:
        """A worker has come: it gets what its node may get."""
        session, mode = self._path.fleet.workers[info.id], self._mode(info.node)
        session.barred = mode != "open"
        sight = self._sights.get(info.node)
        if mode == "draining" or (sight is not None and sight.draining):
            now = self._path.clock.now()
            self._work.drain(info.id, PATIENCE if sight is None else _left(sight, now))

    def set_mode(self, name: str, mode: NodeMode, within: float = 0.0) -> NodeView:
        """Cordon, drain, fence or readmit a node; `within` are seconds for a drain."""
        sight = self.find(name)
        self._path.execute(commands.SetNodeMode(sight.id, mode))
        for worker, session in self._on(sight.id):
            session.barred = mode != "open"
            if mode == "draining":
                self._work.drain(worker, within or PATIENCE)
            elif mode == "fenced":
                self._work.withdraw(worker, NodeFenced(sight.id))
        return self.view(sight)

    # --- views ----------------------------------------------------------------------------

    def find(self, name: str) -> NodeSight:
        """The node that is meant. Raises `UnknownNode`."""
        registrations = self._path.state.premises.registrations
        return find(name, [*self._sights.values(), *self._unseen()], registrations)

    def views(self) -> list[NodeView]:
        """All nodes, the living first, and those that are registered and not there."""
        views = [self.view(sight) for sight in (*self._sights.values(), *self._unseen())]
        named = {view.name for view in views}
        views += [one for one in registered(self._path.state) if one.name not in named]
        return sorted(views, key=lambda view: (not view.alive, view.id))

    def view(self, sight: NodeSight) -> NodeView:
        """One node with all that is known of it."""
        state, sessions = self._path.state, self._on(sight.id)
        held = [job for worker, _ in sessions for job in state.held.get(worker, {}).values()]
        said = standing(state, sight)
        # The latest of its workers that has measured it.
        _, used, whole = max(
            ((session.seen, *session.memory) for _, session in sessions), default=(0.0, 0, 0)
        )
        return NodeView(
            sight.id, said.name, sight.address, sight.host, sight.port, sight.alive, said.mode,
            said.since, sight.draining, said.weight, said.capabilities, sight.resources,
            sight.available, sight.labels, [worker for worker, _ in sessions],
            sum(job.running for job in held), len(held), used, whole,
            self._seen.get(sight.id, 0.0),
        )  # fmt: skip

    def seats(self) -> list[Seat]:
        """The living nodes as places for workers."""
        state = self._path.state
        seats = []
        for sight in self._sights.values():
            if sight.alive:
                said = standing(state, sight)
                workers = [worker for worker, _ in self._on(sight.id)]
                connections = sum(len(state.held.get(worker, ())) for worker in workers)
                is_open = said.mode == "open" and not sight.draining
                able_to = abilities(sight, said.capabilities)
                seats.append(
                    Seat(
                        sight.id, sight.available, len(workers), connections, said.weight, is_open,
                        able_to, sight.labels,
                    )
                )  # fmt: skip
        return seats

    # --- inside ---------------------------------------------------------------------------

    def _mode(self, node: str) -> NodeMode:
        rule = self._path.state.premises.nodes.get(node)
        return rule.mode if rule is not None else "open"

    def _on(self, node: str) -> list[tuple[str, WorkerSession]]:
        workers = self._path.fleet.workers
        return [
            (worker, session)
            for worker, session in workers.items()
            if session.info is not None and session.info.node == node
        ]

    def _unseen(self) -> list[NodeSight]:
        """Nodes of which workers or operators have spoken, and Ray does not."""
        found = dict.fromkeys(self._path.state.premises.nodes, "")
        found |= {
            session.info.node: session.info.host
            for session in self._path.fleet.workers.values()
            if session.info is not None and session.info.node
        }
        return [NodeSight(one, host=host) for one, host in found.items() if one not in self._sights]


def _left(sight: NodeSight, now: float) -> float:
    """Seconds that workers have, as far as Ray says."""
    return max(1.0, sight.drain_by - now - MARGIN) if sight.drain_by else PATIENCE


def registered(state: State) -> list[NodeView]:
    """All that is registered, as if Ray showed none of it."""
    return [_absent(name, one) for name, one in state.premises.registrations.items()]


def _absent(name: str, one: Registration) -> NodeView:
    """A node that is registered, and that Ray does not show."""
    return NodeView(
        "", name, one.address, "", one.port, alive=False, mode="open", since=0.0, draining=False,
        weight=one.weight, capabilities=one.capabilities, resources={}, available={}, labels={},
        workers=[], running=0, held=0, memory_used=0, memory_total=0, seen_at=0.0,
    )  # fmt: skip
