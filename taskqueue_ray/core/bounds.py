"""The ceilings that the queue keeps, set once at its opening."""

import msgspec

from taskqueue_ray.core.retention import KEEP, Retention


class Bounds(msgspec.Struct, frozen=True):
    """Counts, and times in seconds.

    `max_losses` is how many workers may vanish while they run a job before it is quarantined;
    `remember_seconds` and `remembered` bound what memory keeps of ended jobs that history has;
    `retention` bounds for how long ended jobs are kept at all.
    """

    max_batch: int = 10_000
    max_depth: int = 10_000_000
    max_losses: int = 5
    remember_seconds: float = 24 * 3600.0
    remembered: int = 500_000
    lease_seconds: float = 30.0
    retention: Retention = KEEP


DEFAULT_BOUNDS = Bounds()
