"""A whole cluster in one thread: one seed is one run, to the last byte."""

import hashlib
from dataclasses import dataclass
from random import Random

from taskqueue_ray.core.errors import (
    CommitUnknown,
    Fenced,
    StorageCorrupt,
    StorageFull,
    Unavailable,
)
from taskqueue_ray.core.exchange import JobView
from taskqueue_ray.core.model import Job, JobId
from taskqueue_ray.engine.opening import Insistence
from taskqueue_ray.storage.history import read_history, to_views
from tests.faultfs import FaultFileSystem, PowerCut
from tests.simulation import blobs
from tests.simulation.agenda import Agenda
from tests.simulation.chaos import Chaos
from tests.simulation.clients import QUEUES, Client
from tests.simulation.limits import Limiter
from tests.simulation.operators import Operator
from tests.simulation.planners import Planner
from tests.simulation.server import BOUNDS, FOLDS, Server
from tests.simulation.transport import Transport
from tests.simulation.witness import Violation, Witness
from tests.simulation.workers import Worker

BUSY_SECONDS = 60.0
REST_STEPS = 40_000
MAY_PASS = (OSError, Unavailable, CommitUnknown, StorageFull, Fenced)


@dataclass(frozen=True)
class Run:
    """How a run went. `steps` were made before the faults ended."""

    seed: int
    steps: int
    violation: Violation | None
    digest: str
    jobs: int
    restarts: int
    notes: tuple[str, ...]


