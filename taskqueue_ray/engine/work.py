"""The one exchange of a worker: settle, renew, lease; cancellations and drain come back.

An exchange is repeatable: its outcomes are fenced by their tokens, and the reply to a sequence is
kept until the worker confirms it. A newer exchange ends the held call of an older one, so a worker
may report outcomes while it waits for work.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec

from taskqueue_ray.core import commands
from taskqueue_ray.core.errors import TaskQueueError, UnknownSession
from taskqueue_ray.core.events import Leased
from taskqueue_ray.core.exchange import Grant, WorkerInfo, WorkReply, WorkRequest
from taskqueue_ray.core.leasing import fits, held_ids
from taskqueue_ray.core.model import IN_RAY, JobId, Options
from taskqueue_ray.core.model import Leased as LeasedPhase
from taskqueue_ray.engine.fleet import MOST_WANTED, Poll, Respond, WorkerSession, hold
from taskqueue_ray.engine.writepath import WritePath

RETELL = 2.0
"""Seconds after which a cancellation, or a drain, that has had no effect is told again."""


AT_ONCE = 1.0
"""Seconds by which the end of a drain must come nearer to be told anew."""


class Granted(NamedTuple):
    """Jobs for a worker, and the options that they refer to."""

    options: list[Options]
    grants: list[Grant]


class Work:
    """The exchanges of all workers."""

    def __init__(self, path: WritePath) -> None:
        self.path = self._path = path
        self._state = path.state
        self._workers = path.fleet.workers
        self._term = path.bounds.lease_seconds
        self.on_vanished: Callable[[WorkerInfo], None] = lambda _: None
        """Told of a worker that is gone and had not said that it would go."""
        self.admits: Callable[[Options], bool] = lambda _: True
        """Whether quotas let one more such job start in Ray."""

    def restore(self, now: float) -> None:
        """After a restart: every worker that holds leases gets a full term to come back."""
        for worker, held in self._state.held.items():
            session = WorkerSession(None, now + self._term, now)
            session.cancel = {job.id: 0.0 for job in held.values() if job.cancelling}
            self._workers[worker] = session

    def register(self, info: WorkerInfo, now: float) -> list[JobId]:
        """A worker says who it is, at its start and when the queue has forgotten it.

        Returns the jobs that are leased to it; whatever else it has in hand is no longer its.
        """
        session = self._workers.get(info.id)
        if session is None:
            session = self._workers[info.id] = WorkerSession(info, 0.0, now)
        session.info = info
        session.deadline, session.seen = now + self._term, now
        return held_ids(self._state, info.id)

    def exchange(self, request: WorkRequest, now: float, respond: Respond) -> None:
        """Serve one exchange; `respond` gets the `WorkReply` once it is durable."""
        session = self._workers.get(request.worker)
        if session is None or session.info is None:
            self._path.answer(respond, UnknownSession(request.worker))
            return
        if (kept := session.replies.get(request.sequence)) is not None:
            self._path.answer(respond, kept)
            return
        if request.saves:
            self._save(session, request)
        stale = self._settle(request)
        if request.sequence <= session.latest:
            # Overtaken by a newer exchange: its outcomes count, its wishes no longer do.
            self._path.answer(respond, WorkReply(request.sequence, stale=stale))
            return
        session.latest = request.sequence
        if request.outcomes and session.info.pool:
            self._path.fleet.tally(session.info, request.outcomes)
        if request.grown:
            session.grown.update(request.grown)
        self._renew(session, request, now)
        session.stale += stale
        session.want = min(request.want, MOST_WANTED)
        session.rooms = {kind: min(n, MOST_WANTED) for kind, n in request.rooms.items() if n > 0}
        session.full = tuple(request.full)
        self._serve(session, request, now, respond)
        self.offer(now)

    def offer(self, now: float) -> None:
        """Try to give work to the workers that wait for it. Called after anything became ready."""
        for session in self._workers.values():
            wants = session.want > 0 or session.rooms
            if session.poll is not None and wants and not session.draining:
                granted = self._grant(session)
                if granted.grants:
                    reply = self._reply(session, session.poll.sequence, now, granted)
                    self._end_poll(session, reply)

    def drain(self, worker: str, within: float = 0.0) -> bool:
        """Ask a worker to give back what it has not started and to leave, in so many seconds.

        0: in as many as it was told at its start. False when it is not there.
        """
        session = self._workers.get(worker)
        if session is not None:
            self.hurry(session, within)
        return session is not None

    def hurry(self, session: WorkerSession, within: float) -> bool:
        """The same; False when it was told already to be as quick."""
        end = self._path.clock.now() + within if within else math.inf
        if session.draining and end >= session.drain_by - AT_ONCE:
            return False
        session.draining, session.drain_by = True, end
        session.drain_seconds, session.drain_due = within, 0.0
        if session.poll is not None:
            self._speak(session)
        return True

    def cancel(self, ids: list[JobId]) -> None:
        """Deliver the cancellation of running jobs."""
        for job_id in ids:
            phase = self._state.jobs[job_id].phase
            if isinstance(phase, LeasedPhase) and (session := self._workers.get(phase.worker)):
                session.cancel[job_id] = 0.0
                if session.poll is not None:
                    self._speak(session)

    def lose(self, worker: str) -> bool:
        """The worker is gone: its leases come back at once.

        True when that is no loss: it had said that it would leave, and had given all back.
        """
        session = self._workers.pop(worker, None)
        in_order = session is not None and session.leaving and not self._state.held.get(worker)
        for job_id in self._state.held.get(worker, ()):
            self._path.fleet.progress.pop(job_id, None)
        if session is not None and session.poll is not None:
            session.poll.respond(UnknownSession(worker))
        self._path.execute(commands.Lose(worker))
        if session is not None and session.info is not None and not in_order:
            self.on_vanished(session.info)
        return in_order

    def withdraw(self, worker: str, error: TaskQueueError) -> None:
        """Take everything out of a worker's hands, nothing counted; what it says of it is stale."""
        session = self._workers.pop(worker, None)
        held = held_ids(self._state, worker)
        for job_id in held:
            self._path.fleet.progress.pop(job_id, None)
        if session is not None and session.poll is not None:
            session.poll.respond(error)
        self._path.execute(commands.Release(worker, held))

    def tick(self, now: float) -> list[str]:
        """End held calls whose time is up; returns the workers whose lease term has run out."""
        late = []
        for worker, session in self._workers.items():
            if session.poll is not None and session.poll.deadline <= now:
                self._end_poll(session, self._reply(session, session.poll.sequence, now))
            if session.deadline <= now:
                late.append(worker)
        for worker in late:
            self.lose(worker)
        return late

    def _save(self, session: WorkerSession, request: WorkRequest) -> None:
        """Before the outcomes of the same runs, whose leases they end."""
        if session.poll is not None and request.sequence > session.latest:
            # Its answer would wait for the commit of something that nobody waits for.
            self._end_poll(session, WorkReply(session.poll.sequence))
        self._path.note_saved(request.worker, request.saves)

    def _settle(self, request: WorkRequest) -> list[JobId]:
        if not request.outcomes:
            return []
        for outcome in request.outcomes:
            self._path.fleet.progress.pop(outcome.id, None)
        chances = self._path.chances(len(request.outcomes))
        stale: list[JobId] = self._path.execute(
            commands.Settle(request.worker, request.outcomes, chances)
        )
        return stale

    def _renew(self, session: WorkerSession, request: WorkRequest, now: float) -> None:
        if session.poll is not None:
            self._end_poll(session, WorkReply(session.poll.sequence))
        for sequence in [s for s in session.replies if s <= request.acked]:
            del session.replies[sequence]
        session.seen = now
        session.leaving = request.leaving
        if request.memory:
            session.memory = (request.memory[0], request.memory[-1])
        if request.vitals is not None and request.vitals.is_sound:
            session.vitals = request.vitals
        session.deadline = now + hold(request.wait) + self._term
        if request.running:
            self._path.note_started(request.worker, request.running)
        kept = session.in_flight().union(request.held, request.unsure)
        leased = self._state.held.get(request.worker, {})
        session.lost += [i for i in request.held if i not in leased]
        dropped = [i for i in leased if i not in kept]
        self._path.fleet.progress.update(one for one in request.progress if one[0] in leased)
        for job_id in dropped:
            self._path.fleet.progress.pop(job_id, None)
        if dropped:
            self._path.execute(commands.Release(request.worker, dropped))
        if session.cancel:
            session.cancel = {i: due for i, due in session.cancel.items() if i in leased}

    def _serve(
        self, session: WorkerSession, request: WorkRequest, now: float, respond: Respond
    ) -> None:
        reply = self._reply(session, request.sequence, now)
        silent = not (reply.grants or reply.cancel or reply.lost or reply.stale or reply.drain)
        if silent and request.wait > 0:
            session.poll = Poll(request.sequence, now + hold(request.wait), respond)
            return
        self._keep(session, reply)
        self._path.answer(respond, reply)

    def _reply(
        self, session: WorkerSession, sequence: int, now: float, granted: Granted | None = None
    ) -> WorkReply:
        if granted is None:
            granted = self._grant(session)
        lost, session.lost = session.lost, []
        stale, session.stale = session.stale, []
        # Said again only after a while: else a held call would spin until it has happened.
        cancel = [job_id for job_id, due in session.cancel.items() if due <= now]
        session.cancel.update(dict.fromkeys(cancel, now + RETELL))
        # Told again until it says that it leaves: an answer may have been lost for good.
        drain = session.draining and not session.leaving and session.drain_due <= now
        if drain:
            session.drain_due = now + RETELL
        return WorkReply(
            sequence, *granted, cancel, lost, stale, drain, session.drain_seconds if drain else 0.0
        )

    def _grant(self, session: WorkerSession) -> Granted:
        assert session.info is not None
        if session.draining or session.barred or self._path.commits.stalled:
            return Granted([], [])
        events = []
        if session.want > 0:
            events = self._path.lease(_own(session.info), session.want)
            session.want -= sum(len(event.ids) for event in events)
        if session.rooms and not self._state.ready.kinds.isdisjoint(session.rooms):
            events += self._lease_in_ray(session, session.info)
        return self._granted(events)

    def _lease_in_ray(self, session: WorkerSession, info: WorkerInfo) -> list[Leased]:
        """Jobs that the worker has started in Ray, kind by kind: each kind has room of its own."""
        events = []
        for kind, room in session.rooms.items():
            if kind in info.executors and room > 0:
                able = msgspec.structs.replace(info, executors=(kind,), full=session.full)
                if self._state.premises.quotas:
                    found = self._lease_within(able, room)
                else:
                    found = self._path.lease(able, room)
                session.rooms[kind] -= sum(len(event.ids) for event in found)
                events += found
        return events

    def _lease_within(self, able: WorkerInfo, room: int) -> list[Leased]:
        """One by one, as long as quotas have room for what each takes; queue by queue, since one
        may be held back where another is not.
        """
        ready, now = self._state.ready, self._path.clock.now()
        ready.gates.reopen(now)
        events: list[Leased] = []
        for queue in able.queues or tuple(dict.fromkeys((*ready.queues, *ready.gates.places))):
            one = msgspec.structs.replace(able, queues=(queue,))
            while len(events) < room:
                head = ready.pick(one.queues, partial(fits, one), 1, ready.allowance(now))
                if not head:
                    break
                options = head[0].options
                if not self.admits(options):
                    one = msgspec.structs.replace(one, full=(*one.full, options.lane[0]))
                    continue
                if not (found := self._path.lease(one, 1)):
                    break
                events += found
        return events

    def _granted(self, events: list[Leased]) -> Granted:
        options: list[Options] = []
        places: dict[int, int] = {}
        grants: list[Grant] = []
        jobs = self._state.jobs
        for event in events:
            for job_id in event.ids:
                job = jobs[job_id]
                place = places.get(id(job.options))
                if place is None:
                    place = places[id(job.options)] = len(options)
                    options.append(job.options)
                grants.append(
                    Grant(
                        job_id, job.delivery, event.lease, job.attempts + 1, place,
                        job.payload, job.enqueued_at, job.conditions.inputs,
                        None if job.checkpoint is None else job.checkpoint.sealed,
                        job.conditions.fired,
                    )
                )  # fmt: skip
        return Granted(options, grants)

    def _speak(self, session: WorkerSession) -> None:
        """There is something to say to a worker whose call is held."""
        assert session.poll is not None
        now = self._path.clock.now()
        self._end_poll(session, self._reply(session, session.poll.sequence, now))

    def _end_poll(self, session: WorkerSession, reply: WorkReply) -> None:
        poll, session.poll = session.poll, None
        assert poll is not None
        self._keep(session, reply)
        self._path.answer(poll.respond, reply)

    def _keep(self, session: WorkerSession, reply: WorkReply) -> None:
        session.replies[reply.sequence] = reply


def _own(info: WorkerInfo) -> WorkerInfo:
    """The worker with its own processes only: for the others it has room of another kind."""
    if not any(kind in IN_RAY for kind in info.executors):
        return info
    own = tuple(kind for kind in info.executors if kind not in IN_RAY)
    return msgspec.structs.replace(info, executors=own)
