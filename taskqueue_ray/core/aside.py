"""Pending jobs that may not be leased now stand aside, so that leasing never looks at them.

Aside stand the jobs of a paused type or tag, and those behind another of their concurrency key.
Their phase is `ASIDE`, which reads as pending everywhere else; it is found anew when the queue is
opened.
"""

from heapq import heappop, heappush
from typing import NamedTuple

from taskqueue_ray.core.lanes import Line
from taskqueue_ray.core.model import ASIDE, PENDING, PLAIN, Job, Options, Scheduled

Rank = tuple[bool, int, int]


class Pause(NamedTuple):
    """What is paused: a queue, a type or a tag, by its name."""

    kind: str
    name: str


class Turn:
    """One concurrency key of one queue: who has it, and who waits for it, the best first."""

    __slots__ = ("holder", "serial", "waiting")

    def __init__(self, holder: Job) -> None:
        self.holder: Job | None = holder
        self.waiting: list[tuple[Rank, int, Job]] = []
        self.serial = 0

    def wait(self, job: Job) -> None:
        self.serial += 1
        job.phase = ASIDE
        heappush(self.waiting, (_rank(job), self.serial, job))

    def best(self) -> Job | None:
        """The best of those that still wait here."""
        while self.waiting and self.waiting[0][2].phase is not ASIDE:
            heappop(self.waiting)
        return self.waiting[0][2] if self.waiting else None

    def next(self) -> Job | None:
        """Take it out."""
        found = self.best()
        if found is not None:
            heappop(self.waiting)
        return found


class Aside:
    """Who stands aside, and why."""

    __slots__ = ("paused", "pauses", "turns")

    def __init__(self) -> None:
        self.pauses: set[Pause] = set()
        self.paused: dict[Pause, list[Job]] = {}
        self.turns: dict[tuple[str, str], Turn] = {}

    def pause_of(self, options: Options) -> Pause | None:
        """The pause that keeps such jobs from being leased, those of whole queues apart."""
        for pause in (Pause("type", options.type), *(Pause("tag", tag) for tag in options.tags)):
            if pause in self.pauses:
                return pause
        return None

    def admit(self, job: Job) -> list[Job]:
        """A job is ready: those that may be leased now because of that, it or none or another.

        One that had been let in before may have to stand back for it: its phase says so.
        """
        if self.pauses and (pause := self.pause_of(job.options)) is not None:
            job.phase = ASIDE
            self.paused.setdefault(pause, []).append(job)
            return self.leave(job)
        if job.conditions is PLAIN or not job.conditions.concurrency_key:
            return [job]
        turn = self.turns.get(key_of(job))
        if turn is None:
            self.turns[key_of(job)] = Turn(job)
            return [job]
        holder, best = turn.holder, turn.best()
        if holder is job:
            if best is None or _rank(job) < _rank(best):
                return [job]
            return self._hand_over(job, turn)
        if holder is not None and holder.phase is PENDING and _rank(job) < _rank(holder):
            turn.wait(holder)
            turn.holder = job
            return [job]
        turn.wait(job)
        return []

    def _hand_over(self, job: Job, turn: Turn) -> list[Job]:
        """It comes back, and a better one has come meanwhile."""
        turn.holder = following = turn.next()
        turn.wait(job)
        if following is None:
            return []
        following.phase = PENDING
        return self.admit(following)

    def occupy(self, job: Job) -> None:
        """This job has its concurrency key already: it is leased, or keeps it while it waits."""
        if keeps_its_turn(job):
            self.turns[key_of(job)] = Turn(job)

    def leave(self, job: Job) -> list[Job]:
        """A job lets go of its concurrency key, if it has it: who may be leased instead."""
        if job.conditions is PLAIN or not job.conditions.concurrency_key:
            return []
        turn = self.turns.get(key_of(job))
        if turn is None or turn.holder is not job:
            return []
        turn.holder = turn.next()
        if turn.holder is None:
            del self.turns[key_of(job)]
            return []
        following = turn.holder
        following.phase = PENDING
        return self.admit(following)

    def holder_of(self, job: Job) -> Job | None:
        """Who has the concurrency key of a job."""
        turn = self.turns.get(key_of(job))
        return turn.holder if turn is not None else None

    def lines(self) -> list[Line]:
        """Everyone who stands aside."""
        behind = [[entry[2] for entry in turn.waiting] for turn in self.turns.values()]
        return [*self.paused.values(), *behind]

    def resume(self, pause: Pause) -> list[Job]:
        """Those who stood aside for a pause that is over; they are to be admitted anew."""
        self.pauses.discard(pause)
        back = [job for job in self.paused.pop(pause, ()) if job.phase is ASIDE]
        for job in back:
            job.phase = PENDING
        return back


def key_of(job: Job) -> tuple[str, str]:
    """The scope of a concurrency key: one queue."""
    return (job.options.queue, job.conditions.concurrency_key)


def keeps_its_turn(job: Job) -> bool:
    """Whether a job has its concurrency key although it is not pending."""
    if job.conditions is PLAIN or not job.conditions.concurrency_key:
        return False
    if isinstance(job.phase, Scheduled):
        return job.conditions.ordered and job.delivery > 0
    return job.phase.state.value == "processing"


def _rank(job: Job) -> Rank:
    """By priority and age; but one that is ordered is not overtaken once it was started."""
    started = job.conditions.ordered and job.delivery > 0
    return (not started, -job.options.priority, job.ordinal)
