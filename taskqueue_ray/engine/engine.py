"""The queue as an ordinary object: one thread, callbacks, no Ray and no event loop.

Each public method takes a request and a `respond` that is called once, with the reply or with a
`TaskQueueError`, when everything the answer rests on is durable.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from taskqueue_ray.core import commands, events
from taskqueue_ray.core.bounds import DEFAULT_BOUNDS, Bounds
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.envelopes import UNREADABLE
from taskqueue_ray.core.errors import (
    InvalidRequest,
    QueueClosed,
    StorageFull,
    TaskQueueError,
)
from taskqueue_ray.core.exchange import WatchRequest, WorkerInfo, WorkRequest
from taskqueue_ray.core.identity import CLOCK_SKEW, created_at
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Job, JobId, JobSpec, NodeMode, StoredCode
from taskqueue_ray.core.nodes import NodeSight
from taskqueue_ray.core.quotas import check_amounts, shown_name
from taskqueue_ray.core.retention import Horizon, horizons
from taskqueue_ray.core.state import State
from taskqueue_ray.core.why import Why
from taskqueue_ray.engine.admission import Admission
from taskqueue_ray.engine.alerting import Alerting
from taskqueue_ray.engine.beside import AT_ONCE, Beside
from taskqueue_ray.engine.blobs import Blobs
from taskqueue_ray.engine.clock import Clock
from taskqueue_ray.engine.commits import Commits, Writer
from taskqueue_ray.engine.fleet import Fleet, Respond, refuse
from taskqueue_ray.engine.folding import Fold, Folding, FoldPolicy
from taskqueue_ray.engine.insights import Insights
from taskqueue_ray.engine.measures import Measures
from taskqueue_ray.engine.nodes import Nodes
from taskqueue_ray.engine.observing import Observing
from taskqueue_ray.engine.permits import Permits
from taskqueue_ray.engine.pools import Pools
from taskqueue_ray.engine.retiring import Retiring
from taskqueue_ray.engine.scheduling import Scheduling
from taskqueue_ray.engine.watching import Watching
from taskqueue_ray.engine.work import Work
from taskqueue_ray.engine.writepath import WritePath
from taskqueue_ray.storage.blobs import BlobFiles
from taskqueue_ray.storage.recovery import SealedSegment

Past = Mapping[JobId, JobState]
LookUp = Callable[[list[JobId], Callable[[Past | TaskQueueError], None]], None]
"""Asks history how jobs ended that memory no longer knows, and calls back."""

Revision = commands.ReviseSchedule | commands.DropSchedule
Control = (
    commands.Pause
    | commands.Resume
    | commands.Configure
    | commands.SetQuota
    | commands.DeleteQuota
    | commands.RegisterNode
    | commands.ForgetNode
    | commands.SetStrategy
    | commands.SetLimit
    | commands.DeleteLimit
    | commands.Throttle
)
FOR_WANT_OF_WORKERS = frozenset(("no_workers", "no_fitting_worker", "turn", "quota"))
"""Reasons for which a job waits and more workers would help."""

Move = commands.Cancel | commands.Redrive | commands.Purge


@dataclass(frozen=True, slots=True)
class Ports:
    """What the engine needs done elsewhere; each calls back on the engine's thread."""

    writer: Writer
    fold: Fold
    look_up: LookUp
    on_broken: Callable[[TaskQueueError], None]
    """Told once that the engine can commit nothing more: its process should end."""
    blobs: BlobFiles | None = None
    beside: Beside = AT_ONCE
    """Where the blobs are read and written."""
    alarm: Callable[[float], None] = lambda _: None
    """Has `Engine.wake` called after so many seconds, instead of what was asked before."""


