"""The queue as one would write it on a page: a dict of jobs and sorted lists. Slow, and plain.

It shares nothing with the product but the words. Ids are small numbers, times are seconds.
"""

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

MAX_LOSSES = 5
CONCURRENCY = 2
PATIENCE = 10.0
KEPT_FAILED = 40.0


@dataclass
class Plain:
    """One job."""

    number: int
    priority: int
    max_attempts: int
    state: str = "pending"
    due: float = 0.0
    parents: frozenset[int] = frozenset()
    worker: str = ""
    delivery: int = 0
    attempts: int = 0
    losses: int = 0
    running: bool = False
    cancelling: bool = False
    suspect: bool = False
    leased_at: float = 0.0
    redriven: bool = False
    expires: float = 0.0
    policy: str = "cancel"
    awaited: set[int] = field(default_factory=set)
    let_down: bool = False
    claims: bool = False
    queue: str = "q"
    failed_at: float = 0.0
    within: float = 0.0
    saved: tuple[int, int] | None = None
    """The delivery and the number of its checkpoint."""

    def may_expire(self) -> bool:
        started = self.attempts or self.losses or self.redriven
        return bool(self.expires) and self.state in WAITING and not started


GOES_ON = ("continue", "only")
WAITING = ("pending", "scheduled", "blocked")
FINAL = ("completed", "failed", "cancelled", "expired")


