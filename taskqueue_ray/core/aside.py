"""Pending jobs that may not be leased now stand aside, so that leasing never looks at them.

Aside stand the jobs of a paused type or tag, and those behind another of their concurrency key.
Their phase is `ASIDE`, which reads as pending everywhere else; it is found anew when the queue is
opened.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from taskqueue_ray.core.heaps import Heap
from taskqueue_ray.core.lanes import Line
from taskqueue_ray.core.model import ASIDE, PENDING, PLAIN, Job, Leased, Options, Scheduled

Rank = tuple[bool, int, int]

SPARE = 64
"""Entries of jobs that have moved on, at least, that are borne before they are looked for."""


class Pause(NamedTuple):
    """What is paused: a queue, a type or a tag, by its name."""

    kind: str
    name: str


class Crowd:
    """Jobs that stand aside for one reason, in the order in which they came."""

    __slots__ = ("_jobs", "_limit")

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._limit = SPARE

    def add(self, job: Job) -> None:
        if len(self._jobs) >= self._limit:
            self._jobs = list(self)
            self._limit = 2 * len(self._jobs) + SPARE
        self._jobs.append(job)

    def __iter__(self) -> Iterator[Job]:
        return (job for job in self._jobs if job.phase is ASIDE)

    def __len__(self) -> int:
        return len(self._jobs)


class Turn:
    """One concurrency key of one queue: who has it, and who waits for it, the best first."""

    __slots__ = ("_serial", "_waiting", "holder")

    def __init__(self, holder: Job) -> None:
        self.holder: Job | None = holder
        self._waiting: Heap[tuple[Rank, int, Job]] = Heap(_is_aside)
        self._serial = 0

    def wait(self, job: Job) -> None:
        """Let a job wait for its turn."""
        self._serial += 1
        job.phase = ASIDE
        self._waiting.push((_rank(job), self._serial, job))

    def best(self) -> Job | None:
        """The best of those that still wait here."""
        head = self._waiting.head()
        return head[2] if head is not None else None

    def hand_on(self) -> Job | None:
        """The best has it now, and is pending again; None: nobody waits."""
        self.holder = found = self.best()
        if found is not None:
            self._waiting.pop()
            found.phase = PENDING
        return found

    def __iter__(self) -> Iterator[Job]:
        return (entry[2] for entry in self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)


class Aside:
    """Who stands aside, and why."""

    __slots__ = ("displaced", "paused", "pauses", "turns")

    def __init__(self, pauses: Mapping[Pause, float]) -> None:
        self.pauses = pauses
        self.paused: dict[Pause, Crowd] = {}
        self.turns: dict[tuple[str, str], Turn] = {}
        self.displaced: list[Job] = []
        """Who stood in line and has stood back for a better one: their lines do not know of it."""

    def pause_of(self, options: Options) -> Pause | None:
        """The pause that keeps such jobs from being leased, those of whole queues apart."""
        if not self.pauses:
            return None
        for pause in (Pause("type", options.type), *(Pause("tag", tag) for tag in options.tags)):
            if pause in self.pauses:
                return pause
        return None

    def admit(self, job: Job | None) -> list[Job]:
        """A job is ready: those that may be leased now because of that, it or none or others.

        Going aside it may let in another, which may go aside too: each in turn and not one inside
        the other, since thousands may stand behind one key. One that had been let in before may
        have to stand back: its phase says so.
        """
        let_in: list[Job] = []
        while job is not None:
            job = self._place(job, let_in)
        return let_in

    def leave(self, job: Job) -> list[Job]:
        """A job lets go of its concurrency key, if it has it: who may be leased instead."""
        return self.admit(self._release(job))

    def _place(self, job: Job, let_in: list[Job]) -> Job | None:
        """In line or aside; who is to be placed next because of that."""
        if self.pauses and (pause := self.pause_of(job.options)) is not None:
            job.phase = ASIDE
            self.paused.setdefault(pause, Crowd()).add(job)
            return self._release(job)
        if job.conditions is PLAIN or not job.conditions.concurrency_key:
            let_in.append(job)
            return None
        turn = self.turns.get(key_of(job))
        if turn is None:
            turn = self.turns[key_of(job)] = Turn(job)
        holder, best = turn.holder, turn.best()
        if holder is job:
            if best is not None and _rank(best) < _rank(job):
                # It comes back, and a better one has come meanwhile.
                turn.wait(job)
                return turn.hand_on()
            let_in.append(job)
        elif holder is not None and holder.phase is PENDING and _rank(job) < _rank(holder):
            turn.wait(holder)
            self.displaced.append(holder)
            turn.holder = job
            let_in.append(job)
        else:
            turn.wait(job)
        return None

    def _release(self, job: Job) -> Job | None:
        """Take the key from a job, if it has one: who has it now."""
        if job.conditions is PLAIN or not job.conditions.concurrency_key:
            return None
        turn = self.turns.get(key_of(job))
        if turn is None or turn.holder is not job:
            return None
        following = turn.hand_on()
        if following is None:
            del self.turns[key_of(job)]
        return following

    def occupy(self, job: Job) -> None:
        """This job has its concurrency key already: it is leased, or keeps it while it waits."""
        if keeps_its_turn(job):
            self.turns[key_of(job)] = Turn(job)

    def holder_of(self, job: Job) -> Job | None:
        """Who has the concurrency key of a job."""
        turn = self.turns.get(key_of(job))
        return turn.holder if turn is not None else None

    def lines(self) -> list[Line]:
        """Everyone who stands aside."""
        return [*self.paused.values(), *self.turns.values()]

    def resume(self, pause: Pause) -> list[Job]:
        """Those who stood aside for a pause that is over; they are to be admitted anew."""
        back = list(self.paused.pop(pause, ()))
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
    return isinstance(job.phase, Leased)


def _is_aside(entry: tuple[Rank, int, Job]) -> bool:
    return entry[2].phase is ASIDE


def _rank(job: Job) -> Rank:
    """By priority and age; but one that is ordered is not overtaken once it was started."""
    started = job.conditions.ordered and job.delivery > 0
    return (not started, -job.options.priority, job.ordinal)
