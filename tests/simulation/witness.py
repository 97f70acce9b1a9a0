"""What the outside saw, kept where no fault can reach it, and what must be true of it.

The names of the checks are those of the fault programme: I1 nothing lost, I2 nothing invented,
I3 every completion has its run, I4 what completed never runs again, I5 leases do not overlap,
I6 stale tokens are refused, I7 a fenced writer counts for nothing, I8 order, I9 never early,
I10 attempts and losses are bounded, I11 the counts add up, I12 recovery gives the same state,
I13 what is whole is not called damaged, I14 everything drains, I15 a unique key has one holder,
I16 who waits for others goes on when these have ended, I17 a concurrency key has one holder,
I18 what is paused is not leased, I19 tenants take turns, I20 a delivery gets the last checkpoint
that the holders of earlier leases have saved, I21 a schedule fires once for each due time, I22 and
not while a run of it goes on, if that is not wanted, I23 no limit is exceeded, I24 no job is
without its large payload, and no such payload stays without its job.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from taskqueue_ray.core import events
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.events import decode
from taskqueue_ray.core.exchange import (
    Grant,
    JobView,
    Outcome,
    OutcomeKind,
    Save,
    WorkReply,
    WorkRequest,
)
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Finished, JobId, JobSpec, Leased, Options
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.opening import Opened
from tests.ledger import count_up, facts
from tests.simulation.firings import Firings
from tests.simulation.order import Order
from tests.simulation.scripts import checkpoint_of, result_of

if TYPE_CHECKING:
    from tests.simulation.world import World


class Violation(AssertionError):
    """A promise was broken; `invariant` is its name."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant = invariant


