"""The rules that every queue has, with limits that a healthy one does not reach."""

from collections.abc import Mapping
from typing import NamedTuple

from taskqueue_ray.core.alerts import EACH, Alerts, Rule, Severity, Threshold


class Builtin(NamedTuple):
    """A built-in rule: its default limit, and what it means when it fires."""

    when: Threshold
    lasts: float
    severity: Severity
    meaning: str


BUILTINS = {
    "queue_depth": Builtin(
        Threshold("pending", ">", 100_000, EACH), 300.0, "warning",
        "more jobs come in than workers take: add workers, or look why they are slow",
    ),
    "oldest_waiting": Builtin(
        Threshold("oldest_waiting", ">", 3600, EACH), 120.0, "warning",
        "a ready job has waited for long: add workers, raise its priority, or end a pause",
    ),
    "failure_rate": Builtin(
        Threshold("failure_rate", ">", 0.5, EACH), 120.0, "critical",
        "most attempts fail: look at `taskqueue jobs list --state failed`",
    ),
    "no_workers": Builtin(
        Threshold("unserved", ">", 0, EACH), 300.0, "critical",
        "jobs wait that no worker can run: `taskqueue doctor` says what is missing",
    ),
    "worker_churn": Builtin(
        Threshold("worker_churn", ">", 5), 0.0, "warning",
        "workers keep vanishing: look at the memory of their nodes, and at what their jobs do",
    ),
    "poison_jobs": Builtin(
        Threshold("poisoned", ">", 0, EACH), 0.0, "critical",
        "jobs were quarantined because the workers that ran them vanished: they crash or starve "
        "their node",
    ),
    "storage_nearly_full": Builtin(
        Threshold("storage_used", ">", 0.9), 60.0, "critical",
        "the storage's disk is nearly full: free some space, or set a retention",
    ),
    "compaction_behind": Builtin(
        Threshold("compaction_behind", ">", 1800), 60.0, "warning",
        "ended jobs are not folded into the history: the queue's log says why, and a restart "
        "takes longer",
    ),
    "schedule_late": Builtin(
        Threshold("schedule_late", ">", 60), 60.0, "warning",
        "a schedule is due and nobody deals with it: look at the log of the scheduler, and at the "
        "memory of its node",
    ),
    "limit_starving": Builtin(
        Threshold("limit_starving", ">", 600, EACH), 0.0, "warning",
        "a job has waited for long for a limit: raise the limit, end its throttle, or enqueue less",
    ),
}  # fmt: skip
"""By name; names of these are no names for rules of users."""


def builtin_rule(name: str) -> Rule:
    """A built-in rule as it is until somebody changes it."""
    found = BUILTINS[name]
    return Rule(name, found.when, found.lasts, severity=found.severity, builtin=True)


DEFAULT_RULES: Mapping[str, Rule] = {name: builtin_rule(name) for name in BUILTINS}


def rules_in_force(alerts: Alerts) -> dict[str, Rule]:
    """Every rule: the built-in ones, changed or not, then those of users."""
    return {**DEFAULT_RULES, **alerts.rules}
