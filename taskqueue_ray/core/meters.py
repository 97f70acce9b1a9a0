"""Limits and what is used of them: arithmetic alone, with every time as an argument.

A rate of n per period is a sliding window: each start counts from its own time until a whole period
later, so no window of that length, wherever it begins, has more than n. A smooth one is paced
besides, by the virtual scheduling of the generic cell rate algorithm (ITU-T I.371).
"""

import math
from typing import Literal

import msgspec

UNLIMITED = 1 << 60
NEVER = math.inf

GRAIN = 5_000
"""Parts of a period: starts within one part share an entry, and leave the window with the last."""

SLACK = 0.1
"""Seconds by which a smooth rate makes up for starts that came late, at most."""

MeterId = tuple[str, str]
"""The name of a limit, and the key of those who share one meter of it."""


class LimitRule(msgspec.Struct, frozen=True, array_like=True):
    """A limit: `n` starts per `per` seconds, or `n` at a time."""

    kind: Literal["rate", "concurrency"]
    n: int
    per: float = 0.0
    smooth: bool = False

    def capped(self, units: int) -> int:
        """What a job counts that asks for more than there ever is: all of it."""
        return min(units, self.n)


class Meter(msgspec.Struct, array_like=True):
    """What was started lately under one rate and key.

    `log` has (time, units), `used` their sum; `paced` is before when no smooth start may be.
    """

    log: list[tuple[float, int]] = []
    used: int = 0
    paced: float = 0.0

    def left(self, rule: LimitRule, now: float) -> int:
        """How many units may start now, as far as the window goes."""
        log, per = self.log, rule.per
        if not log or now - log[-1][0] >= per:
            return rule.n
        used = self.used
        for at, units in log:
            if now - at < per:
                break
            used -= units
        return max(0, rule.n - used)

    def paces(self, rule: LimitRule, now: float) -> int:
        """How many starts a smooth rate has due now."""
        if not rule.smooth:
            return UNLIMITED
        behind = now - max(self.paced, now - _slack(rule))
        return 0 if behind < 0 else 1 + int(behind * rule.n / rule.per)

    def opens(self, rule: LimitRule, units: int, now: float) -> float:
        """The first time, from now on, at which so many units may start."""
        units = rule.capped(units)
        at, missing = now, units - self.left(rule, now)
        for started, count in self.log:
            if missing <= 0:
                break
            if now - started < rule.per:
                missing -= count
                at = after(started, rule.per)
        return max(at, self.paced) if rule.smooth else at

    def take(self, rule: LimitRule, units: int, now: float) -> None:
        """So many units start now."""
        units, log = rule.capped(units), self.log
        gone = 0
        while gone < len(log) and now - log[gone][0] >= rule.per:
            self.used -= log[gone][1]
            gone += 1
        if gone:
            del log[:gone]
        grain = rule.per / GRAIN
        if log and log[-1][0] // grain == now // grain:
            log[-1] = (now, log[-1][1] + units)
        else:
            log.append((now, units))
        self.used += units
        if rule.smooth:
            step = rule.per / rule.n
            self.paced = max(self.paced, now - _slack(rule)) + units * step

    def matters_until(self, rule: LimitRule) -> float:
        """When it is as if nothing had been started."""
        window = after(self.log[-1][0], rule.per) if self.log else 0.0
        return max(window, self.paced) if rule.smooth else window


def after(started: float, per: float) -> float:
    """The first time that is a whole period later, in spite of rounding."""
    at = started + per
    while at - started < per:
        at = math.nextafter(at, math.inf)
    return at


def _slack(rule: LimitRule) -> float:
    return min(SLACK, rule.per / 20)


class Limits(msgspec.Struct):
    """What is stored of limits, each by name and key; the key "" has what holds for all others."""

    rules: dict[str, dict[str, LimitRule]] = {}
    meters: dict[str, dict[str, Meter]] = {}
    """What was used lately of rates."""
    throttled: dict[str, dict[str, float]] = {}
    """What is closed, and until when."""