@dataclass
class Model:
    """All jobs, in the order of enqueueing, and what was purged."""

    jobs: dict[int, Plain] = field(default_factory=dict)
    purged: set[int] = field(default_factory=set)
    holder: int | None = None
    held_until: float = 0.0
    """Who has the one unique key of this model; 0: until that job ends."""

    def states(self) -> dict[int, tuple[str, int, int, int]]:
        return {
            n: (job.state, job.delivery, job.attempts, job.losses) for n, job in self.jobs.items()
        }

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for number, job in self.jobs.items():
            if number not in self.purged:
                found[job.state] = found.get(job.state, 0) + 1
        return found

    def ready(self) -> list[int]:
        """In the order in which they are to be leased."""
        pending = [job for job in self.jobs.values() if job.state == "pending"]
        order = {n: place for place, n in enumerate(self.jobs)}
        pending.sort(key=lambda job: (-job.priority, order[job.number]))
        return [job.number for job in pending]

    def enqueue(
        self,
        numbers: list[int],
        wish: Plain,
        claim: str | None,
        now: float,
    ) -> bool:
        """Jobs like `wish`, under these numbers; False when one refuses them all."""
        before = deepcopy((self.jobs, self.holder, self.held_until))
        fresh: set[int] = set()
        for number in numbers:
            if number in self.jobs or number in fresh:
                continue
            if claim and not self._claim(number, claim, fresh, now):
                if claim == "raise":
                    self.jobs, self.holder, self.held_until = before
                    return False
                continue
            if claim:
                self._hold(number, wish, now)
            fresh.add(number)
            self._add(replace(wish, number=number, awaited=set()), now)
        return True

    def _hold(self, number: int, job: Plain, now: float) -> None:
        self.holder, self.held_until = number, now + job.within if job.within else 0.0

    def _is_held(self, now: float) -> bool:
        return self.holder is not None and not 0 < self.held_until <= now

    def _claim(self, number: int, mode: str, fresh: set[int], now: float) -> bool:
        """Whether a job gets the key."""
        if not self._is_held(now) or self.holder is None:
            return True
        if mode != "replace":
            return False
        if self.holder in fresh:
            del self.jobs[self.holder]  # it was never stored
            return True
        if self.jobs[self.holder].state in WAITING:
            self._end(self.jobs[self.holder], "cancelled", now)
            return True
        return False

    def _add(self, job: Plain, now: float) -> None:
        self.jobs[job.number] = job
        ends = [self.jobs[parent].state for parent in job.parents]
        job.let_down = any(end in FINAL and end != "completed" for end in ends)
        if job.policy == "only" and job.parents and all(end == "completed" for end in ends):
            self._end(job, "cancelled", now)
            return
        for parent in job.parents:
            state = self.jobs[parent].state
            if state == "completed" or (state in FINAL and job.policy in GOES_ON):
                continue
            redrivable = state == "failed" and parent not in self.purged
            if state in FINAL and not (redrivable and job.policy == "wait"):
                job.state = "cancelled"
                self._let_go(job)
                return
            job.awaited.add(parent)
        if job.awaited:
            job.state = "blocked"
        elif job.due > 0:
            job.state = "scheduled"

    def pass_time(self, now: float) -> None:
        late = [j for j in self.jobs.values() if j.may_expire() and j.expires <= now]
        for job in late:
            job.state = "expired"
        for job in late:
            self._end(job, "expired", now)
        for job in self.jobs.values():
            if job.state == "scheduled" and job.due <= now:
                job.state = "pending"

    def lease(self, worker: str, want: int, now: float) -> list[tuple[int, int]]:
        given = []
        for job in map(self.jobs.__getitem__, self.leasable(worker, want, now)):
            job.state, job.worker, job.running = "processing", worker, False
            job.leased_at = now
            job.delivery += 1
            given.append((job.number, job.delivery))
        return given

    def leasable(self, worker: str, want: int, now: float) -> list[int]:
        """What this worker would be given."""
        suspects = sum(job.suspect for job in self.jobs.values())
        line = [self.jobs[number] for number in self.ready()[: want + suspects]]
        line = [job for job in line if not (job.may_expire() and job.expires <= now)]
        return self._portion([job.number for job in line], worker, now)[:want]

    def _portion(self, ready: list[int], worker: str, now: float) -> list[int]:
        """What waits, up to the first suspect that the worker is to try or will be able to."""
        had = self._in_hand(worker)
        if any(job.suspect for job in had):
            return []
        for number in ready:
            job, before = self.jobs[number], self._innocent(ready[: ready.index(number)])
            if job.suspect:
                settled_in = all(other.running for other in had) and len(had) < CONCURRENCY
                patient = all(now - other.leased_at < PATIENCE for other in had)
                if not had or (settled_in and not (job.losses and patient)):
                    return before or [number]
                if patient:
                    return before
        return self._innocent(ready)

    def _innocent(self, numbers: list[int]) -> list[int]:
        return [number for number in numbers if not self.jobs[number].suspect]

    def _in_hand(self, worker: str) -> list[Plain]:
        return [j for j in self.jobs.values() if j.state == "processing" and j.worker == worker]

    def start(self, worker: str, number: int) -> None:
        job = self.jobs.get(number)
        if job and job.state == "processing" and job.worker == worker:
            job.running, job.suspect = True, False

    def checkpoint(self, worker: str, number: int, delivery: int, save: int) -> None:
        job = self.jobs.get(number)
        if job is None or (job.state, job.worker, job.delivery) != ("processing", worker, delivery):
            return
        if job.saved is None or job.saved < (delivery, save):
            job.saved = (delivery, save)

    def settle(
        self,
        worker: str,
        number: int,
        delivery: int,
        kind: str,
        now: float,
        due: float,
        awaited: frozenset[int] = frozenset(),
    ) -> None:
        job = self.jobs.get(number)
        if job is None or (job.state, job.worker, job.delivery) != ("processing", worker, delivery):
            return
        job.suspect = False
        if kind == "completed":
            job.attempts += 1
            self._end(job, "completed", now)
        elif kind in ("errored", "final"):
            job.attempts += 1
            if job.cancelling:
                self._end(job, "cancelled", now)
            elif kind == "final" or job.attempts >= job.max_attempts:
                self._end(job, "failed", now)
            else:
                job.state, job.due = "scheduled", due
        elif kind == "cancelled" or job.cancelling:
            self._end(job, "cancelled", now)
        elif kind == "waiting":
            self._wait_for(job, awaited, now)
        elif kind == "snoozed":
            job.state, job.due, job.expires = "scheduled", due, 0.0
        else:
            job.state = "pending"

    def _wait_for(self, job: Plain, awaited: frozenset[int], now: float) -> None:
        if self._waits_for(awaited, job.number):
            job.attempts += 1
            self._end(job, "failed", now)
            return
        job.expires, job.awaited = 0.0, set()
        policy = "continue" if job.policy == "only" else job.policy
        for number in awaited:
            state = self.jobs[number].state
            if state == "completed" or (state in FINAL and policy == "continue"):
                continue
            redrivable = state == "failed" and number not in self.purged
            if state in FINAL and not (redrivable and policy == "wait"):
                self._end(job, "cancelled", now)
                return
            job.awaited.add(number)
        job.state = "blocked" if job.awaited else "pending"

    def _waits_for(self, numbers: frozenset[int], wanted: int) -> bool:
        """Whether any of these is that job, or waits for it, however far."""
        seen, line = set(numbers), list(numbers)
        for number in line:
            job = self.jobs[number]
            fresh = (job.awaited if job.state == "blocked" else set()) - seen
            seen |= fresh
            line += fresh
        return wanted in seen

    def release(self, worker: str, number: int, now: float) -> None:
        job = self.jobs.get(number)
        if job and job.state == "processing" and job.worker == worker:
            job.suspect = False
            self._give_back(job, now)

    def lose(self, worker: str, now: float) -> None:
        had = self._in_hand(worker)
        for job in had:
            charged = job.running or job.suspect or len(had) == 1
            job.suspect = not job.running
            if not job.cancelling and charged:
                job.losses += 1
                if job.losses >= MAX_LOSSES:
                    self._end(job, "failed", now)
                    continue
            self._give_back(job, now)

    def cancel(self, number: int, now: float) -> None:
        job = self.jobs.get(number)
        if job is None or job.state in FINAL:
            return
        if job.state == "processing":
            job.cancelling = True
        else:
            self._end(job, "cancelled", now)

    def redrive(self, number: int, changes: dict[str, Any], now: float) -> None:
        job = self.jobs.get(number)
        if job is None or job.state != "failed" or number in self.purged:
            return
        if job.claims:
            if self._is_held(now) and self.holder != number:
                return
            self._hold(number, job, now)
        job.state, job.attempts, job.losses, job.redriven = "pending", 0, 0, True
        for name, value in changes.items():
            setattr(job, name, value)

    def retire(self, now: float) -> set[int]:
        """Dead letters go whose time is over, unless others wait for them."""
        over = {
            job.number
            for job in self.jobs.values()
            if job.state == "failed" and job.failed_at + KEPT_FAILED <= now
            and not any(
                job.number in child.awaited and child.state == "blocked"
                for child in self.jobs.values()
            )
        } - self.purged  # fmt: skip
        self.purged |= over
        return over

    def purge(self, numbers: list[int]) -> None:
        self.purged.update(numbers)

    def _give_back(self, job: Plain, now: float) -> None:
        if job.cancelling:
            self._end(job, "cancelled", now)
        else:
            job.state = "pending"

    def _let_go(self, job: Plain) -> None:
        if self.holder == job.number and not self.held_until:
            self.holder = None

    def _end(self, job: Plain, state: str, now: float) -> None:
        job.state, job.cancelling, job.running, job.suspect = state, False, False, False
        job.failed_at = now
        if state != "failed":
            job.saved = None
        self._let_go(job)
        for child in self.jobs.values():
            if job.number not in child.awaited or child.state != "blocked":
                continue
            if state == "completed" or child.policy in GOES_ON:
                child.awaited.remove(job.number)
                child.let_down = child.let_down or state != "completed"
                if child.awaited:
                    continue
                if child.policy == "only" and not child.let_down and not child.delivery:
                    self._end(child, "cancelled", now)
                else:
                    child.state = "scheduled" if child.due > now else "pending"
            elif not (state == "failed" and child.policy == "wait"):
                self._end(child, "cancelled", now)
