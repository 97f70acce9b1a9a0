"""The queue as one would write it on a page: a dict of jobs and sorted lists. Slow, and plain.

It shares nothing with the product but the words. Ids are small numbers, times are seconds.
"""

from dataclasses import dataclass, field

MAX_LOSSES = 5
CONCURRENCY = 2
PATIENCE = 10.0


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
    result: bytes = b""


FINAL = ("completed", "failed", "cancelled", "expired")


@dataclass
class Model:
    """All jobs, in the order of enqueueing, and what was purged."""

    jobs: dict[int, Plain] = field(default_factory=dict)
    purged: set[int] = field(default_factory=set)

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
        number: int,
        priority: int,
        max_attempts: int,
        due: float,
        parents: frozenset[int],
        now: float,
    ) -> None:
        if number in self.jobs:
            return
        job = self.jobs[number] = Plain(number, priority, max_attempts, due=due, parents=parents)
        ends = {self.jobs[p].state for p in parents}
        if ends & {"failed", "cancelled", "expired"}:
            job.state = "cancelled"
        elif parents and ends != {"completed"}:
            job.state = "blocked"
        elif due > 0:
            job.state = "scheduled"

    def pass_time(self, now: float) -> None:
        for job in self.jobs.values():
            if job.state == "scheduled" and job.due <= now:
                job.state = "pending"

    def lease(self, worker: str, want: int, now: float) -> list[tuple[int, int]]:
        given = []
        for number in self._portion(worker, now)[:want]:
            job = self.jobs[number]
            job.state, job.worker, job.running = "processing", worker, False
            job.leased_at = now
            job.delivery += 1
            given.append((number, job.delivery))
        return given

    def _portion(self, worker: str, now: float) -> list[int]:
        """What waits, up to the first suspect that the worker is to try or will be able to."""
        had = self._in_hand(worker)
        if any(job.suspect for job in had):
            return []
        ready = self.ready()
        for number in ready:
            job, before = self.jobs[number], self._innocent(ready[: ready.index(number)])
            if job.suspect:
                settled_in = all(other.running for other in had) and len(had) < CONCURRENCY
                if not had or (settled_in and not job.losses):
                    return before or [number]
                if all(now - other.leased_at < PATIENCE for other in had):
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

    def settle(
        self, worker: str, number: int, delivery: int, kind: str, now: float, due: float
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
        elif kind == "snoozed":
            job.state, job.due = "scheduled", due
        else:
            job.state = "pending"

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

    def redrive(self, number: int) -> None:
        job = self.jobs.get(number)
        if job and job.state == "failed" and number not in self.purged:
            job.state, job.attempts, job.losses = "pending", 0, 0

    def purge(self, numbers: list[int]) -> None:
        self.purged.update(numbers)

    def _give_back(self, job: Plain, now: float) -> None:
        if job.cancelling:
            self._end(job, "cancelled", now)
        else:
            job.state = "pending"

    def _end(self, job: Plain, state: str, now: float) -> None:
        job.state, job.cancelling, job.running, job.suspect = state, False, False, False
        for child in self.jobs.values():
            if job.number in child.parents and child.state == "blocked":
                if state != "completed":
                    self._end(child, "cancelled", now)
                elif all(self.jobs[p].state == "completed" for p in child.parents):
                    child.state = "scheduled" if child.due > now else "pending"