class Witness:
    """Sees every message, run and commit, and forgets nothing."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.specs: dict[JobId, tuple[JobSpec, Options]] = {}
        self.promised: set[JobId] = set()
        self.purged: set[JobId] = set()
        self.redriven: set[JobId] = set()
        self.allowed: dict[JobId, int] = {}
        self.told: dict[JobId, tuple[JobState, bytes | None]] = {}
        self.asked: dict[str, float] = {}
        self.answers: dict[str, list[JobId]] = {}
        self.runs: set[tuple[JobId, int, str]] = set()
        self.leases: dict[tuple[JobId, int], tuple[str, int]] = {}
        self.highest: dict[JobId, int] = {}
        self.completed: dict[JobId, int] = {}
        self.kills: dict[JobId, set[int]] = {}
        self.order = Order(self)
        self.saves: dict[tuple[JobId, int], int] = {}
        self.shadow = Shadow(self)

    def fail(self, invariant: str, what: str) -> None:
        if invariant not in self._world.blind:
            raise Violation(invariant, what)

    @property
    def fair(self) -> bool:
        """Whether there are tenants in this world."""
        return self._world.fair

    def queues_of(self, worker: str) -> tuple[str, ...]:
        return self._world.queues_of(worker)

    # --- clients ---

    def invoked(self, jobs: Sequence[JobSpec], shared: Sequence[Options]) -> None:
        for job in jobs:
            self.specs[job.id] = (job, shared[job.options])

    def may_try(self, job_id: JobId, attempts: int) -> None:
        """A redrive was asked for that gives a job so many attempts."""
        self.allowed[job_id] = max(attempts, self.allowed.get(job_id, 0))

    def accepted(self, ids: Iterable[JobId]) -> None:
        self.promised.update(ids)

    def refused(self, jobs: Sequence[JobSpec], refusal: InvalidRequest) -> bool:
        """Whether the refusal is final: only of a batch whose parent was purged and forgotten.

        A former owner that has nothing to commit refuses by what it remembers, which may be old:
        nothing is promised by that, and the present owner is asked next.
        """
        if self._world.agenda.now < self._world.divided_until:
            return False
        parents = {parent for job in jobs for parent in job.parents}
        if not parents & self.purged:
            self.fail("I1", f"refused a sound batch: {refusal}")
        return True

    def answered(self, command_id: str, moved: list[JobId]) -> None:
        age = self._world.agenda.now - self.asked[command_id]
        # Receipts are kept for a day.
        in_time = age < self._world.bounds.remember_seconds / 2
        if self.answers.setdefault(command_id, moved) != moved and in_time:
            self.fail("I6", f"command {command_id} was answered in two ways")

    def reported(self, job_id: JobId, state: JobState, result: bytes | None) -> None:
        """A client was told how a job ended: from now on that is so."""
        if job_id in self.purged:
            return
        before = self.told.get(job_id)
        if before is not None and before[0] is not state and job_id not in self.redriven:
            self.fail("I1", f"{job_id.hex()} ended as {before[0]} and then as {state}")
        if before is None or result is not None:
            self.told[job_id] = (state, result)
        if state is JobState.COMPLETED and result is not None:
            self._check_result(job_id, result)

    def _check_result(self, job_id: JobId, result: bytes) -> None:
        told, delivery, worker = result.decode().split("/")
        if told != job_id.hex() or (job_id, int(delivery), worker) not in self.runs:
            self.fail("I3", f"{job_id.hex()} completed without the run {result.decode()}")
        self._completes(job_id, int(delivery))

    def _completes(self, job_id: JobId, delivery: int) -> None:
        """The one delivery that completed a job is also its last one."""
        if job_id in self.purged:
            return
        if self.completed.setdefault(job_id, delivery) != delivery:
            self.fail("I6", f"{job_id.hex()} was completed by two deliveries")
        if self.highest.get(job_id, 0) > delivery:
            self.fail("I4", f"{job_id.hex()} completed in delivery {delivery}, and has later ones")

    # --- workers ---

    def granted(self, grant: Grant, worker: str) -> None:
        if grant.id not in self.specs:
            self.fail("I2", f"{grant.id.hex()} was never enqueued")
        token = (worker, grant.lease)
        if grant.id in self.purged:
            return  # beyond the horizon its id may be used again
        if self.leases.setdefault((grant.id, grant.delivery), token) != token:
            self.fail("I5", f"delivery {grant.delivery} of {grant.id.hex()} was given twice")
        self.highest[grant.id] = max(grant.delivery, self.highest.get(grant.id, 0))
        if (done := self.completed.get(grant.id)) is not None:
            self._completes(grant.id, done)
        self.shadow.checkpoints.resumed(grant)
        self.shadow.firings.granted(grant)
        most = max(self.specs[grant.id][1].max_attempts, self.allowed.get(grant.id, 0))
        if grant.attempt > most:
            self.fail("I10", f"{grant.id.hex()} is given for attempt {grant.attempt}")

    def started(self, grant: Grant, worker: str) -> None:
        due = self.specs[grant.id][0].due
        if self._world.agenda.now < due:
            self.fail("I9", f"{grant.id.hex()} runs {due - self._world.agenda.now:.3f} s early")

    def saved(self, grant: Grant, number: int) -> None:
        """A run has saved a checkpoint."""
        self.saves[grant.id, grant.delivery] = number

    def killed(self, grant: Grant) -> None:
        """The job killed its worker in the moment in which it began.

        Each time is a loss of it, but for the first after it came, or came back in good order.
        """
        kills = self.kills.setdefault(grant.id, set())
        kills.add(grant.delivery)
        redriven, returned = self.shadow.redriven[grant.id], self.shadow.returned[grant.id]
        most = (self._world.bounds.max_losses + 1) * (1 + redriven) + returned
        if len(kills) > most and not self.shadow.astray:
            self.fail("I10", f"{grant.id.hex()} has killed {len(kills)} workers")

    def finished(self, grant: Grant, worker: str) -> None:
        """The whole effect of a run: what it was for has been done."""
        self.runs.add((grant.id, grant.delivery, worker))

    def settled(self, request: WorkRequest, reply: WorkReply) -> None:
        """The worker knows what became of its outcomes."""
        for outcome in request.outcomes:
            if outcome.kind is OutcomeKind.COMPLETED and outcome.id not in reply.stale:
                self._completes(outcome.id, outcome.delivery)

    # --- the disk ---

    def submitted(self, epoch: int, index: int, payload: bytes) -> None:
        self.shadow.submitted(epoch, index, payload)

    def durable(self, epoch: int, index: int, payload: bytes) -> None:
        self.shadow.durable(epoch, index, payload)

    def recovered(self, opened: Opened) -> None:
        self.shadow.recovered(opened)

    def looked(self, state: State) -> None:
        """At every tick: what the queue says of itself adds up."""
        try:
            count_up(state)
        except AssertionError as error:
            self.fail("I11", str(error))

    # --- the end ---

    def undecided(self, views: dict[JobId, JobView | None]) -> list[JobId]:
        """The promised jobs that have not ended."""
        open_ones = []
        for job_id in self.promised - self.purged:
            view = views.get(job_id)
            if view is None or not view.state.final:
                open_ones.append(job_id)
        return open_ones

    def judge(self, views: dict[JobId, JobView | None], history: list[JobView]) -> None:
        """All that can be said once everything has come to rest."""
        rows = [(view.id, view.generation) for view in history]
        if len(set(rows)) != len(rows):
            self.fail("I2", "history has one ending twice")
        for view in history:
            if view.id not in self.specs:
                self.fail("I2", f"{view.id.hex()} in history was never enqueued")
        for job_id in self.promised - self.purged:
            self._judge(job_id, views.get(job_id))

    def _judge(self, job_id: JobId, view: JobView | None) -> None:
        if view is None:
            self.fail("I1", f"{job_id.hex()} was acknowledged and is gone")
            return
        told = self.told.get(job_id)
        if told and told[0] is not view.state and job_id not in self.redriven:
            self.fail("I1", f"{job_id.hex()} is {view.state}, and a client was told {told[0]}")
        if view.state is JobState.COMPLETED:
            if view.result != result_of(_as_grant(view), view.result.decode().split("/")[-1]):
                self.fail("I6", f"{job_id.hex()} has the result of another delivery")
            self._check_result(job_id, view.result)
        elif job_id in self.completed:
            self.fail("I1", f"a completion of {job_id.hex()} was acknowledged; it is {view.state}")
        self._judge_tries(view)

    def _judge_tries(self, view: JobView) -> None:
        most, losses = view.options.max_attempts, self._world.bounds.max_losses
        if view.attempts > most or view.losses > losses:
            self.fail("I10", f"{view.id.hex()}: {view.attempts} attempts, {view.losses} losses")
        expected = {"attempts": view.attempts == most, "poison": view.losses == losses}
        if view.state is JobState.FAILED and not expected.get(view.reason, view.reason == "final"):
            self.fail("I10", f"{view.id.hex()} failed by {view.reason!r} too soon")


class Shadow:
    """The state that the acknowledged commits make, followed on the side."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.payloads: list[bytes] = []
        self.pending: dict[int, list[bytes]] = {}
        self.epoch = 0
        self.state = State()
        self.purged = 0
        self.doubted: set[JobId] = set()
        """Jobs that were lost before they began, and are not tried since."""
        self.awaited: dict[JobId, tuple[JobId, ...]] = {}
        """For which jobs those wait that asked to."""
        self.returned: Counter[JobId] = Counter()
        self.redriven: Counter[JobId] = Counter()
        self.astray = False
        self.checkpoints = Checkpoints(self)
        self.firings = Firings(self)

    def _lost(self, what: str) -> None:
        """Recovery went wrong. One who is blind to that sees nothing more here."""
        self.astray = True
        self.witness.fail("I12", what)

    def submitted(self, epoch: int, index: int, payload: bytes) -> None:
        for event in decode(payload):
            self.firings.announced(event)
        self.pending.setdefault(index, []).append(payload)

    def durable(self, epoch: int, index: int, payload: bytes) -> None:
        if epoch < self.epoch:
            self.witness.fail("I7", f"epoch {epoch} commits after epoch {self.epoch} has")
            return
        self.epoch = epoch
        if self.astray:
            return
        if index != len(self.payloads) + 1:
            self._lost(f"commit {index} follows {len(self.payloads)}")
            return
        self._add(payload)
        self.pending.pop(index, None)

    def recovered(self, opened: Opened) -> None:
        """What a new process found is what was acknowledged, and at most one commit more."""
        self.witness.order.restarted()
        if self.astray:
            return
        found = opened.journal.next_commit - 1
        if found < len(self.payloads):
            self._lost(f"{len(self.payloads)} commits acknowledged, {found} found")
        elif found == len(self.payloads) + 1:
            self._adopt(found, opened)
        elif found > len(self.payloads):
            self._lost(f"{found} commits found of {len(self.payloads)}")
        self.pending.clear()
        # Once more: the last commit of the former process may have had a lease in it.
        self.witness.order.restarted()
        if difference := self._difference(self.payloads, opened):
            self._lost(f"recovered otherwise than replayed: {difference}")

    def _adopt(self, index: int, opened: Opened) -> None:
        """A commit whose writer never learned that it was durable."""
        for payload in self.pending.get(index, []):
            if not self._difference([*self.payloads, payload], opened):
                self._add(payload)
                return
        self._lost(f"commit {index} is none that was submitted")

    def _difference(self, payloads: Iterable[bytes], opened: Opened) -> str:
        state = State()
        for payload in payloads:
            for event in decode(payload):
                apply(state, event)
        snapshot = opened.fence.manifest.snapshot
        if snapshot is not None and snapshot.commit > state.folded:
            apply(state, events.Folded(snapshot.commit, 0.0))
        here, there = facts(opened.state), facts(state)
        return ", ".join(name for name in here if here[name] != there[name])

    def _add(self, payload: bytes) -> None:
        self.payloads.append(payload)
        for event in decode(payload):
            self._check(event)
            self.checkpoints.check(event)
            self.firings.check(event)
            self._doubt(event)
            apply(self.state, event)
            self._close_cases()
        counted = sum(sum(t.counts.values()) for t in self.state.totals.values())
        if counted + self.purged != self.state.ordinal:
            self.witness.fail("I11", f"{counted} jobs counted, {self.state.ordinal} enqueued")
        count_up(self.state)
        self._check_keys()

    def _check_keys(self) -> None:
        """Of the jobs that have not ended, one has a unique key, and the queue knows which."""
        holders: dict[str, JobId] = {}
        for job in self.state.jobs.values():
            claim = job.conditions.unique
            if claim is None or job.state.final:
                continue
            if claim.key in holders:
                self.witness.fail("I15", f"two jobs have the unique key {claim.key!r}")
            holders[claim.key] = job.id
        if holders != {key: hold.job for key, hold in self.state.unique.items()}:
            self.witness.fail("I15", "a unique key is held by none, or by a job that has ended")

    def _check(self, event: Any) -> None:
        jobs = self.state.jobs
        if isinstance(event, events.Leased):
            if any(jobs[i].state is not JobState.PENDING for i in event.ids):
                self.witness.fail("I5", "a job was leased that was not pending")
            self._check_waits(event)
            self.witness.order.check(self.state, event, self.doubted)
            self._check_apart(event)
        elif isinstance(event, events.Settled):
            for outcome in event.completed:
                phase, job = jobs[outcome.id].phase, jobs[outcome.id]
                token = (outcome.delivery, outcome.lease)
                if not isinstance(phase, Leased) or token != (job.delivery, phase.lease):
                    self.witness.fail("I6", "a completion was taken under a stale token")
        elif isinstance(event, events.Permitted):
            self.witness.order.permitted(self.state, event)
        elif isinstance(event, events.Purged):
            self.purged += len(event.ids)
            self._check_purged(event)
        elif isinstance(event, events.Promoted) and event.until > self.witness._world.agenda.now:
            self.witness.fail("I9", "a promotion came early")

    def _check_waits(self, event: events.Leased) -> None:
        """What a job waited for has ended, unless somebody sent it again meanwhile."""
        for job_id in event.ids:
            for one in self.awaited.pop(job_id, ()):
                state = self.state.state_of(one)
                if state is not None and not state.final and not self.redriven[one]:
                    self.witness.fail("I16", f"{job_id.hex()} goes on before {one.hex()} ended")

    def _check_purged(self, event: events.Purged) -> None:
        """Somebody asked for it, or it was a dead letter whose time is over."""
        kept = self.witness._world.bounds.retention.failed
        assert isinstance(kept, float)
        for job_id in event.ids:
            job = self.state.jobs.get(job_id)
            phase = job.phase if job is not None else None
            over = (
                isinstance(phase, Finished)
                and phase.state is JobState.FAILED
                and phase.at + kept <= event.at
            )
            if not over and job_id not in self.witness.purged:
                self.witness.fail("I1", f"{job_id.hex()} was purged, and nobody asked for that")
            self.witness.purged.add(job_id)

    def _doubt(self, event: Any) -> None:
        """Jobs lost before they began are suspects; those that a worker outlived are so no more."""
        if isinstance(event, events.Lost):
            if not self.doubted.isdisjoint(event.held):
                self.witness.fail("I10", "a job was lost again before it began, and not charged")
            jobs, lost = self.state.jobs, (*event.held, *event.running)
            self.doubted.update(one for one in lost if not jobs[one].running)
        elif isinstance(event, events.Started):
            self.doubted.difference_update(event.ids)
        elif isinstance(event, events.Redriven):
            self.redriven.update(event.ids)
        elif isinstance(event, events.Settled | events.Released):
            returned = event.ids if isinstance(event, events.Released) else event.released
            self.returned.update(returned)
            waiting = [] if isinstance(event, events.Released) else event.waiting
            self.awaited.update((one.id, one.awaited) for one in waiting)
            self.doubted.difference_update(one.id for one in waiting)
            self.doubted.difference_update(returned)

    def _close_cases(self) -> None:
        """What does not wait to be run, or runs, is no suspect."""
        waits = (JobState.PENDING, JobState.PROCESSING)
        self.doubted = {one for one in self.doubted if self.state.state_of(one) in waits}

    def _check_apart(self, event: events.Leased) -> None:
        """A suspect is alone in its lease, and not followed before it has begun."""
        hands = self.state.held.get(event.worker, {})
        alone = len(event.ids) == 1 or self.doubted.isdisjoint(event.ids)
        if not alone or not self.doubted.isdisjoint(hands):
            self.witness.fail("I10", "a suspect was leased with other jobs")


