"""Which job is next: queue -> priority -> lane -> tenant in turn -> first in, first out.

The index is derived from the jobs and never stored. It holds only jobs that could be leased now;
see `core.aside` for the others. `pick` only reads.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice

from taskqueue_ray.core.allowance import Allowance
from taskqueue_ray.core.aside import Aside, Pause
from taskqueue_ray.core.gatelines import Place
from taskqueue_ray.core.gates import Gates
from taskqueue_ray.core.lanes import EQUAL, LaneQueue, Line, TenantLane, Weights, age
from taskqueue_ray.core.meters import Limits
from taskqueue_ray.core.model import Job, Lane, Options, kind_of
from taskqueue_ray.core.rounds import Going, Rounds, are_several, by_age, by_rounds, goings
from taskqueue_ray.core.usage import Usage


class QueueLanes:
    """The lanes of one queue, by priority, highest first."""

    __slots__ = ("kinds", "levels", "name", "priorities", "rounds", "weights")

    def __init__(self, name: str, weights: Weights, kinds: set[str], rounds: Rounds) -> None:
        self.name = name
        self.rounds = rounds
        self.kinds = kinds
        self.levels: dict[int, dict[Lane, TenantLane]] = {}
        self.priorities: list[int] = []
        self.weights = weights

    def lane(self, priority: int, lane: Lane) -> TenantLane:
        level = self.levels.get(priority)
        if level is None:
            level = self.levels[priority] = {}
            self.priorities = sorted(self.levels, reverse=True)
        found = level.get(lane)
        if found is None:
            found = level[lane] = TenantLane()
            found.weights = self.weights
            self.rounds.join(found, self.name, priority)
            self.kinds.add(kind_of(lane[0]))
        return found

    def find(self, options: Options) -> TenantLane | None:
        level = self.levels.get(options.priority)
        return level.get(options.lane) if level else None

    def drop(self, options: Options) -> None:
        """Forget a lane that holds nothing, so that walks stay short."""
        level = self.levels[options.priority]
        del level[options.lane]
        if not level:
            del self.levels[options.priority]
            self.priorities.remove(options.priority)


class Ready:
    """All pending jobs, in the order in which they are to be leased."""

    __slots__ = ("aside", "gates", "kinds", "queues", "rounds", "usage", "weights")

    def __init__(self, pauses: Mapping[Pause, float], usage: Usage | None = None) -> None:
        self.queues: dict[str, QueueLanes] = {}
        self.aside = Aside(pauses)
        self.usage = usage or Usage(Limits())
        self.rounds = Rounds()
        self.gates = Gates(self.usage, self.rounds)
        self.weights: dict[str, Weights] = {}
        """The weights of fair keys, by queue."""
        self.kinds: set[str] = set()
        """The kinds of executors that any job has asked for."""

    # --- jobs come and go ---------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """A job became pending; it stands in line, or aside."""
        if not job.conditions.concurrency_key and not self.aside.pauses:
            self._stand(job)
        else:
            self._let_in(self.aside.admit(job))

    def sets_apart(self, options: Options) -> bool:
        """Whether such jobs cannot simply go to the end of a line, whatever they ask for."""
        if self.aside.pauses and self.aside.pause_of(options) is not None:
            return True
        usage = self.usage
        return bool((usage.queues or usage.types) and usage.implied(options))

    def _stand(self, job: Job) -> None:
        gate = self.usage.gate_of(job)
        if not gate:
            self.line_of(job).add(job)
            return
        self.kinds.add(kind_of(job.options.lane[0]))
        self.gates.add(job, gate, self.weights.get(job.options.queue, EQUAL))

    def line_of(self, job: Job) -> LaneQueue:
        """The line in which a job stands."""
        self.rounds.note(job.options.queue, job.conditions.fair_key)
        return self.lane_of(job.options).line_of(job.conditions.fair_key)

    def lane_of(self, options: Options) -> TenantLane:
        """The lane of all jobs with these options, made when it is new."""
        lanes = self.queues.get(options.queue)
        if lanes is None:
            weights = self.weights.get(options.queue, EQUAL)
            lanes = QueueLanes(options.queue, weights, self.kinds, self.rounds)
            self.queues[options.queue] = lanes
        return lanes.lane(options.priority, options.lane)

    def occupy(self, job: Job) -> None:
        """After a recovery: this job may have a concurrency key, before others are let in."""
        self.aside.occupy(job)

    def leave(self, job: Job) -> None:
        """A job has ended, or will not run for a while: the next of its concurrency key may."""
        if job.conditions.concurrency_key:
            self._let_in(self.aside.leave(job))

    def took(self, jobs: list[Job]) -> None:
        """These jobs were leased: each is a turn of its tenant."""
        if self.gates.places:
            jobs = self._parted(jobs, self.gates.took)
        for options, lane, keys in self._lanes_of(jobs):
            if self.rounds.counted:
                self.rounds.took(lane, options.queue, options.priority, len(keys))
            if len(lane.ring) > 1:
                lane.took(keys)
            if lane.trim(keys):
                self._drop(options)

    def trim(self, jobs: Iterable[Job]) -> None:
        """These jobs left the pending state: tidy the heads of their lines."""
        if self.gates.places:
            jobs = self._parted(list(jobs), self.gates.trim)
        for options, lane, keys in self._lanes_of(jobs):
            if lane.trim(keys):
                self._drop(options)

    def _parted(self, jobs: list[Job], tell: Callable[[list[Job]], None]) -> list[Job]:
        """Tell the gates of the jobs that are theirs; returns the others."""
        theirs = self.usage.gated(jobs)
        if not theirs:
            return jobs
        tell(theirs)
        return [job for job in jobs if not self.usage.gate_of(job)]

    def _lanes_of(self, jobs: Iterable[Job]) -> list[tuple[Options, TenantLane, Collection[str]]]:
        """The lanes in which jobs stood, each with the fair keys of its jobs in their order."""
        lanes: dict[int, tuple[Options, TenantLane, Collection[str]]] = {}
        keys_of: dict[int, list[str] | None] = {}
        for job in jobs:
            options = job.options
            number = id(options)
            if number not in keys_of:
                keys_of[number] = None
                if (lane := self._find(options)) is not None:
                    new = [] if self.rounds.counted else lane.any_keys
                    keys = lanes.setdefault(id(lane), (options, lane, new))[2]
                    keys_of[number] = keys if isinstance(keys, list) else None
            if (collected := keys_of[number]) is not None:
                collected.append(job.conditions.fair_key)
        return list(lanes.values())

    def _find(self, options: Options) -> TenantLane | None:
        lanes = self.queues.get(options.queue)
        return lanes.find(options) if lanes is not None else None

    def _drop(self, options: Options) -> None:
        lanes = self.queues[options.queue]
        lanes.drop(options)
        if not lanes.levels:
            del self.queues[options.queue]

    def _let_in(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._stand(job)
        if self.aside.displaced:
            back, self.aside.displaced = self.aside.displaced, []
            self.trim(back)

    # --- pauses and weights -------------------------------------------------------------------

    def pause(self, pause: Pause) -> None:
        """A pause has begun: who waits and is meant stands aside. A queue's own lines stay."""
        if pause.kind == "queue":
            return
        waiting = [job for job in self._all() if self.aside.pause_of(job.options) == pause]
        for job in waiting:
            self.add(job)  # it finds its way aside
        self.trim(waiting)

    def resume(self, pause: Pause) -> None:
        """It is over."""
        for job in self.aside.resume(pause):
            self.add(job)

    def stand_anew(self) -> None:
        """A queue or a type has a limit now, or has none: all jobs stand in line again."""
        waiting = {job.id: job for job in self._all()}
        self.queues.clear()
        self.gates.clear()
        for job in sorted(waiting.values(), key=age):
            self._stand(job)

    def weigh(self, queue: str, weights: Mapping[str, float]) -> None:
        """Set the weights of the fair keys of a queue; 1 is what the others have."""
        self.weights[queue] = found = Weights(weights)
        self.gates.weigh(queue, found)
        lanes = self.queues.get(queue)
        if lanes is not None:
            lanes.weights = found
            for level in lanes.levels.values():
                for lane in level.values():
                    lane.weights = found

    def _all(self) -> Iterator[Job]:
        for lanes in self.queues.values():
            for level in lanes.levels.values():
                for lane in level.values():
                    for line in lane.tenants.values():
                        yield from line
        for gated in self.gates.lines():
            yield from gated

    # --- reading --------------------------------------------------------------------------------

    def allowance(self, now: float, slots: int = 1 << 30, held: Collection[Job] = ()) -> Allowance:
        """What may be picked of jobs under limits."""
        return Allowance(self.usage, self.gates.claims, now, slots, held)

    def pick(
        self,
        queues: tuple[str, ...],
        fits: Callable[[Lane], bool],
        want: int,
        allowance: Allowance | None = None,
    ) -> list[Job]:
        """Up to `want` jobs of these queues (none named: all), highest priority first, then oldest.

        Only lanes that `fits` accepts are looked at, so the cost is that of the jobs returned. Jobs
        under limits are among them as far as the `allowance` goes.
        """
        gates = self.gates if allowance is not None else None
        names = self._unpaused(queues or (*self.queues, *(gates.places if gates else ())))
        found = [source for name in names if (source := self.queues.get(name)) is not None]
        priorities = {p for source in found for p in source.priorities}
        if gates is not None:
            priorities |= gates.priorities(names)
        picked: list[Job] = []
        for priority in sorted(priorities, reverse=True):
            jobs = self._jobs(names, priority, fits, allowance)
            if allowance is not None:
                jobs = allowance.admitted(jobs)
            picked.extend(islice(jobs, want - len(picked)))
            if len(picked) == want:
                break
        return picked

    def _jobs(
        self,
        queues: list[str],
        priority: int,
        fits: Callable[[Lane], bool],
        allowance: Allowance | None,
    ) -> Iterator[Job]:
        """The jobs of one priority: by age, or by rounds where there are tenants."""
        lines = []
        any_turns = False
        for queue in queues:
            line, takes_turns = self._line(queue, priority, fits, allowance)
            if line is not None:
                lines.append((queue, line))
                any_turns = any_turns or takes_turns
        if len(lines) == 1:
            return lines[0][1]
        if any_turns:
            among = self.rounds.among_queues
            return by_rounds([among(queue, priority, line) for queue, line in lines])
        return by_age([line for _, line in lines])

    def _line(
        self, queue: str, priority: int, fits: Callable[[Lane], bool], allowance: Allowance | None
    ) -> tuple[Iterator[Job] | None, bool]:
        """Those of one queue, and whether tenants take turns in it."""
        source = self.queues.get(queue)
        level = source.levels.get(priority) if source is not None else None
        lanes = [lane for key, lane in level.items() if fits(key)] if level else []
        places = self.gates.at(queue, priority, fits) if allowance is not None else []
        if not places and len(lanes) < 2:
            return (lanes[0].jobs(), len(lanes[0].tenants) > 1) if lanes else (None, False)
        tenants = [*(lane.tenants for lane in lanes), *(place.keys for place in places)]
        reached = self.rounds.reached(queue, priority)
        gated = [one.goings(allowance, reached) for one in places if allowance is not None]
        if are_several(tenants):
            return by_rounds([*(goings(lane, reached) for lane in lanes), *gated]), True
        return by_age([*(lane.jobs() for lane in lanes), *(map(_job, one) for one in gated)]), False

    def sources(self, queues: tuple[str, ...]) -> list[QueueLanes]:
        """The lanes of these queues (none named: of all) that are not paused."""
        names = queues or tuple(self.queues)
        return [self.queues[name] for name in self._unpaused(names) if name in self.queues]

    def places(self, queues: tuple[str, ...]) -> Iterator[Place]:
        """The places of jobs under limits in these queues (none named: in all), not the paused."""
        for name in self._unpaused(queues or tuple(self.gates.places)):
            yield from self.gates.all_places(name)

    def _unpaused(self, queues: tuple[str, ...]) -> list[str]:
        pauses = self.aside.pauses
        names = dict.fromkeys(queues)
        return [name for name in names if not (pauses and Pause("queue", name) in pauses)]

    def lines(self, queue: str | None = None) -> list[Line]:
        """All lines of a queue, or of all, and who stands aside. A job may be in several."""
        some = self.queues.values() if queue is None else [self.queues.get(queue)]
        levels = [level for one in some if one is not None for level in one.levels.values()]
        lanes = [lane for level in levels for lane in level.values()]
        lines: list[Line] = [line for lane in lanes for line in lane.tenants.values()]
        return lines + self.gates.lines(queue) + self.aside.lines()

    def oldest(self, queue: str) -> Job | None:
        """The leasable job of a queue that came in first."""
        lanes = self.queues.get(queue)
        levels = lanes.levels.values() if lanes is not None else ()
        heads = [lane.oldest() for level in levels for lane in level.values()]
        heads += [place.oldest() for place in self.gates.all_places(queue)]
        return min((job for job in heads if job is not None), key=age, default=None)


def _job(going: Going) -> Job:
    return going[1]
