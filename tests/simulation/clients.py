"""Simulated clients: they enqueue, repeat, watch, look, cancel, redrive and purge."""

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from taskqueue_ray.core.changes import Changes
from taskqueue_ray.core.envelopes import decode, encode, open_reply
from taskqueue_ray.core.errors import BlobLost, InvalidRequest, TaskQueueError
from taskqueue_ray.core.exchange import EnqueueReply, JobView, WatchReply, WatchRequest
from taskqueue_ray.core.identity import make_job_id
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import (
    Claim,
    Conditions,
    JobId,
    JobSpec,
    OnConflict,
    OnParentFailure,
    Options,
    Use,
)
from taskqueue_ray.core.retry import Backoff
from tests.faultfs import PowerCut
from tests.records import raw_batch
from tests.simulation.scripts import make_script

if TYPE_CHECKING:
    from tests.simulation.world import World

HOLD = 3.0
PATIENCE = HOLD + 3.0
PAUSE = 1.5
BACKOFFS = (Backoff(base=0.5, max=3.0), Backoff(kind="fixed", base=1.0, jitter=False))
QUEUES = ("mail", "reports")
KEYS = ("daily", "weekly")
TENANTS = ("", "acme", "beta")
CHANGES = (
    Changes(), Changes(queue="reports"), Changes(priority=10), Changes(queue="mail", priority=1),
    Changes(max_attempts=4),
)  # fmt: skip
MODES: tuple[OnConflict, ...] = ("return_existing", "replace")
POLICIES: tuple[OnParentFailure, ...] = ("cancel", "continue")
LIMITS = (
    (Use("api"),), (Use("api", 2),), (Use("gpu"),), (Use("gpu"), Use("api")), (Use("api", 1, "k"),),
)  # fmt: skip

Raw = bytes
Sent = tuple[Raw, list[JobSpec]]