class Engine:
    """One shard of the queue."""

    def __init__(
        self,
        state: State,
        ports: Ports,
        clock: Clock,
        next_commit: int,
        *,
        location: str = "",
        chance: Callable[[], float] = random.random,
        fold_policy: FoldPolicy | None = None,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        self.state = state
        self.clock = clock
        self.fleet = Fleet()
        self._location = location
        self._look_up = ports.look_up
        self._on_broken = ports.on_broken
        self.commits = Commits(
            ports.writer, next_commit, self._apply_mark, self._sealed, self._broken
        )
        self.path = WritePath(state, self.commits, self.fleet, clock, chance, bounds)
        self.work_desk = Work(self.path)
        self.nodes = Nodes(self.path, self.work_desk, self.lose)
        self.admission = Admission(self.path, self.nodes)
        self.work_desk.on_vanished = self.admission.vanished
        self.work_desk.admits = lambda options: self.admission.refused(options) is None
        self.watching = Watching(state, self.commits, self.fleet)
        self.insights = Insights(state, self.fleet)
        self.measures = Measures(
            state, self.fleet, self.path.meter, clock.now, lambda: self.commits.low_space
        )
        self.pools = Pools(self.work_desk, self.insights)
        self.folding = Folding(
            state, self.commits, ports.fold, self._folded, fold_policy or FoldPolicy()
        )
        self.folding.last_commit = state.folded
        self.retiring = Retiring(self.path)
        self.blobs = Blobs(state, self.commits, clock, ports.blobs, ports.beside)
        self.scheduling = Scheduling(
            self.path, self.work_desk, self._carry_out, self._offer, location
        )
        self.permits = Permits(self.path, ports.alarm)
        self.path.on_ended = self.watching.notify
        self.observing = Observing(state, self.fleet, self.insights, self.commits, self.folding)
        self.alerting = Alerting(self.path, self.observing)

    def open(self, epoch: int, clock_jump: float = 0.0) -> None:
        """Begin to serve as the writer of this epoch."""
        now = self.clock.now()
        self.observing.clock_jump = clock_jump
        self.path.record([events.Opened(now, epoch, clock_jump)])
        self.work_desk.restore(now)
        self.admission.begin(now)
        self.commits.flush()

    # --- clients --------------------------------------------------------------------------

    def enqueue(self, raw: bytes, respond: Respond, watcher: str = "") -> None:
        """Take in a batch as the client encoded it; answers with an `EnqueueReply`.

        A `watcher` that has a session is told how the jobs end, without asking for it.
        """
        try:
            batch = events.decode_batch(raw)
        except UNREADABLE as error:
            self.path.refuse(respond, InvalidRequest(f"the batch cannot be read: {error}"))
            return
        if self.commits.low_space and not all(self.state.known(spec.id) for spec in batch.jobs):
            self.blobs.refused(batch.jobs)
            self.path.refuse(respond, StorageFull(self._location))
            return
        if (lost := self.blobs.missing(batch.jobs)) is not None:
            self.path.refuse(respond, lost)
            return
        self._enqueue_sure(commands.Enqueue(batch), frozenset(), respond)
        if watcher:
            self.watching.adopt(watcher, [spec.id for spec in batch.jobs])

    def watch(self, request: WatchRequest, respond: Respond) -> None:
        """Wait for jobs to end; answers with a `WatchReply`."""
        self.watching.watch(request, self.clock.now(), respond)

    def command(self, command: Move, command_id: str, respond: Respond) -> None:
        """Cancel, redrive or purge; answers with the ids of the jobs that moved.

        The answer to a command id is kept: a repeat gets it again.
        """
        receipt = self.state.receipts.get(command_id)
        if receipt is not None:
            self.path.answer(respond, msgspec.msgpack.decode(receipt.reply, type=list[JobId]))
            return
        try:
            moved: list[JobId] = self.path.execute(command)
        except TaskQueueError as refusal:
            self.path.refuse(respond, refusal)
            return
        reply = msgspec.msgpack.encode(moved)
        self.path.record([events.Received(self.clock.now(), command_id, reply)])
        if isinstance(command, commands.Cancel):
            running = [i for i in moved if (job := self.state.jobs.get(i)) and job.cancelling]
            self.work_desk.cancel(running)
        elif isinstance(command, commands.Purge):
            self.blobs.forget(moved)
        self._offer()
        self.path.answer(respond, moved)

    def revise(self, command: Revision, respond: Respond) -> None:
        """Change a schedule, or let it be no more; answers with what the command says of itself."""
        self._carry_out(command, respond)

    def control(self, command: Control, respond: Respond) -> None:
        """Pause, resume or configure; answers with what the command says of itself."""
        self._carry_out(command, respond)
        self.permits.serve(self.clock.now())

    def why(self, job_id: JobId) -> Why | None:
        """Why a job is not running, if its record is in memory."""
        found = self.insights.why(job_id, self.clock.now(), self.pools.posts())
        if found is not None and found.reason == "turn" and self.commits.stalled:
            return Why("no_space", "the disk is full: nothing is leased until it has room again")
        if found is not None and found.reason in FOR_WANT_OF_WORKERS:
            return self._why_no_more_workers(self.state.jobs[job_id]) or found
        return found

    def store_code(self, code_hash: str, code: StoredCode, respond: Respond) -> None:
        """Keep a function; answers None."""
        self.path.execute(commands.StoreCode(code_hash, code))
        self.commits.flush()
        self.path.answer(respond, None)

    def code(self, code_hash: str, respond: Respond) -> None:
        """Answers with the `StoredCode` of that hash, or None."""
        self.path.answer(respond, self.state.codes.get(code_hash))

    # --- workers --------------------------------------------------------------------------

    def register(self, info: WorkerInfo, respond: Respond) -> None:
        """A worker is there; answers with the ids of the jobs that are leased to it."""
        try:
            check_amounts(info.holds)
            self.nodes.check(info)
        except TaskQueueError as refusal:
            self.path.refuse(respond, refusal)
            return
        leased = self.work_desk.register(info, self.clock.now())
        self.nodes.registered(info)
        self.admission.came(info)
        self.path.answer(respond, leased)

    def work(self, request: WorkRequest, respond: Respond) -> None:
        """One exchange of a worker; answers with a `WorkReply`."""
        self.work_desk.exchange(request, self.clock.now(), respond)
        self.permits.mind(self.clock.now())
        self.commits.flush()

    def lose(self, worker: str, *, for_good: bool = False) -> bool:
        """A worker is gone; True when it had left in good order. `for_good`: its actor is too."""
        session = self.fleet.workers.get(worker)
        in_order = self.work_desk.lose(worker)
        if for_good and session is not None and session.info is not None:
            self.admission.give_up([session.info.actor])
        self.observing.vanished += not in_order
        self._offer()
        return in_order

    def drain(self, worker: str) -> bool:
        """Ask a worker to leave; False when it is not known."""
        found = self.work_desk.drain(worker)
        self.commits.flush()
        return found

    # --- nodes ----------------------------------------------------------------------------

    def observe(self, sights: list[NodeSight]) -> list[str]:
        """Hear of all nodes of Ray; says in words what that led to."""
        said = self.nodes.observe(sights, self.clock.now())
        if said:
            self._offer()
        return said

    def set_node_mode(self, name: str, mode: NodeMode, within: float, respond: Respond) -> None:
        """Cordon, drain, fence or readmit a node; answers with its `NodeView`."""
        view = self.nodes.set_mode(name, mode, within)
        self._offer()
        self.path.answer(respond, view)

    # --- time -----------------------------------------------------------------------------

    def tick(self) -> list[str]:
        """Do what time has made due; returns the workers whose leases ran out."""
        now = self.clock.now()
        self.commits.retry()
        self.path.execute(commands.Promote())
        late = self.work_desk.tick(now)
        self.observing.vanished += len(late)
        self.watching.tick(now)
        self.scheduling.tick(now)
        self.retiring.tick(now)
        self.folding.tick(now)
        self.insights.tidy(now)
        self.measures.tick(now)
        self.blobs.tick(now)
        self.pools.tick(now)
        self.permits.serve(now)
        self._offer()
        self.commits.flush(all=True)
        return late

    def wake(self) -> None:
        """A limit has opened: what waited for it goes on."""
        self.permits.serve(self.clock.now())
        self._offer()

    def horizons(self) -> list[Horizon]:
        """What the history is to keep no longer."""
        own = {name: one.retention for name, one in self.state.settings.items()}
        return horizons(self.path.bounds.retention, own, self.clock.now())

    def next_due(self) -> float | None:
        """When the next scheduled job is due, on the queue's clock."""
        return self.state.next_due()

    def close(self, reason: TaskQueueError | None = None) -> None:
        """Answer everyone who waits; nothing is served afterwards. The default is for the end."""
        error = reason or QueueClosed("it was shut down")
        refuse(self.fleet.polls(), error)
        self.pools.close(error)
        self.permits.close(error)
        self.commits.close(error)

    # --- inside ---------------------------------------------------------------------------

    def _enqueue_sure(
        self, command: commands.Enqueue, asked: frozenset[JobId], respond: Respond
    ) -> None:
        """Enqueue once history was asked about all that memory cannot tell.

        Memory may forget more while history is read, so the question is put again.
        """
        unsure = [i for i in self._unsure(command.batch.jobs) if i not in asked]
        if not unsure:
            self._carry_out(command, respond)
            return

        def found(past: Past | TaskQueueError) -> None:
            if isinstance(past, TaskQueueError):
                self.path.refuse(respond, past)
            else:
                known = {**command.past, **past}
                again = commands.Enqueue(command.batch, known)
                self._enqueue_sure(again, asked.union(unsure), respond)

        self._look_up(unsure, found)

    def _why_no_more_workers(self, job: Job) -> Why | None:
        """What keeps its queue from having the workers that it would have: nodes, or a quota."""
        if self.admission.is_closed:
            return Why("nodes", "no node is open: all are cordoned, draining or fenced")
        in_ray = job.options.shape is not None
        refusal = self.admission.refused(job.options) if in_ray else None
        refusal = refusal or self.admission.refusal(job.options.queue, self.clock.now())
        if refusal is None:
            return None
        words = f"it may not start now: {refusal.words}"
        facts = {
            "resource": shown_name(refusal.quota.resource), "queue": refusal.quota.queue,
            "quota": refusal.ceiling, "held": refusal.held, "worker": refusal.wanted,
        }  # fmt: skip
        return Why("quota", words, facts)

    def _carry_out(self, command: commands.Command, respond: Respond) -> None:
        try:
            reply = self.path.execute(command)
        except TaskQueueError as refusal:
            if isinstance(command, commands.Enqueue):
                self.blobs.refused(command.batch.jobs)
            self.path.refuse(respond, refusal)
            return
        if isinstance(command, commands.Enqueue) and reply.accepted < len(command.batch.jobs):
            jobs, left_out = command.batch.jobs, {*reply.known, *reply.existing, *reply.dropped}
            self.blobs.refused(jobs[index] for index in left_out)
        self._offer()
        self.path.answer(respond, reply)

    def _offer(self) -> None:
        self.work_desk.offer(self.clock.now())
        self.permits.mind(self.clock.now())
        self.commits.flush()

    def _unsure(self, jobs: list[JobSpec]) -> list[JobId]:
        """Ids and parents that are older than memory reaches and that memory does not know."""
        reach = self.state.forgotten_before
        if not reach:
            return []
        reach += CLOCK_SKEW
        named = [spec.id for spec in jobs]
        named.extend(parent for spec in jobs for parent in spec.parents)
        if created_at(min(named, default=JobId(b"\xff" * 16))) >= reach:
            return []
        return [i for i in named if created_at(i) < reach and not self.state.known(i)]

    def _apply_mark(self, event: events.Event) -> None:
        apply(self.state, event)

    def _sealed(self, sealed: SealedSegment | None) -> None:
        if sealed is None:
            self.folding.postpone(StorageFull(self._location))
        else:
            self.folding.begin(sealed)

    def _folded(self, through: int) -> None:
        self.path.execute(commands.Fold(through))
        self.blobs.hasten()
        self.commits.flush()

    def _broken(self, error: TaskQueueError) -> None:
        refuse(self.fleet.polls(), error)
        self.pools.close(error)
        self.permits.close(error)
        self._on_broken(error)