class Checkpoints:
    """Which checkpoint each run must get: what the acknowledged commits say."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow = shadow
        self._kept: dict[JobId, dict[int, int]] = {}
        """Of each job the number of the last checkpoint in each of its deliveries."""

    def check(self, event: Any) -> None:
        if isinstance(event, events.Checkpointed):
            for save in event.saves:
                self._check_save(save, event.worker)
        elif isinstance(event, events.Settled):
            failed = [one.outcome for one in event.failed]
            for outcome in (*(one.outcome for one in event.retried), *failed, *event.snoozed):
                self._check_end(outcome)

    def _check_save(self, save: Save, worker: str) -> None:
        job = self._shadow.state.jobs[save.id]
        phase, kept = job.phase, self._kept.setdefault(save.id, {})
        content = checkpoint_of(job.delivery, save.number)
        if not isinstance(phase, Leased) or phase.worker != worker or save.sealed != content:
            self._fail(f"a checkpoint of {save.id.hex()} was taken from a stale holder")
        if save.number <= kept.get(job.delivery, 0):
            self._fail(f"a later checkpoint of {save.id.hex()} gave way to an earlier one")
        kept[job.delivery] = save.number

    def _check_end(self, outcome: Outcome) -> None:
        """A run that ended in good order has lost nothing of what it saved."""
        made = self._shadow.witness.saves.get((outcome.id, outcome.delivery), 0)
        kept = self._kept.get(outcome.id, {}).get(outcome.delivery, 0)
        if kept != made:
            self._fail(f"{outcome.id.hex()} saved {made}, and {kept} is kept")

    def resumed(self, grant: Grant) -> None:
        """A run begins with what the last one before it had saved."""
        earlier = [one for one in self._kept.get(grant.id, {}) if one < grant.delivery]
        last = max(earlier, default=0)
        due = checkpoint_of(last, self._kept[grant.id][last]) if last else None
        if grant.checkpoint != due and not self._shadow.astray:
            self._fail(f"{grant.id.hex()} begins with {grant.checkpoint!r}, not with {due!r}")

    def _fail(self, what: str) -> None:
        self._shadow.witness.fail("I20", what)


def _as_grant(view: JobView) -> Grant:
    return Grant(view.id, view.delivery, 0, 0, 0, b"")