class Client:
    """A program that uses the queue. What it was told is law for the witness."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.chance = Random(f"{world.seed}/{name}")
        self.sent: list[Sent] = []
        self.mine: list[JobId] = []
        self.ended: dict[JobId, JobState] = {}
        self.commands = 0
        self.watch_sequence = 0
        self.told: set[JobId] = set()
        self._later(self.chance.random(), self._act)
        self._later(1.0, lambda: self._watch(reset=True))

    def _act(self) -> None:
        if not self.world.busy:
            return
        luck = self.chance.random()
        if luck < 0.45 or not self.mine:
            self._enqueue_new()
        elif luck < 0.60:
            self._enqueue(*self.chance.choice(self.sent))
        elif luck < 0.75:
            self._command("cancel", [self.chance.choice(self.mine)])
        elif luck < 0.85:
            failed = [i for i, state in self.ended.items() if state is JobState.FAILED]
            self._command("redrive", failed[-2:])
        elif luck < 0.90:
            self._command("purge", list(self.ended)[:1])
        else:
            self._look(self.chance.choice(self.mine))
        self._later(self.chance.random() * 3, self._act)

    # --- enqueueing ---

    def _enqueue_new(self) -> None:
        chance = self.chance
        shared = [self._options(), self._options()]
        jobs: list[JobSpec] = []
        for _ in range(chance.choice((1, 1, 2, 4))):
            now = self.world.agenda.now
            due = now + chance.choice((1, 5, 20)) if chance.random() < 0.2 else 0.0
            parents = self._parents([job.id for job in jobs])
            made = make_job_id(now, chance.randbytes(9))
            script = make_script(chance)
            payload = msgspec.msgpack.encode(script)
            # One that kills its worker at once is not to be seen running, as while it is fetched.
            if self.world.large and chance.random() < 0.3 and not script.at_once:
                payload = self.world.sender.keep(made, payload)
            conditions = self._conditions(alone=not jobs)
            jobs.append(JobSpec(made, chance.randrange(2), payload, due, parents, conditions))
        raw = raw_batch(jobs, *shared)
        self.world.witness.invoked(jobs, shared)
        self.sent.append((raw, jobs))
        self.world.sender.send(jobs, lambda: self._enqueue(raw, jobs))
        if chance.random() < 0.3:  # impatient: it asks again before it can have been answered
            self._later(chance.random() * 0.5, lambda: self._enqueue(raw, jobs))

    def _options(self) -> Options:
        chance = self.chance
        return Options(
            queue=chance.choice(QUEUES), type="t", priority=chance.choice((1, 5, 5, 10)),
            max_attempts=chance.choice((1, 2, 3)), backoff=chance.choice(BACKOFFS),
            tags=chance.choice(((), (), ("bulk",))),
        )  # fmt: skip

    def _conditions(self, *, alone: bool) -> Conditions | None:
        """Some of all there are.

        Only the first of a batch may replace another: who depends on one that is replaced by a
        later one of its batch is refused.
        """
        chance = self.chance
        tenant = chance.choice(TENANTS) if self.world.fair else ""
        if chance.random() > 0.5:
            return Conditions(fair_key=tenant) if tenant else None
        limits: tuple[Use, ...] = ()
        if self.world.limited and chance.random() < 0.6:
            limits = chance.choice(LIMITS)
            if chance.random() < 0.7:
                return Conditions(fair_key=tenant, limits=limits)
        key, mode = chance.choice(KEYS), chance.choice(MODES) if alone else MODES[0]
        expires = self.world.agenda.now + chance.choice((2, 20, 60))
        return Conditions(
            expires=expires if chance.random() < 0.2 else 0.0,
            unique=Claim(key, 0.0, mode) if chance.random() < 0.4 else None,
            on_parent_failure=chance.choice(POLICIES),
            fair_key=tenant,
            concurrency_key=chance.choice(("", "", "account")),
            ordered=chance.random() < 0.5,
            limits=limits,
        )

    def _parents(self, batch: list[JobId]) -> tuple[JobId, ...]:
        if self.chance.random() > 0.2:
            return ()
        purged = self.world.witness.purged
        choice = batch + [i for i in self.mine[-3:] if i not in purged]
        return tuple(self.chance.sample(choice, min(len(choice), 2)))

    def _enqueue(self, raw: Raw, jobs: list[JobSpec]) -> None:
        """Repeat until the queue has said yes, or that it never will."""

        def answer(reply: bytes | None) -> None:
            try:
                if reply is not None:
                    told = decode(open_reply(reply), EnqueueReply)
                    left_out = {*told.existing, *told.dropped}
                    self._accepted([j.id for i, j in enumerate(jobs) if i not in left_out])
                    return
            except BlobLost:
                self.world.sender.send(jobs, lambda: self._enqueue(raw, jobs))
                return
            except InvalidRequest as refusal:
                if self.world.witness.refused(jobs, refusal):
                    return
            except TaskQueueError:
                pass
            self._later(PAUSE, lambda: self._enqueue(raw, jobs))

        self.world.transport.call("enqueue", raw, PATIENCE, answer)

    def _accepted(self, ids: list[JobId]) -> None:
        self.world.witness.accepted(ids)
        self.mine += [i for i in ids if i not in self.mine]

    # --- commands ---

    def _command(self, method: str, ids: list[JobId]) -> None:
        self.commands += 1
        command_id = f"{self.name}-{self.commands}"
        self.world.witness.asked[command_id] = self.world.agenda.now
        if method == "purge":
            self.world.witness.purged.update(ids)
        if method == "redrive":
            self.world.witness.redriven.update(ids)
        call = (command_id, ids, *self._particulars(method, ids))
        repeats = 1 + (self.chance.random() < 0.3)
        for _ in range(repeats):
            self._send_command(method, command_id, call)

    def _particulars(self, method: str, ids: list[JobId]) -> tuple[Any, ...]:
        """What goes with a command besides the ids."""
        if method == "purge":
            return ()
        if method == "cancel":
            return ("asked",)
        changes = self.chance.choice(CHANGES)
        if isinstance(changes.max_attempts, int):
            for job_id in ids:
                self.world.witness.may_try(job_id, changes.max_attempts)
        return (changes,)

    def _send_command(self, method: str, command_id: str, call: tuple[Any, ...]) -> None:
        def answer(reply: bytes | None) -> None:
            try:
                if reply is not None:
                    moved = decode(open_reply(reply), list[JobId])
                    self.world.witness.answered(command_id, moved)
                    return
            except TaskQueueError:
                pass
            self._later(PAUSE, lambda: self._send_command(method, command_id, call))

        self.world.transport.call(method, encode(call), PATIENCE, answer)

    # --- reading ---

    def _look(self, job_id: JobId) -> None:
        def answer(reply: bytes | None) -> None:
            try:
                view = reply and decode(open_reply(reply), JobView | None)  # type: ignore[arg-type]
            except TaskQueueError:
                return
            if view and view.state.final:
                self._learned(job_id, view.state, view.result)

        self.world.transport.call("job", encode(job_id), PATIENCE, answer)

    def _watch(self, *, reset: bool) -> None:
        """One held call for all jobs.

        It begins anew when its answer was lost, or brought nothing: what a lost answer told is
        not told again.
        """
        wanted = [i for i in self.mine if i not in self.ended]
        fresh = wanted if reset else [i for i in wanted if i not in self.told]
        self.told = set(wanted)
        self.watch_sequence += 1
        request = WatchRequest(self.name, self.watch_sequence, fresh, reset, HOLD)

        def answer(reply: bytes | None) -> None:
            try:
                told = reply and decode(open_reply(reply), WatchReply)
            except TaskQueueError:
                told = None
            if told:
                for one in told.ended:
                    if one.state is not None:
                        self._learned(one.id, one.state, one.result if one.known else None)
                    else:
                        self._look_back(one.id)
            self._later(0.3, lambda: self._watch(reset=not (told and told.ended)))

        self.world.transport.call("watch", encode(request), PATIENCE, answer)

    def _look_back(self, job_id: JobId) -> None:
        """Memory has forgotten it: the history knows."""
        try:
            views = self.world.history()
        except OSError:
            return  # it is asked again
        except PowerCut:
            self.world.power_cut()
            return
        for view in views:
            if view.id == job_id:
                self._learned(job_id, view.state, view.result)

    def _learned(self, job_id: JobId, state: JobState, result: bytes | None) -> None:
        self.ended[job_id] = state
        self.world.witness.reported(job_id, state, result)

    def _later(self, delay: float, deed) -> None:  # type: ignore[no-untyped-def]
        self.world.agenda.later(delay, deed)
