"""`q.scheduler`: what is to be enqueued at which times."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from taskqueue_ray.core.commands import PutSchedule, ReviseSchedule
from taskqueue_ray.core.errors import InvalidOption, ScheduleChanged
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.recurrence import (
    Explanation,
    Understood,
    When,
    explain,
    next_after,
    understand,
)
from taskqueue_ray.core.rules import Once
from taskqueue_ray.core.schedule import WINDOW, CatchUp, Overlap, Plan, Template
from taskqueue_ray.core.timing import Duration, parse_duration, parse_moment
from taskqueue_ray.core.zones import local
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.batches import Preparer
from taskqueue_ray.sdk.job import JobItem
from taskqueue_ray.sdk.opening import Opener
from taskqueue_ray.sdk.requests import Ask
from taskqueue_ray.sdk.schedule_record import ScheduleList, ScheduleRecord
from taskqueue_ray.sdk.templates import item_of, template_of

PAGE = 500
TRIES = 5
MOST_TIMES = 1_000
UNCHANGED: Any = object()

Times = list[datetime]
Ids = list[str]
Records = list[ScheduleRecord]


class Scheduler:
    """Schedules are stored with the queue and hold for the whole cluster.

    Each method has an `a…` twin for async code, `explain` apart, which asks nobody.
    """

    def __init__(self, ask: Ask, preparer: Preparer, opener: Opener, tz: str = "UTC") -> None:
        self._ask = ask
        self._preparer = preparer
        self._opener = opener
        self.tz = tz
        """The zone in which a schedule is meant that names none: the setting `timezone`."""

    def schedule(
        self,
        when: When,
        job: Any,
        /,
        *args: Any,
        payload: Mapping[str, Any] | None = None,
        id: str | None = None,
        tz: str | None = None,
        overlap: Overlap = "skip",
        catch_up: CatchUp = "latest",
        window: Duration | None = UNCHANGED,
        jitter: Duration = 0.0,
        until: datetime | None = None,
        max_runs: int | None = None,
        replace: bool = False,
    ) -> ScheduleRecord:
        """Enqueue a job at times: once or again and again. Durable on return.

        `when` is text ("every day at 2:30 AM", "in 10 minutes"), a cron expression, an interval, or
        an aware datetime; `tz` the IANA zone in which it is meant (the setting `timezone`). `job`
        is a job, an item, a class of jobs or a name, `args` are its arguments, `payload` that of a
        class, or keyword arguments. All options of a job can come with it by `.options(...)`.

        `overlap` is about a run that is still there: "skip" the new one, "allow" both,
        "buffer_one" lets one wait for its end, "cancel_running" cancels it. `catch_up` is about
        times that were missed: "skip" them, run for the "latest" or for "all", no longer than
        `window` ago (a day by default; None: however long). Jobs run up to `jitter` later, which
        is always the same for one time. Nothing is due after `until`, or after `max_runs` jobs.

        The same schedule again is no news. Raises `ScheduleExists` for another one of that id,
        unless it is to `replace` that; `PhraseNotUnderstood`, `AmbiguousPhrase`, `InvalidOption`.

        >>> q.scheduler.schedule("every day at 2:30 AM", backup, id="nightly")  # doctest: +SKIP
        """
        zone = self._zone(when, tz)
        understood = understand(when, tz=zone, now=time.time())
        if window is UNCHANGED:
            window = None if isinstance(understood.rule, Once) else WINDOW
        plan = _checked(
            Plan(understood.rule, understood.canonical, understood.words, zone, said=_said(when)),
            overlap=overlap, catch_up=catch_up, window=window, jitter=jitter, until=until,
            max_runs=max_runs,
        )  # fmt: skip
        item = item_of(job, args, payload)
        name = _made_id(item) if id is None else check_name("id", id)
        command = PutSchedule(name, plan, template_of(self._preparer, item), bool(replace))
        return self._record(self._ask(requests.put_schedule(command)))

    def update(
        self,
        id: str,
        /,
        *,
        when: When = UNCHANGED,
        tz: str = UNCHANGED,
        job: Any = UNCHANGED,
        payload: Mapping[str, Any] | None = None,
        overlap: Overlap = UNCHANGED,
        catch_up: CatchUp = UNCHANGED,
        window: Duration | None = UNCHANGED,
        jitter: Duration = UNCHANGED,
        until: datetime | None = UNCHANGED,
        max_runs: int | None = UNCHANGED,
    ) -> ScheduleRecord:
        """Change a schedule; what is not named stays. Raises `ScheduleNotFound`.

        Of another `when` or `tz` the times after now count. A `job` comes with its arguments.

        >>> q.scheduler.update("nightly", when="every day at 3:00")  # doctest: +SKIP
        """
        changes = {
            "overlap": overlap, "catch_up": catch_up, "window": window, "jitter": jitter,
            "until": until, "max_runs": max_runs,
        }  # fmt: skip
        template: Template | UnsetType = UNSET
        if job is not UNCHANGED:
            template = template_of(self._preparer, item_of(job, (), payload))
        for last in (*[False] * (TRIES - 1), True):
            known = self._view(id).schedule
            plan = _checked(_replanned(known.plan, when, tz), **changes)
            command = ReviseSchedule(id, known.updated_at, plan, template)
            try:
                return self._record(self._ask(requests.revise_schedule(command)))
            except ScheduleChanged:
                if last:
                    raise
        raise AssertionError("unreachable")

    def list(self) -> ScheduleList:
        """All schedules by their ids; those that have ended too, for a day."""
        found: Records = []
        more = True
        while more:
            page = self._ask(requests.schedules(found[-1].id if found else "", PAGE))
            found += map(self._record, page.schedules)
            more = page.more
        return ScheduleList(found)

    def get(self, id: str) -> ScheduleRecord:
        """One schedule, with its arguments. Raises `ScheduleNotFound`."""
        return self._record(self._view(id))

    def next(self, id: str, n: int = 5) -> Times:
        """The next `n` times of a schedule, in its zone; none of one that is paused or ended."""
        if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= MOST_TIMES:
            raise InvalidOption("n", ascii(n)[:80], f"a number from 0 to {MOST_TIMES}")
        known = self._view(id).schedule
        left = known.plan.max_runs - known.fired if known.plan.max_runs else n
        times: Times = []
        due: float | None = 0.0 if known.paused_at else known.due
        while due and len(times) < min(n, left) and not 0 < known.plan.until < due:
            times.append(local(known.plan.zone, due))
            due = next_after(known.rule, known.plan.zone, due)
        return times

    def pause(self, id: str) -> ScheduleRecord:
        """Fire nothing from now on. What is due meanwhile is not made up for."""
        return self._record(self._ask(requests.revise_schedule(ReviseSchedule(id, paused=True))))

    def resume(self, id: str) -> ScheduleRecord:
        """Fire again, from the next time after now on."""
        return self._record(self._ask(requests.revise_schedule(ReviseSchedule(id, paused=False))))

    def delete(self, id: str) -> bool:
        """Let a schedule be no more; False when there is none. Jobs that it has made stay."""
        found: bool = self._ask(requests.drop_schedule(check_name("id", id)))
        return found

    def run_now(self, id: str) -> str:
        """Enqueue its job now, whatever else runs, and also while it is paused; the job's id."""
        return to_text(self._ask(requests.run_schedule(id)))

    def backfill(self, id: str, start: datetime, end: datetime) -> Ids:
        """Enqueue a job for each of its times from `start` to `end`; the ids of the jobs.

        That is so for times, too, for which it has fired before. Overlaps mean nothing here. At
        most 1,000 at once, all in the past. `tq.current().scheduled_for` is the time of each.
        """
        begin, last = parse_moment(start, "start"), parse_moment(end, "end")
        return [to_text(one) for one in self._ask(requests.backfill(id, begin, last))]

    def understand(self, when: When, *, tz: str | None = None) -> Understood:
        """The rule that `when` stands for. Asks nobody."""
        return understand(when, tz=self._zone(when, tz), now=time.time())

    def explain(
        self, when: When, *, tz: str | None = None, after: datetime | None = None, n: int = 5
    ) -> Explanation:
        """What `when` means, and its next `n` times. Asks nobody, and stores nothing.

        >>> q.scheduler.explain("*/15 9-17 * * mon-fri").next[0].local  # doctest: +SKIP
        """
        since = time.time() if after is None else parse_moment(after, "after")
        return explain(when, tz=self._zone(when, tz), after=since, n=n)

    async def aschedule(self, when: When, job: Any, /, *args: Any, **given: Any) -> ScheduleRecord:
        """`schedule` for async code; so below."""
        return await asyncio.to_thread(lambda: self.schedule(when, job, *args, **given))

    async def aupdate(self, id: str, /, **changes: Any) -> ScheduleRecord:
        return await asyncio.to_thread(lambda: self.update(id, **changes))

    async def alist(self) -> ScheduleList:
        return await asyncio.to_thread(self.list)

    async def aget(self, id: str) -> ScheduleRecord:
        return await asyncio.to_thread(self.get, id)

    async def anext(self, id: str, n: int = 5) -> Times:
        return await asyncio.to_thread(self.next, id, n)

    async def apause(self, id: str) -> ScheduleRecord:
        return await asyncio.to_thread(self.pause, id)

    async def aresume(self, id: str) -> ScheduleRecord:
        return await asyncio.to_thread(self.resume, id)

    async def adelete(self, id: str) -> bool:
        return await asyncio.to_thread(self.delete, id)

    async def arun_now(self, id: str) -> str:
        return await asyncio.to_thread(self.run_now, id)

    async def abackfill(self, id: str, start: datetime, end: datetime) -> Ids:
        return await asyncio.to_thread(self.backfill, id, start, end)

    def _zone(self, when: object, tz: str | None) -> str:
        if tz is not None:
            return tz
        # A datetime that knows the name of its zone says it.
        name = getattr(when.tzinfo, "key", None) if isinstance(when, datetime) else None
        return name or self.tz

    def _view(self, id: str) -> Any:
        return self._ask(requests.schedule(check_name("id", id)))

    def _record(self, view: Any) -> ScheduleRecord:
        return ScheduleRecord(view, self._opener)


