"""What is left of each limit: the rules, the meters of rates, who holds what of the others.

The rules, meters and throttles are facts, kept by `State`; how many jobs hold a concurrency limit
is counted from the leases. A meter is dropped when all of it has left its window, so that a
million keys cost what those of the last period cost.
"""

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

from taskqueue_ray.core.meters import NEVER, UNLIMITED, LimitRule, Limits, Meter, MeterId
from taskqueue_ray.core.model import PLAIN, Job, JobId, Options, Use

Gate = tuple[Use, ...]
"""All that a job is started under: what it names, and the limits of its queue and its type."""

OF_QUEUE, OF_TYPE = "queue:", "type:"
"""How the limits of whole queues and types are named: no name of a limit has a colon."""


class Usage:
    """Reads are for a moment `now`; only `apply_…` of `core.limits` and of leases changes it."""

    __slots__ = ("_idle", "counted", "held", "meters", "queues", "rules", "throttled", "types")

    def __init__(self, limits: Limits) -> None:
        self.rules = limits.rules
        self.meters = limits.meters
        self.throttled = limits.throttled
        self.held: dict[MeterId, int] = {}
        """Units of concurrency limits that leased jobs have."""
        self.counted: set[str] = set()
        """The names of concurrency limits."""
        self.queues: set[str] = set()
        self.types: set[str] = set()
        """Queues and types that have one of their own."""
        self._idle: list[tuple[float, str, str]] = []

    # --- who is under what --------------------------------------------------------------------

    def gate_of(self, job: Job) -> Gate:
        """What a job is started under; empty: nothing."""
        conditions = job.conditions
        own = () if conditions is PLAIN else conditions.limits
        return own + self.implied(job.options) if self.queues or self.types else own

    def gated(self, jobs: Iterable[Job]) -> list[Job]:
        """Those that are started under anything."""
        if self.queues or self.types:
            return [job for job in jobs if self.gate_of(job)]
        return [job for job in jobs if job.conditions is not PLAIN and job.conditions.limits]

    def implied(self, options: Options) -> Gate:
        """The limits of the queue and of the type."""
        found: Gate = ()
        if options.queue in self.queues:
            found += (Use(OF_QUEUE + options.queue),)
        if options.type in self.types:
            found += (Use(OF_TYPE + options.type),)
        return found

    def rule(self, name: str, key: str) -> LimitRule | None:
        """The rule of a meter: that of its key, else that of the limit; None: there is none."""
        rules = self.rules.get(name)
        return None if rules is None else rules.get(key) or rules.get("")

    # --- what is left -------------------------------------------------------------------------

    def throttled_until(self, name: str, key: str) -> float:
        """Until when nothing may start; a time that is over: it may."""
        found = self.throttled.get(name)
        return 0.0 if found is None else max(found.get("", 0.0), found.get(key, 0.0))

    def left(self, name: str, key: str, now: float) -> tuple[int, int]:
        """How many units may start now, and how many starts a smooth rate has due."""
        if self.throttled and self.throttled_until(name, key) > now:
            return 0, 0
        rule = self.rule(name, key)
        if rule is None:
            return UNLIMITED, UNLIMITED
        if rule.kind == "concurrency":
            return rule.n - self.held.get((name, key), 0), UNLIMITED
        meter = self.meter(name, key)
        return meter.left(rule, now), meter.paces(rule, now)

    def admits(self, use: Use, now: float) -> bool:
        """Whether there is enough of one limit now."""
        left, due = self.left(use.name, use.key, now)
        return left >= self.units(use) and due > 0

    def units(self, use: Use) -> int:
        """How much a start counts, as the rule is now."""
        rule = self.rule(use.name, use.key)
        return use.units if rule is None else rule.capped(use.units)

    def opens(self, use: Use, now: float) -> float:
        """From when on there is enough of one limit, as far as time alone can tell."""
        until = max(now, self.throttled_until(use.name, use.key))
        rule = self.rule(use.name, use.key)
        if rule is None:
            return until
        if rule.kind == "concurrency":
            enough = self.left(use.name, use.key, until)[0] >= rule.capped(use.units)
            return until if enough else NEVER
        return max(until, self.meter(use.name, use.key).opens(rule, use.units, now))

    def grows(self, name: str, key: str, now: float) -> float | None:
        """When there is more than now, if time brings that."""
        left, due = self.left(name, key, now)
        rule = self.rule(name, key)
        if rule is not None and left >= rule.n and due > 0:
            return None
        at = self.opens(Use(name, 1 if due <= 0 else max(0, left) + 1, key), now)
        return at if now < at < NEVER else None

    def meter(self, name: str, key: str) -> Meter:
        """What is used of a rate, to be read."""
        found = self.meters.get(name)
        return (found and found.get(key)) or Meter()

    # --- use ----------------------------------------------------------------------------------

    def take(self, jobs: Iterable[Job], at: float) -> set[MeterId]:
        """These jobs are leased; returns the meters that they have used."""
        used: dict[MeterId, int] = {}
        for job in self.gated(jobs):
            for use in self.gate_of(job):
                mid = (use.name, use.key)
                used[mid] = used.get(mid, 0) + self.units(use)
        for (name, key), units in used.items():
            self.spend(name, key, units, at)
        return set(used)

    def spend(self, name: str, key: str, units: int, at: float) -> None:
        """So many units of one meter are used."""
        rule = self.rule(name, key)
        if rule is None:
            return
        if rule.kind == "concurrency":
            self.held[name, key] = self.held.get((name, key), 0) + units
            return
        meters = self.meters.setdefault(name, {})
        meter = meters.get(key)
        if meter is None:
            meter = meters[key] = Meter([])
            heappush(self._idle, (at + rule.per, name, key))
        meter.take(rule, units, at)
        self.forget(at)

    def give_back(self, jobs: Iterable[Job]) -> set[MeterId]:
        """The leases of these jobs have ended; returns the concurrency limits that have room."""
        freed: set[MeterId] = set()
        for job in self.gated(jobs):
            for use in self.gate_of(job):
                if use.name in self.counted:
                    mid = (use.name, use.key)
                    left = self.held.get(mid, 0) - self.units(use)
                    if left > 0:
                        self.held[mid] = left
                    else:
                        self.held.pop(mid, None)
                    freed.add(mid)
        return freed

    def count(self, name: str, leased: Mapping[str, Mapping[JobId, Job]]) -> None:
        """Count anew who holds a concurrency limit: its rule has changed."""
        for mid in [one for one in self.held if one[0] == name]:
            del self.held[mid]
        self.counted.discard(name)
        if any(rule.kind == "concurrency" for rule in self.rules.get(name, {}).values()):
            self.counted.add(name)
            for jobs in leased.values():
                for job in jobs.values():
                    for use in self.gate_of(job):
                        if use.name == name:
                            mid = (name, use.key)
                            self.held[mid] = self.held.get(mid, 0) + self.units(use)

    # --- memory -------------------------------------------------------------------------------

    def forget(self, at: float) -> None:
        """Drop meters of which nothing counts any more, and throttles that are over."""
        idle = self._idle
        while idle and idle[0][0] <= at:
            _, name, key = heappop(idle)
            rule, meters = self.rule(name, key), self.meters.get(name, {})
            if rule is None or key not in meters:
                continue
            until = meters[key].matters_until(rule)
            if until > at:
                heappush(idle, (until, name, key))
                continue
            del meters[key]
            if not meters:
                del self.meters[name]

    def unthrottle(self, at: float) -> None:
        """Drop throttles that are over."""
        for name, by_key in list(self.throttled.items()):
            for key in [key for key, until in by_key.items() if until <= at]:
                del by_key[key]
            if not by_key:
                del self.throttled[name]

    def rebuild(self) -> None:
        """Find out anew what follows from the rules and meters."""
        self.queues = {one[len(OF_QUEUE) :] for one in self.rules if one.startswith(OF_QUEUE)}
        self.types = {one[len(OF_TYPE) :] for one in self.rules if one.startswith(OF_TYPE)}
        self._idle = [
            (meter.matters_until(rule), name, key)
            for name, meters in self.meters.items()
            for key, meter in meters.items()
            if (rule := self.rule(name, key)) is not None
        ]
        heapify(self._idle)
