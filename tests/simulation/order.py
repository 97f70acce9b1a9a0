"""Who may be leased next, as the outside sees it in each lease that was committed."""

from collections import Counter
from typing import TYPE_CHECKING

from taskqueue_ray.core import events
from taskqueue_ray.core.expiries import may_expire
from taskqueue_ray.core.model import Job, JobId, Use
from taskqueue_ray.core.state import State
from tests.simulation.limits import Limits
from tests.standing import is_paused, key_of, leasable, taken_keys, whats_of

if TYPE_CHECKING:
    from tests.simulation.witness import Witness

Tenant = tuple[str, int, str]
"""A queue, a priority, and a fair key: those of one queue and priority take turns."""


class Order:
    """Follows leases: I8 the order, I17 concurrency keys, I18 pauses, I19 turns of tenants,
    I23 limits.
    """

    def __init__(self, witness: "Witness") -> None:
        self._witness = witness
        self.paused: set[tuple[str, str]] = set()
        """Pauses that were acknowledged, until somebody asks to end them."""
        self.overtaken: dict[Tenant, Counter[Tenant]] = {}
        """Who was leased how often while this tenant waited."""
        self.limits = Limits(witness)

    def permitted(self, state: State, event: events.Permitted) -> None:
        """Running code was let through."""
        self.limits.use(state, Use(event.name, event.units, event.key), event.at)

    def restarted(self) -> None:
        """Whose turn it is has been forgotten."""
        self.overtaken.clear()

    def check(self, state: State, event: events.Leased, doubted: set[JobId]) -> None:
        """A lease, in the state in which it was given."""
        jobs = [state.jobs[one] for one in event.ids]
        self._check_pauses(state, jobs)
        self._check_keys(state, jobs)
        self.limits.check(state, event.at, jobs)
        queues = self._witness.queues_of(event.worker)
        chosen = set(event.ids)
        line = [
            job
            for job in leasable(state)
            # When a limit holds those that were not leased is I14's affair, and that of unit tests.
            if (job.id in chosen or not job.conditions.limits)
            and (not queues or job.options.queue in queues)
            and not (may_expire(job) and 0 < job.conditions.expires <= event.at)
        ]
        # Only suspects may be passed over, and only by what is none.
        trusted = [job for job in line if job.id not in doubted]
        ids = [job.id for job in line]
        if not set(event.ids) <= set(ids):
            self._witness.fail("I8", "a job was leased that nobody may have")
            return
        if doubted.issuperset(ids[: ids.index(event.ids[0]) + 1]):
            return
        if self._witness.fair:
            self._check_turns(jobs, trusted, undoubted=not doubted)
        elif trusted[: len(jobs)] != jobs:
            self._witness.fail("I8", "a job was passed over")

    def _check_pauses(self, state: State, jobs: list[Job]) -> None:
        """By what was committed, and by what the operator was told."""
        for job in jobs:
            told = not self.paused.isdisjoint(whats_of(job.options))
            if told or is_paused(state, job.options):
                self._witness.fail("I18", f"{job.id.hex()} was leased although it is paused")

    def _check_keys(self, state: State, jobs: list[Job]) -> None:
        taken = taken_keys(state)
        for job in jobs:
            key = key_of(job)
            if key is not None and key in taken:
                self._witness.fail("I17", f"two jobs have the concurrency key {key[1]!r}")
            if key is not None:
                taken.add(key)

    def _check_turns(self, jobs: list[Job], line: list[Job], *, undoubted: bool) -> None:
        """Priority first, age among those of one tenant, and one turn of another at most."""
        for job in jobs:
            if job not in line:
                continue
            waiting = {tenant_of(other) for other in line}
            for other in line:
                sooner = other.ordinal < job.ordinal and tenant_of(other) == tenant_of(job)
                if other.options.priority > job.options.priority or sooner:
                    self._witness.fail("I8", "a job was passed over by one of less right")
            if undoubted:
                self._take_turn(tenant_of(job), waiting)
            else:
                self.overtaken.clear()
            line.remove(job)

    def _take_turn(self, one: Tenant, waiting: set[Tenant]) -> None:
        self.overtaken.pop(one, None)
        self.overtaken = {key: value for key, value in self.overtaken.items() if key in waiting}
        for other in waiting:
            if other != one and other[:2] == one[:2]:
                turns = self.overtaken.setdefault(other, Counter())
                turns[one] += 1
                if turns[one] > 1:
                    self._witness.fail("I19", f"{one} had two turns while {other} waited")


def tenant_of(job: Job) -> Tenant:
    """Among whom, and for whom, a job takes its turn."""
    return (job.options.queue, job.options.priority, job.conditions.fair_key)
