"""One process of the queue: the product's own opening, engine and counter on a faulty disk."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.errors import StorageCorrupt, TaskQueueError, Unavailable
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.retention import Retention
from taskqueue_ray.engine.commits import Committed
from taskqueue_ray.engine.desk import Desk
from taskqueue_ray.engine.engine import Engine, Past, Ports
from taskqueue_ray.engine.folding import FoldPolicy
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.opening import Identity, Insistence, World, open_storage
from taskqueue_ray.engine.writer import commit
from taskqueue_ray.storage.blobs import open_blobs
from taskqueue_ray.storage.compaction import fold
from taskqueue_ray.storage.history import find
from taskqueue_ray.storage.journal import JournalSettings
from taskqueue_ray.storage.publication import FoldRequest, FoldResult, publish
from tests.faultfs import PowerCut

if TYPE_CHECKING:
    from tests.simulation.world import World as Simulation

KEPT_FAILED = 60.0
BOUNDS = Bounds(max_losses=3, lease_seconds=12.0, retention=Retention(failed=KEPT_FAILED))
JOURNAL = JournalSettings(segment_limit=3000, ballast=4096)
FOLDS = (
    FoldPolicy(rows=8, commits=60, age=15.0, retry=2.0),
    FoldPolicy(rows=25, commits=200, age=60.0, retry=2.0),
    FoldPolicy(rows=1000, commits=1000, age=1000.0),
)
IDENTITY = Identity("cluster", "address", "host")
KEYRING = Keyring([Key(bytes(32))])
TICK = 0.5


class Server:
    """Lives until it is killed, its disk fails, or it is fenced off."""

    def __init__(self, simulation: "Simulation", name: str, insist: Insistence) -> None:
        self.simulation = simulation
        self.alive = False
        self._agenda = simulation.agenda
        self._chance = Random(f"{simulation.seed}/{name}")
        self.opened = opened = open_storage(
            simulation.fs, "simulated", IDENTITY, KEYRING, insist,
            settings=JOURNAL, world=World(self._now, self._now, self._chance.randbytes),
        )  # fmt: skip
        self.epoch = opened.fence.epoch
        simulation.witness.recovered(opened)
        blobs = open_blobs(simulation.fs, opened.fence, opened.state)
        ports = Ports(self, self._fold, self._look_up, self._broken, blobs)
        self.engine = Engine(
            opened.state, ports, opened.clock, opened.journal.next_commit,
            chance=self._chance.random, fold_policy=simulation.fold_policy, bounds=BOUNDS,
        )  # fmt: skip
        self.desk = Desk(self.engine)
        self.alive = True
        self.engine.open(self.epoch, opened.clock.jump)
        self._agenda.every(TICK, self._tick, lambda: self.alive)

    def serve(self, method: str, request: bytes, respond: Callable[[bytes], None]) -> None:
        if self.alive:
            self.desk.serve(method, request, respond)

    def kill(self) -> None:
        """What a kill -9 does: it never runs again, and its lock is free."""
        self.alive = False
        if self.opened.lock is not None:
            self.opened.lock.release()

    # --- the ports of the engine ---

    def submit(
        self, payload: bytes, seal: bool, done: Callable[[Committed | TaskQueueError], None]
    ) -> None:
        """The journal's thread: a commit takes its time, and its news takes some more."""

        def write() -> None:
            journal = self.opened.journal
            index = journal.next_commit
            self.simulation.witness.submitted(self.epoch, index, payload)
            result = commit(journal, payload, seal)
            if isinstance(result, Committed):
                self.simulation.witness.durable(self.epoch, index, payload)
            self._later(0.01, lambda: done(result))

        self._later(self.simulation.disk_delay, write)

    def _fold(
        self, request: FoldRequest, done: Callable[[FoldResult | TaskQueueError], None]
    ) -> None:
        def first() -> None:
            result = _attempt(lambda: fold(self.simulation.fs, request))
            if isinstance(result, StorageCorrupt) and self is self.simulation.server:
                self.simulation.witness.fail("I13", f"whole files are called damaged: {result}")
            if isinstance(result, TaskQueueError):
                done(result)
            else:
                self._later(0.5, lambda: second(result))

        def second(result: FoldResult) -> None:
            problem = _attempt(lambda: publish(self.simulation.fs, self.opened.fence, result))
            outcome = problem if isinstance(problem, TaskQueueError) else result
            self._later(0.2, lambda: done(outcome))

        self._later(0.5, first)

    def _look_up(self, ids: list[JobId], found: Callable[[Past | TaskQueueError], None]) -> None:
        def look() -> None:
            views = _attempt(lambda: find(self.simulation.fs, ids))
            if isinstance(views, TaskQueueError):
                found(views)
            else:
                found({view.id: view.state for view in views})

        self._later(0.1, look)

    def _broken(self, error: TaskQueueError) -> None:
        """The process ends, a moment after its last answers have left."""
        self.simulation.note(f"epoch {self.epoch} ends: {error}")
        self._later(0.2, self.kill)

    # --- time ---

    def _tick(self) -> None:
        self.engine.tick()
        self.simulation.witness.looked(self.engine.state)

    def _later(self, longest: float, deed: Callable[[], None]) -> None:
        def happen() -> None:
            if not self.alive:
                return
            try:
                deed()
            except PowerCut:
                self.simulation.power_cut()

        self._agenda.later(self._chance.random() * longest, happen)

    def _now(self) -> float:
        return self._agenda.now


def _attempt(work: Callable[[], Any]) -> Any:
    """What an actor's port does: errors of the world become values."""
    try:
        return work()
    except TaskQueueError as error:
        return error
    except OSError as error:
        return Unavailable(f"it failed: {error}")
