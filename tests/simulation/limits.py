"""Limits in a simulated cluster: who sets them, and whether they hold."""

from random import Random
from typing import TYPE_CHECKING, Any

from taskqueue_ray.core import commands
from taskqueue_ray.core.envelopes import decode, encode, open_reply
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.exchange import AcquireRequest
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.model import Job, Use
from taskqueue_ray.core.state import State

if TYPE_CHECKING:
    from tests.simulation.witness import Witness
    from tests.simulation.world import World

PATIENCE = 3.0


class Limiter:
    """Sets the limits, changes and throttles them, and asks for permits as running code does."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.chance = Random(f"{world.seed}/limiter")
        for name, rule in (
            ("api", LimitRule("rate", 4, 6.0)),
            ("gpu", LimitRule("concurrency", 2)),
        ):
            self._insist("set_limit", commands.SetLimit(name, rule))
        self._later(5.0, self._act)

    def _act(self) -> None:
        chance = self.chance
        if not self.world.busy:
            self._insist("throttle", commands.Throttle("api", 0.0))
            return
        luck = chance.random()
        if luck < 0.15:
            rule = LimitRule("rate", chance.choice((2, 4, 8)), 6.0, chance.random() < 0.3)
            self._send("set_limit", commands.SetLimit("api", rule))
        elif luck < 0.25:
            self._send("throttle", commands.Throttle("api", chance.choice((1.0, 5.0))))
        elif luck < 0.35:
            rule = LimitRule("concurrency", chance.choice((1, 2, 4)))
            self._send("set_limit", commands.SetLimit("gpu", rule))
        else:
            self._send("acquire", AcquireRequest("api", 1, "", 2.0))
        self._later(chance.random() * 4, self._act)

    def _insist(self, method: str, command: Any) -> None:
        def answer(reply: bytes | None) -> None:
            try:
                if reply is not None and decode(open_reply(reply), Any) is not None:
                    return
            except TaskQueueError:
                pass
            self._later(1.0, lambda: self._insist(method, command))

        self.world.transport.call(method, encode(command), PATIENCE, answer)

    def _send(self, method: str, command: Any) -> None:
        self.world.transport.call(method, encode(command), PATIENCE, lambda _: None)

    def _later(self, delay: float, deed: Any) -> None:
        self.world.agenda.later(delay, deed)


class Limits:
    """I23: what each limit lets through, counted by hand from the commits."""

    def __init__(self, witness: "Witness") -> None:
        self._witness = witness
        self._starts: dict[tuple[str, str], list[tuple[float, int]]] = {}

    def check(self, state: State, at: float, jobs: list[Job]) -> None:
        """Jobs that are leased at a time, in the state before."""
        running = [job for job in state.jobs.values() if job.state is JobState.PROCESSING]
        for job in jobs:
            for use in job.conditions.limits:
                self.use(state, use, at)
            running.append(job)
        for name, rules in state.limits.rules.items():
            rule = rules[""]
            if rule.kind == "concurrency":
                units = [
                    u.units for one in running for u in one.conditions.limits if u.name == name
                ]
                news = any(use.name == name for job in jobs for use in job.conditions.limits)
                if news and sum(units) > rule.n:
                    self._witness.fail("I23", f"{sum(units)} of {rule.n} run under {name}")

    def use(self, state: State, use: Use, at: float) -> None:
        """A start, or a permit."""
        rule = state.limits.rules.get(use.name, {}).get("")
        if rule is None or rule.kind != "rate":
            return
        starts = self._starts.setdefault((use.name, use.key), [])
        starts.append((at, min(use.units, rule.n)))
        used = sum(units for when, units in starts if at - when < rule.per)
        if used > rule.n or state.limits.throttled.get(use.name, {}).get("", 0.0) > at:
            self._witness.fail("I23", f"{used} of {rule.n} started under {use.name} in {rule.per}")
