"""Priorities and backoffs by name."""

import math
from enum import IntEnum

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.retry import Backoff as Policy
from taskqueue_ray.core.timing import Duration, parse_duration


class Priority(IntEnum):
    """Names for priorities. A higher number runs sooner; any whole number from 0 to 100 is one."""

    LOW = 1
    NORMAL = 5
    HIGH = 10
    URGENT = 15


class Backoff:
    """How long a failed job waits before its next attempt: `@tq.job(backoff=tq.Backoff.…)`."""

    @staticmethod
    def exponential(
        base: Duration = "1s", factor: float = 2.0, max: Duration = "1h", jitter: bool = True
    ) -> Policy:
        """`base`, then `factor` times as long after each attempt, `max` at most.

        >>> Backoff.exponential("2s", jitter=False).delay(3, 0.0)
        8.0
        """
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            raise InvalidOption("factor", ascii(factor)[:80], "a number from 1")
        if not 1.0 <= factor < math.inf:
            raise InvalidOption("factor", ascii(factor), "a number from 1")
        return Policy("exponential", _wait("base", base), float(factor), _wait("max", max), jitter)

    @staticmethod
    def linear(step: Duration = "10s", max: Duration = "1h", jitter: bool = True) -> Policy:
        """`step` after the first attempt, twice that after the second, and so on."""
        return Policy("linear", _wait("step", step), 1.0, _wait("max", max), jitter)

    @staticmethod
    def fixed(wait: Duration = "10s", jitter: bool = False) -> Policy:
        """The same wait after each attempt."""
        seconds = _wait("wait", wait)
        return Policy("fixed", seconds, 1.0, seconds, jitter)


def _wait(option: str, value: Duration) -> float:
    return parse_duration(value, option)
