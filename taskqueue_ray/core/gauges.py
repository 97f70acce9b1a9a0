"""The figures that alert rules may watch: their names, units and meanings, in one place."""

from typing import NamedTuple

WINDOW = 300.0
"""Seconds over which rates and shares are taken."""

LONG_WINDOW = 3600.0
"""Seconds for what is rare: jobs that were quarantined."""

LEAST_ENDED = 20
"""Ended runs in the window below which there is no failure rate: one of two is no trend."""


class Gauge(NamedTuple):
    """A figure. `by_queue` says that each queue has its own; the whole is their sum, or `worst`."""

    meaning: str
    by_queue: bool = True
    worst: bool = False


GAUGES = {
    "pending": Gauge("jobs that are ready and wait for a worker"),
    "scheduled": Gauge("jobs that wait for their time, retries included"),
    "blocked": Gauge("jobs that wait for others"),
    "processing": Gauge("jobs that are in the hands of workers"),
    "completed": Gauge("jobs that completed and are counted"),
    "failed": Gauge("dead letters"),
    "cancelled": Gauge("jobs that were cancelled"),
    "expired": Gauge("jobs that nobody started in time"),
    "total": Gauge("all jobs that are counted"),
    "oldest_waiting": Gauge("seconds for which the oldest ready job has waited", worst=True),
    "unserved": Gauge("ready jobs of lines that no worker serves"),
    "completed_rate": Gauge("jobs completed per second, over the last 5 minutes"),
    "failure_rate": Gauge(
        "failed attempts of all that ended in the last 5 minutes, from 0 to 1; none below "
        f"{LEAST_ENDED} of them"
    ),
    "retries": Gauge("attempts in the last 5 minutes that failed and are tried again"),
    "poisoned": Gauge("jobs quarantined in the last hour because their workers vanished"),
    "workers": Gauge("workers that are registered", by_queue=False),
    "running": Gauge("jobs that workers run now", by_queue=False),
    "worker_churn": Gauge(
        "workers that vanished in the last 5 minutes, without a drain", by_queue=False
    ),
    "nodes": Gauge("nodes of the Ray cluster that are alive", by_queue=False),
    "storage_used": Gauge("how full the storage's disk is, from 0 to 1", by_queue=False),
    "storage_free": Gauge("bytes that are free on the storage's disk", by_queue=False),
    "compaction_behind": Gauge(
        "seconds for which what ended has waited to be folded into the history", by_queue=False
    ),
    "schedule_late": Gauge(
        "seconds for which a schedule has been due and was not dealt with", by_queue=False
    ),
    "limit_starving": Gauge(
        "seconds for which the oldest job that a limit holds has waited", worst=True
    ),
}
"""By name. A rule that names another is refused."""
