"""A schedule: what is to be enqueued, at which times, and what is known of it."""

from hashlib import sha256
from typing import Literal, get_args

import msgspec

from taskqueue_ray.core.identity import created_at, make_job_id, shard_of
from taskqueue_ray.core.model import Conditions, JobId, Options
from taskqueue_ray.core.rules import Rule

Overlap = Literal["skip", "allow", "buffer_one", "cancel_running"]
CatchUp = Literal["skip", "latest", "all"]
OVERLAPS = get_args(Overlap)
CATCH_UPS = get_args(CatchUp)

DAY = 86400.0
WINDOW = DAY
"""For how long a time that was missed is made up for, in seconds, when nothing else is said."""


MOST_BYTES = 128 * 1024
"""Bytes of a sealed payload: every change of a schedule writes it again."""


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a user has decided about a schedule. Two are the same when these are.

    `when` is the canonical form of the rule, `words` says it to people. `overlap` is about a run
    that is still there when the next is due; `catch_up` about times that have passed unheeded, not
    longer than `window` seconds ago (0: however long). A job runs up to `jitter` seconds after its
    time. Nothing is due after `until`, or once there were `max_runs` (0: never mind).
    """

    rule: Rule
    when: str
    words: str
    zone: str = "UTC"
    overlap: Overlap = "skip"
    catch_up: CatchUp = "latest"
    window: float = WINDOW
    jitter: float = 0.0
    until: float = 0.0
    max_runs: int = 0
    said: str = ""
    """The text that the rule was read from. Some texts mean the day on which they are said."""


class Template(msgspec.Struct, frozen=True, omit_defaults=True):
    """The job that a schedule enqueues. The payload is sealed once, to `origin`.

    `fingerprint` tells the same arguments from others, without saying what they are. `expires` is
    in seconds from each firing.
    """

    options: Options
    payload: bytes
    origin: bytes
    fingerprint: bytes = b""
    conditions: Conditions | None = None
    expires: float = 0.0

    def is_like(self, other: "Template") -> bool:
        """Whether the same jobs come of both, however they are sealed."""
        return (
            self.options == other.options
            and self.fingerprint == other.fingerprint
            and self.conditions == other.conditions
            and self.expires == other.expires
        )


class Schedule(msgspec.Struct, omit_defaults=True):
    """A schedule and how far it has come. Only `core.apply_…` changes one.

    Every time up to `cursor` is dealt with; `due` is the next one (0: there is none). `wake` is
    when it is to be looked at, which is later than `due` after a firing that failed. `rule` is the
    plan's, with the start from which intervals count. `key` is what ids of jobs derive from.
    `buffered` is a time whose run waits for the end of another. `skipped` counts times that an
    overlap passed over, `missed`, at least, those that nobody heeded and that were not made up for.
    """

    id: str
    key: JobId
    plan: Plan
    rule: Rule
    template: Template
    created_at: float
    updated_at: float
    cursor: float
    due: float = 0.0
    wake: float = 0.0
    paused_at: float = 0.0
    ended_at: float = 0.0
    buffered: float = 0.0
    fired: int = 0
    skipped: int = 0
    missed: int = 0
    last_due: float = 0.0
    last_fired_at: float = 0.0
    last_job: bytes = b""
    error: str = ""
    error_at: float = 0.0


class ScheduleView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule as clients see it, its payload sealed, and left out of lists. `runs` are jobs of
    it that have not ended.
    """

    schedule: Schedule
    runs: int = 0
    at: float = 0.0


def job_of(schedule: Schedule, due: float) -> JobId:
    """The id of the job for a due time: the same, whoever fires it and however often."""
    return _derived(schedule.key, due, f"fired {due!r}")


def asked_job(schedule: Schedule, due: float, command: str) -> JobId:
    """The id of a job that a command asks for beside those: a repeat asks for the same one."""
    return _derived(schedule.key, due, f"asked {due!r} {command}")


def delay_of(schedule: Schedule, job: JobId) -> float:
    """How long after its time a job is to run: spread evenly, and always the same for one job."""
    share = int.from_bytes(job[10:16], "big") / (1 << 48)
    return schedule.plan.jitter * share


def _derived(key: JobId, due: float, what: str) -> JobId:
    """Ids embed a time: that for which the job is, but none from before there was the schedule."""
    entropy = sha256(key + what.encode()).digest()[:9]
    return make_job_id(max(due, created_at(key)), entropy, shard_of(key))