class World:
    """Everything there is: disk, servers, network, clients, workers, and a witness."""

    def __init__(self, seed: int, blind: frozenset[str] = frozenset()) -> None:
        self.seed = seed
        self.blind = blind
        self.bounds = BOUNDS
        self.agenda = Agenda()
        self.busy = True
        self.fold_policy = Random(f"{seed}/folds").choice(FOLDS)
        self.disk_delay = 0.02
        self.notes: list[str] = []
        self.chance = Random(f"{seed}/world")
        self.fs = FaultFileSystem()
        self.fs.keep_log = False
        self.witness = Witness(self)
        self.transport = Transport(self.agenda, Random(f"{seed}/transport"), self._route)
        self.server: Server | None = None
        self.former: list[Server] = []
        self.boots = 0
        self.divided_until = 0.0
        self.workers: list[Worker] = []
        self.workers_ever: dict[str, Worker] = {}
        self.limited = Random(f"{seed}/limits").random() < 0.25
        # Turns are taken among jobs under the same limits: one world has one of the two.
        self.fair = not self.limited and Random(f"{seed}/fair").random() < 0.4
        if self.limited:
            Limiter(self)
        self.large = Random(f"{seed}/blobs").random() < 0.3
        self.sender = blobs.Sender(self)
        self.clients = [Client(self, f"client{n}") for n in range(2)]
        if Random(f"{seed}/pauses").random() < 0.5:
            Operator(self)
        if Random(f"{seed}/schedules").random() < 0.3:
            Planner(self)
        self.chaos = Chaos(self)
        self.agenda.every(0.5, self._supervise, lambda: True)
        self._boot(Insistence.NONE)

    def run(self, steps: int | None = None) -> Run:
        """Trouble for a while, or for so many steps; then calm, until all is done."""
        limit = steps if steps is not None else 1 << 60
        end = self.agenda.now + BUSY_SECONDS
        violation = None
        try:
            while self.agenda.steps < limit and (self.agenda.now < end):
                self._step()
        except Violation as found:
            violation = found
        made = self.agenda.steps
        if violation is None:
            violation = self._come_to_rest()
        return Run(
            self.seed, made, violation, self._digest(), len(self.witness.specs), self.boots,
            tuple(self.notes),
        )  # fmt: skip

    def note(self, what: str) -> None:
        self.notes.append(f"{self.agenda.now % 100_000:10.2f} {self.agenda.steps:6} {what}")

    def queues_of(self, worker: str) -> tuple[str, ...]:
        return self.workers_ever[worker].info.queues

    def live_workers(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.alive]

    # --- faults ---

    def power_cut(self) -> None:
        """Every process on the queue's machine is gone, and of the disk only what was synced."""
        self.note("the power is cut")
        for server in (self.server, *self.former):
            if server is not None:
                server.alive = False
        self.server, self.former = None, []
        self.fs.reboot(self.chance)

    def take_over(self) -> None:
        if self.server is None or not self.server.alive:
            return
        old, self.server = self.server, None
        self.former.append(old)
        self._boot(Insistence.SUCCEED)

    def restart(self) -> None:
        """The queue's process ends; another will serve."""
        if self.server is not None:
            self.server.kill()
        self.server = None

    def worker_died(self, worker: Worker) -> None:
        """Ray notices most deaths; the others are left to the term of the lease."""
        self.note(f"{worker.info.id} dies")
        if self.chance.random() < 0.7:
            delay = self.chance.random() * 3
            self.agenda.later(delay, lambda: self._report_loss(worker.info.id))

    def _report_loss(self, worker: str) -> None:
        if self.server is not None and self.server.alive:
            self.server.engine.lose(worker)

    # --- processes ---

    def _step(self) -> None:
        try:
            self.agenda.step()
        except PowerCut:
            self.power_cut()

    def _route(self) -> Server | None:
        """Who answers at the address: sometimes one who should not."""
        self.former = [server for server in self.former if server.alive]
        if self.former and self.chance.random() < 0.3:
            self.divided_until = self.agenda.now + 10
            return self.chance.choice(self.former)
        return self.server

    def _supervise(self) -> None:
        """Ray restarts what has died, sooner or later."""
        if self.server is not None and not self.server.alive:
            self.server = None
        if self.server is None and (not self.busy or self.chance.random() < 0.4):
            self._boot(Insistence.SUCCEED if self.former else Insistence.NONE)
        self.workers = self.live_workers()
        if len(self.workers) < 3 and self.chance.random() < 0.3:
            self._hire()

    def _boot(self, insist: Insistence) -> None:
        self.boots += 1
        try:
            self.server = Server(self, f"server{self.boots}", insist)
        except PowerCut:
            self.power_cut()
        except StorageCorrupt as error:
            self.witness.fail("I13", f"whole files are called damaged: {error}")
        except MAY_PASS as error:
            self.note(f"it cannot open: {error}")
        else:
            self.note(f"epoch {self.server.epoch} serves")

    def _hire(self) -> None:
        name = f"worker{len(self.workers_ever)}"
        choosy = self.chance.random() < 0.3 and any(not w.info.queues for w in self.workers)
        queues = (self.chance.choice(QUEUES),) if choosy else ()
        worker = Worker(self, name, queues)
        self.workers_ever[name] = worker
        self.workers.append(worker)

    # --- the end ---

    def _come_to_rest(self) -> Violation | None:
        self.note("calm")
        self.busy = False
        self.chaos.calm()
        limit = self.agenda.steps + REST_STEPS
        try:
            while self.agenda.steps < limit:
                for _ in range(200):
                    self._step()
                if not self._open_ends():
                    self.witness.judge(self._views(), self.history())
                    blobs.judge(self, self._step)
                    return None
            self.witness.fail("I14", f"not drained: {self._open_ends()}")
        except Violation as found:
            return found
        return None

    def _open_ends(self) -> str:
        """What is still to be done, in words; empty when nothing is."""
        server = self.server
        if server is None or not server.alive or not server.engine.commits.idle:
            return "the queue is not at rest"
        if self.former:
            return "a former owner is still there"
        missing = [i for client in self.clients for i in client.mine if i not in client.ended]
        if untold := [i for i in missing if i not in self.witness.purged]:
            state = server.engine.state.state_of(untold[0])
            return f"{len(untold)} ends were not told; {untold[0].hex()} is {state}"
        if undecided := self.witness.undecided(self._views()):
            return f"{len(undecided)} jobs have not ended, such as {undecided[0].hex()}"
        return ""

    def _views(self) -> dict[JobId, JobView | None]:
        assert self.server is not None
        engine = self.server.engine
        views: dict[JobId, JobView | None] = {view.id: view for view in self._latest()}
        state = engine.state
        for job_id in (*state.jobs, *state.settled):
            found = state.jobs.get(job_id) or state.settled[job_id]
            if isinstance(found, Job):
                views[job_id] = engine.insights.job(job_id)
        return views

    def _latest(self) -> list[JobView]:
        return sorted(self.history(), key=lambda view: view.generation)

    def history(self) -> list[JobView]:
        return to_views(read_history(self.fs))

    def _digest(self) -> str:
        seen = "\n".join(self.notes).encode() + b"".join(self.witness.shadow.payloads)
        return hashlib.sha256(seen).hexdigest()[:16]