def _said(when: object) -> str:
    return " ".join(when.lower().split()) if isinstance(when, str) else ""


def _replanned(plan: Plan, when: Any, tz: Any) -> Plan:
    zone = plan.zone if tz is UNCHANGED else tz
    if when is UNCHANGED and tz is UNCHANGED:
        return plan
    again = understand(plan.when if when is UNCHANGED else when, tz=zone, now=time.time())
    said = plan.said if when is UNCHANGED else _said(when)
    return replace(
        plan, rule=again.rule, when=again.canonical, words=again.words, zone=zone, said=said
    )


def _checked(plan: Plan, **given: Any) -> Plan:
    """The plan with what was given. Raises `InvalidOption`."""
    made = {name: _CHECKS[name](value) for name, value in given.items() if value is not UNCHANGED}
    return replace(plan, **made)


def _one_of(name: str, kind: Any, value: object) -> object:
    if not isinstance(value, str) or value not in get_args(kind):
        accepts = ", ".join(map(repr, get_args(kind)))
        raise InvalidOption(name, ascii(value)[:80], accepts)
    return value


def _window(value: object) -> float:
    if value is None:
        return 0.0
    seconds = parse_duration(value, "window")
    if not seconds:
        raise InvalidOption("window", "0", 'more than 0 seconds; catch_up="skip" for none at all')
    return seconds


def _until(value: object) -> float:
    return 0.0 if value is None else parse_moment(value, "until")


def _max_runs(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 53:
        raise InvalidOption("max_runs", ascii(value)[:80], "a whole number from 1")
    return value


_CHECKS = {
    "overlap": lambda value: _one_of("overlap", Overlap, value),
    "catch_up": lambda value: _one_of("catch_up", CatchUp, value),
    "window": _window,
    "jitter": lambda value: parse_duration(value, "jitter"),
    "until": _until,
    "max_runs": _max_runs,
}


def _made_id(item: JobItem[Any]) -> str:
    """An id that says what it is about."""
    plain = item.job_type.name.rpartition(".")[2].lower()
    word = "".join(c if c.isascii() and c.isalnum() else "-" for c in plain).strip("-")[:40]
    return f"{word or 'schedule'}-{secrets.token_hex(4)}"
