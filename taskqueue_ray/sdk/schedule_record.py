"""A schedule as people see it."""

from datetime import datetime
from functools import cached_property
from typing import Any

from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.schedule import ScheduleView
from taskqueue_ray.core.zones import local
from taskqueue_ray.sdk.opening import Opener, quietly
from taskqueue_ray.sdk.records import moment
from taskqueue_ray.sdk.tables import RecordList, fields_html, fields_text


class ScheduleRecord:
    """One schedule at the moment of asking. Times are aware datetimes in UTC, or None.

    `next_at` is in the schedule's own zone `tz`. `state` is `"active"`, `"paused"` or `"ended"`;
    `late` is for how many seconds something has been due that was not fired. `fired` counts jobs,
    `skipped` times that an overlap or a unique key passed over, `missed` times, at least, that
    were not made up for. `running` are jobs of it that have not ended. `error` says why the last
    firing failed; it is tried again.
    """

    def __init__(self, view: ScheduleView, opener: Opener) -> None:
        self.view = view
        self._opener = opener
        one, plan, options = view.schedule, view.schedule.plan, view.schedule.template.options
        self.id = one.id
        self.when = plan.when
        self.words = plan.words
        self.tz = plan.zone
        self.type = options.type
        self.queue = options.queue
        self.overlap = plan.overlap
        self.catch_up = plan.catch_up
        self.window = plan.window
        self.jitter = plan.jitter
        self.until = moment(plan.until)
        self.max_runs = plan.max_runs or None
        self.state = "ended" if one.ended_at else "paused" if one.paused_at else "active"
        self.created_at = moment(one.created_at)
        self.updated_at = moment(one.updated_at)
        self.paused_at = moment(one.paused_at)
        self.ended_at = moment(one.ended_at)
        due = one.due if self.state == "active" else 0.0
        self.next_at = local(plan.zone, due) if due else None
        self.late = max(0.0, view.at - due) if due else 0.0
        self.fired = one.fired
        self.skipped = one.skipped
        self.missed = one.missed
        self.running = view.runs
        self.waiting_for = moment(one.buffered)
        self.last_for = moment(one.last_due)
        self.last_fired_at = moment(one.last_fired_at)
        self.last_job = to_text(JobId(one.last_job)) if one.last_job else None
        self.error = one.error or None
        self.error_at = moment(one.error_at)

    @cached_property
    def arguments(self) -> dict[str, Any] | None:
        """The arguments of its jobs by name; None in a list, which leaves them out: use `get`."""
        template = self.view.schedule.template
        if not template.payload:
            return None
        origin = JobId(template.origin)
        return self._opener.arguments(origin, self.type, template.payload)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, arguments opened if they can be."""
        hidden = ("view", "arguments")
        fields = {k: v for k, v in vars(self).items() if k not in hidden and not k.startswith("_")}
        return {**fields, "arguments": quietly(lambda: self.arguments, None)}

    def row(self) -> dict[str, Any]:
        """What a table shows of it: nothing sealed."""
        return {
            "id": self.id, "state": self.state, "words": self.words, "tz": self.tz,
            "type": self.type, "queue": self.queue, "next_at": _shown(self.next_at),
            "late": round(self.late, 1) or None, "last_for": self.last_for, "fired": self.fired,
            "skipped": self.skipped or None, "missed": self.missed or None,
            "running": self.running or None, "error": self.error,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"<ScheduleRecord {self.id} {self.words} ({self.tz}), {self.state}>"

    def __str__(self) -> str:
        return fields_text(self.to_dict())

    def _repr_html_(self) -> str:
        return fields_html(self.to_dict())


class ScheduleList(RecordList[ScheduleRecord]):
    """Schedules, by their ids."""

    @property
    def ids(self) -> list[str]:
        """The ids, in order."""
        return [record.id for record in self]


def _shown(at: datetime | None) -> str | None:
    """With its offset: the table has schedules of many zones."""
    return None if at is None else at.strftime("%Y-%m-%d %H:%M:%S %z")
