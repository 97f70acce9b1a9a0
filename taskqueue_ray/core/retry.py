"""When a failed attempt is tried again."""

import math
from typing import Literal

import msgspec

Kind = Literal["exponential", "linear", "fixed"]


class Backoff(msgspec.Struct, frozen=True, omit_defaults=True):
    """How long a job waits before its next attempt. All times are in seconds.

    With `jitter` the wait is drawn evenly between half and the whole of the computed time, so
    that jobs that failed together do not come back together, and none comes back at once ("equal
    jitter", AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
    """

    kind: Kind = "exponential"
    base: float = 1.0
    factor: float = 2.0
    max: float = 3600.0
    jitter: bool = True

    def delay(self, attempt: int, chance: float) -> float:
        """Seconds before the attempt after number `attempt` (from 1), with `chance` in [0, 1).

        >>> Backoff(jitter=False).delay(3, 0.0)
        4.0
        """
        wait = min(self._plain(attempt), self.max)
        return wait * (0.5 + 0.5 * chance) if self.jitter else wait

    def _plain(self, attempt: int) -> float:
        match self.kind:
            case "fixed":
                return self.base
            case "linear":
                return self.base * attempt
            case "exponential":
                # 2.0 ** 2000 overflows; beyond the cap the exponent no longer matters.
                steps = min(
                    attempt - 1, math.ceil(math.log(1e12) / math.log(max(self.factor, 1.01)))
                )
                return self.base * self.factor**steps


DEFAULT_BACKOFF = Backoff()
