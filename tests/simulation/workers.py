"""Simulated workers: the protocol of a real one, with jobs that follow a script."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, TypeVar

import msgspec

from taskqueue_ray.cluster.saving import Saving
from taskqueue_ray.core.envelopes import decode, encode, open_reply
from taskqueue_ray.core.errors import TaskQueueError, UnknownSession
from taskqueue_ray.core.exchange import (
    Ended,
    EnqueueReply,
    Grant,
    Outcome,
    OutcomeKind,
    Save,
    WorkerInfo,
    WorkReply,
    WorkRequest,
)
from taskqueue_ray.core.model import Failure, JobId
from tests.records import raw_batch
from tests.simulation.blobs import fetch
from tests.simulation.scripts import Script, checkpoint_of, fork, result_of

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
HOLD = 3.0
PATIENCE = HOLD + 4.0
SAVES = 8
"""Bytes of checkpoints that go into one call: two or three of them."""

EXITED = Failure("exit", "ExecutorExited")
ERROR = Failure("error", "ValueError")


class Worker:
    """Leases, runs, settles. It can die, freeze and come back, and lose its executors."""

    def __init__(self, world: "World", name: str, queues: tuple[str, ...]) -> None:
        self.world = world
        self.chance = Random(f"{world.seed}/{name}")
        self.info = WorkerInfo(name, queues, self.chance.choice((1, 2, 3)), "3.11", ())
        self.alive = True
        self.leaving = False
        self.frozen_until = 0.0
        self.held: dict[JobId, Grant] = {}
        self.running: dict[JobId, Grant] = {}
        self.outcomes: list[Outcome] = []
        self.saving = Saving()
        self.news = True
        self.sequence = 0
        self.acked = 0
        self.received: set[int] = set()
        self.calls: set[int] = set()
        self._register(self._exchange)

    # --- life ---

    def die(self) -> None:
        """Its process is gone, and what it ran with it."""
        self.alive = False
        self.world.worker_died(self)

    def freeze(self, seconds: float) -> None:
        """It is stopped and knows nothing of it, as by SIGSTOP or a frozen machine."""
        self.frozen_until = self.world.agenda.now + seconds

    def drain(self) -> None:
        """It gives back what it has not started, and leaves when the rest is done."""
        self.leaving = True
        for job_id, grant in list(self.held.items()):
            if job_id not in self.running:
                self._end(grant, OutcomeKind.RELEASED)
        self._exchange()

    # --- running jobs ---

    def _feed(self) -> None:
        for job_id, grant in list(self.held.items()):
            if len(self.running) >= self.info.concurrency or self.leaving or not self.alive:
                break
            if job_id not in self.running:
                self._start(grant)

    def _start(self, grant: Grant) -> None:
        self.running[grant.id] = grant
        fetch(grant, self._call, self.world, lambda payload: self._begin(grant, payload))

    def _begin(self, grant: Grant, payload: bytes | None) -> None:
        if self.running.get(grant.id) is not grant:
            return  # it was stopped
        if payload is None:
            self._later(1.0, lambda: self._start_again(grant))
            return
        script = msgspec.msgpack.decode(payload, type=Script)
        self.world.witness.started(grant, self.info.id)
        self.news = True
        if script.at_once:
            self.world.witness.killed(grant)
            self.die()
        seconds = script.seconds * self.chance.random()
        for number in range(1, script.saves + 1):
            self._checkpoint_later(seconds * number / (script.saves + 1), grant, number)
        self._later(seconds, lambda: self._finish(grant, script))

    def _start_again(self, grant: Grant) -> None:
        if self.running.get(grant.id) is grant:
            self._start(grant)

    def _checkpoint_later(self, delay: float, grant: Grant, number: int) -> None:
        def checkpoint() -> None:
            self._checkpoint(grant, number)
            self._exchange()

        self._later(delay, checkpoint)

    def _checkpoint(self, grant: Grant, number: int) -> None:
        if self.running.get(grant.id) is grant:
            self.world.witness.saved(grant, number)
            sealed = checkpoint_of(grant.delivery, number)
            self.saving.add([Save(grant.id, grant.delivery, grant.lease, number, sealed)])
            self.news = True

    def _finish(self, grant: Grant, script: Script) -> None:
        if self.running.get(grant.id) is not grant:
            return  # it was stopped
        if script.saves:
            self._checkpoint(grant, script.saves + 1)
        attempt = grant.attempt
        if script.kills and attempt == 1:
            self.die()
        elif script.exits and attempt == 1:
            self._end(grant, OutcomeKind.ERRORED, failure=EXITED)
            for other in [g for i, g in self.held.items() if i not in self.running]:
                self._end(other, OutcomeKind.RELEASED)
        elif script.snoozes and grant.delivery == 1:
            self._end(grant, OutcomeKind.SNOOZED, due=self.world.agenda.now + 2)
        elif attempt <= script.fails:
            self._end(grant, OutcomeKind.ERRORED, failure=ERROR, final=script.final)
        elif script.forks:
            self._fork(grant, script.forks)
            return
        else:
            self._complete(grant)
        self._feed()
        self._exchange()

    def _complete(self, grant: Grant) -> None:
        self.world.witness.finished(grant, self.info.id)
        self._end(grant, OutcomeKind.COMPLETED, result=result_of(grant, self.info.id))

    def _fork(self, grant: Grant, count: int) -> None:
        """Enqueue its jobs, and wait for them unless all have ended."""
        jobs, shared = fork(grant, count)
        ids = [job.id for job in jobs]
        self.world.witness.invoked(jobs, [shared])
        states: dict[JobId, bool] = {}

        def asked(reply: bytes | None) -> None:
            found = self._opened(reply, list[Ended])
            if found is None or self.running.get(grant.id) is not grant:
                self._later(1.0, lambda: self._fork_again(grant, count))
                return
            states.update((one.id, bool(one.state and one.state.final)) for one in found)
            self._call("enqueue", raw_batch(jobs, shared), enqueued)

        def enqueued(reply: bytes | None) -> None:
            told = self._opened(reply, EnqueueReply)
            if told is None or self.running.get(grant.id) is not grant:
                self._later(1.0, lambda: self._fork_again(grant, count))
                return
            self.world.witness.accepted(ids)
            # One that is known, and of which memory says nothing, ended long ago.
            if all(states.get(one, at in told.known) for at, one in enumerate(ids)):
                self._complete(grant)
            else:
                self._end(grant, OutcomeKind.WAITING, awaited=tuple(ids))
            self._feed()
            self._exchange()

        self._call("results", encode(ids), asked)

    def _fork_again(self, grant: Grant, count: int) -> None:
        if self.running.get(grant.id) is grant:
            self._fork(grant, count)

    def _opened(self, reply: bytes | None, kind: type[T]) -> T | None:
        try:
            return None if reply is None else decode(open_reply(reply), kind)
        except TaskQueueError:
            return None

    def _end(self, grant: Grant, kind: OutcomeKind, **given: object) -> None:
        self.held.pop(grant.id, None)
        self.running.pop(grant.id, None)
        made = Outcome(grant.id, grant.delivery, grant.lease, kind, **given)  # type: ignore[arg-type]
        self.outcomes.append(made)
        self.news = True

    # --- the exchange ---

    def _exchange(self) -> None:
        """Send one if none is out, or if there is news and no more than a held one is."""
        if not self.alive:
            return
        if self.leaving and not (self.held or self.outcomes or self.calls):
            self.alive = False
        if self.calls and not (self.news and len(self.calls) < 2):
            return
        self.news = False
        self.sequence += 1
        outcomes, self.outcomes = self.outcomes, []
        room = 0 if self.leaving else max(0, self.info.concurrency + 2 - len(self.held))
        saves = self.saving.take(self.sequence, outcomes, SAVES)
        request = WorkRequest(
            self.info.id, self.sequence, self.acked, outcomes, list(self.held),
            list(self.running), room, HOLD, saves=saves,
        )  # fmt: skip
        self.calls.add(request.sequence)
        self._send(request)

    def _send(self, request: WorkRequest) -> None:
        data = encode(request)

        def answer(reply: bytes | None) -> None:
            try:
                taken = reply and decode(open_reply(reply), WorkReply)
            except UnknownSession:
                self._register(lambda: self._send(request))
                return
            except TaskQueueError:
                taken = None
            if not taken:
                self._later(1.0, lambda: self._send(request))
                return
            self.calls.discard(request.sequence)
            self.saving.answered(request.sequence)
            self._take(request, taken)

        self._call("work", data, answer)

    def _take(self, request: WorkRequest, reply: WorkReply) -> None:
        self.world.witness.settled(request, reply)
        self.received.add(reply.sequence)
        while self.acked + 1 in self.received:
            self.acked += 1
        for job_id in reply.stale:
            self.held.pop(job_id, None)
            self.running.pop(job_id, None)
        for job_id in reply.cancel:
            if (grant := self.held.get(job_id)) is not None:
                self._end(grant, OutcomeKind.CANCELLED)
        for grant in reply.grants:
            self.world.witness.granted(grant, self.info.id)
            self.held[grant.id] = grant
            if self.leaving:
                self._end(grant, OutcomeKind.RELEASED)
        if reply.drain and not self.leaving:
            self.drain()
        self._feed()
        # A reply that is never silent must not turn the exchange into a race.
        self._later(0.2, self._exchange)

    def _register(self, then: Callable[[], None]) -> None:
        def answer(reply: bytes | None) -> None:
            try:
                leased = None if reply is None else decode(open_reply(reply), list[JobId])
            except TaskQueueError:
                leased = None
            if leased is None:
                self._later(1.0, lambda: self._register(then))
                return
            for job_id in [i for i in self.held if i not in leased]:
                del self.held[job_id]
                self.running.pop(job_id, None)
            then()

        self._call("register", encode(self.info), answer)

    # --- time ---

    def _call(self, method: str, data: bytes, answer: Callable[[bytes | None], None]) -> None:
        def arrive(reply: bytes | None) -> None:
            self._awake(lambda: answer(reply))

        self.world.transport.call(method, data, PATIENCE, arrive)

    def _later(self, delay: float, deed: Callable[[], None]) -> None:
        self.world.agenda.later(delay, lambda: self._awake(deed))

    def _awake(self, deed: Callable[[], None]) -> None:
        """Now, or when it is no longer frozen; never when it is dead."""
        if not self.alive:
            return
        left = self.frozen_until - self.world.agenda.now
        if left > 0:
            self.world.agenda.later(left, lambda: self._awake(deed))
        else:
            deed()
