"""`q.alerts`: rules that watch over the queue, and tell somebody."""

import asyncio
import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from taskqueue_ray.core.alerting import check_rule
from taskqueue_ray.core.alerts import Code, Entry, Rule, RuleView, Severity, Threshold
from taskqueue_ray.core.builtin_alerts import BUILTINS
from taskqueue_ray.core.errors import InvalidOption, Unavailable
from taskqueue_ray.core.model import LATEST
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.engine.code import PYTHON
from taskqueue_ray.engine.functions import seal_function
from taskqueue_ray.engine.payload import Kind
from taskqueue_ray.engine.watched import PARAMETERS
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.batches import Preparer
from taskqueue_ray.sdk.records import moment
from taskqueue_ray.sdk.requests import Ask
from taskqueue_ray.sdk.sinks import Destination, seal_all
from taskqueue_ray.sdk.tables import RecordList
from taskqueue_ray.sdk.workforce import import_paths

Predicate = Callable[..., Any]
UNCHANGED: Any = object()
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """A rule and where it stands: `ok`, `pending`, `firing`, `error` or `off`.

    `since` is when it came there. `sinks` are shown without their secrets.
    """

    name: str
    when: str
    state: str
    since: datetime | None
    severity: str
    for_: float
    cooldown: float
    sinks: tuple[str, ...]
    value: float | None
    detail: str
    problem: str
    muted_until: datetime | None
    builtin: bool
    meaning: str = ""

    @staticmethod
    def of(view: RuleView) -> "AlertRecord":
        """The record of a view."""
        rule, standing = view.rule, view.standing
        state = "error" if standing.problem else standing.phase
        found = BUILTINS.get(rule.name)
        muted = view.muted_until if view.muted_until > time.time() else 0.0
        return AlertRecord(
            rule.name, str(rule.when), state if rule.enabled else "off", moment(standing.since),
            rule.severity, rule.lasts, rule.cooldown,
            tuple(sink.shown or sink.kind for sink in rule.sinks), standing.value,
            standing.detail, standing.problem, _until(muted), rule.builtin,
            found.meaning if found else "",
        )  # fmt: skip

    def row(self) -> dict[str, Any]:
        """What a table shows of it."""
        return {
            "name": self.name,
            "state": self.state,
            "when": self.when,
            "since": self.since,
            "severity": self.severity,
            "for_": self.for_,
            "sinks": list(self.sinks),
            "muted_until": self.muted_until,
            "builtin": self.builtin,
            "detail": self.problem or self.detail,
        }


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """A line of the history: `firing`, `resolved`, `test`, `delivered`, `undelivered`, `error`,
    `muted` or `unmuted`. `notice` tells what belongs together.
    """

    at: datetime | None
    rule: str
    what: str
    text: str
    notice: int

    @staticmethod
    def of(entry: Entry) -> "AlertEvent":
        """The event of an entry."""
        return AlertEvent(moment(entry.at), entry.rule, entry.what, entry.text, entry.notice)

    def row(self) -> dict[str, Any]:
        """What a table shows of it."""
        return {"at": self.at, "rule": self.rule, "what": self.what, "text": self.text}


class Alerts:
    """Rules, stored with the queue. An actor of the cluster judges them every few seconds."""

    def __init__(self, ask: Ask, preparer: Preparer) -> None:
        self._ask = ask
        self._preparer = preparer

    def add(
        self,
        name: str,
        predicate: Threshold | Predicate,
        *,
        for_: Duration = "2m",
        cooldown: Duration = "10m",
        severity: Severity = "warning",
        sinks: Sequence[Destination] | None = None,
    ) -> AlertRecord:
        """Keep a rule, in place of the one of its name.

        `predicate` is a `tq.Threshold`, or a function of any of `stats`, `workers`, `metrics` and
        `nodes`, by these names of its parameters, that says whether to fire. It fires when it has
        held `for_` so long, tells the `sinks` (default: the log) once, and once that it is over;
        after that it tells nothing new for `cooldown`. Raises `InvalidOption`.

        >>> q.alerts.add("deep", lambda stats: stats.pending > 1000)  # doctest: +SKIP
        >>> q.alerts.add("mail", tq.Threshold("failed", ">", 10, queue="mail"))  # doctest: +SKIP
        """
        check_name("name", name)
        if name in BUILTINS:
            given = f"{name!r}, which is built in"
            raise InvalidOption("name", given, "another name, or q.alerts.configure_builtin")
        rule = Rule(
            name,
            self._when(name, predicate),
            parse_duration(for_, "for_"),
            parse_duration(cooldown, "cooldown"),
            severity,
            seal_all(sinks, name, self._preparer),
        )
        return self._set(rule)

    def configure_builtin(
        self,
        name: str,
        *,
        limit: float = UNCHANGED,
        enabled: bool = UNCHANGED,
        for_: Duration = UNCHANGED,
        cooldown: Duration = UNCHANGED,
        severity: Severity = UNCHANGED,
        sinks: Sequence[Destination] | None = UNCHANGED,
    ) -> AlertRecord:
        """Change a built-in rule; what is not named stays. `delete` takes all changes back.

        >>> q.alerts.configure_builtin("queue_depth", limit=5_000)  # doctest: +SKIP
        """
        if name not in BUILTINS:
            raise InvalidOption("name", ascii(name)[:80], f"one of {', '.join(BUILTINS)}")
        rule = next(one.rule for one in self._view().rules if one.rule.name == name)
        if limit is not UNCHANGED:
            rule = replace(rule, when=replace(rule.when, value=_number(limit)))
        if enabled is not UNCHANGED:
            rule = replace(rule, enabled=bool(enabled))
        if for_ is not UNCHANGED:
            rule = replace(rule, lasts=parse_duration(for_, "for_"))
        if cooldown is not UNCHANGED:
            rule = replace(rule, cooldown=parse_duration(cooldown, "cooldown"))
        if severity is not UNCHANGED:
            rule = replace(rule, severity=severity)
        if sinks is not UNCHANGED:
            rule = replace(rule, sinks=seal_all(sinks, name, self._preparer))
        return self._set(rule)

    def delete(self, name: str) -> bool:
        """Drop a rule, or what was changed of a built-in one; False when there was nothing."""
        found: bool = self._ask(requests.delete_alert(name))
        return found

    def mute(self, name: str, for_: Duration | None = None) -> None:
        """Tell no firing of a rule for so long, or until `unmute`. It is judged all the same.

        One that fires still when the mute ends is told then. Raises `AlertNotFound`.
        """
        until = LATEST if for_ is None else time.time() + parse_duration(for_, "for_")
        self._ask(requests.mute_alert(name, until))

    def unmute(self, name: str) -> None:
        """Tell it again."""
        self._ask(requests.mute_alert(name, 0.0))

    def test(self, name: str, *, timeout: Duration = "60s") -> RecordList[AlertEvent]:
        """Send a test to each sink of a rule, and wait; what became of it, a line for each.

        Raises `AlertNotFound`, and `Unavailable` when it takes longer than `timeout`: a sink that
        fails is tried again for a quarter of an hour.
        """
        deadline = time.monotonic() + parse_duration(timeout, "timeout")
        number: int = self._ask(requests.test_alert(name))
        while any(notice.number == number for notice in self._view().outbox):
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the test of {name!r} has not reached all sinks; `taskqueue doctor` says "
                    "whether anybody watches, and the log of the alert actor what a sink answered"
                )
            time.sleep(0.1)
        ends = ("delivered", "undelivered")
        entries = (entry for entry in self._view().history if entry.what in ends)
        return RecordList(AlertEvent.of(entry) for entry in entries if entry.notice == number)

    def list(self) -> RecordList[AlertRecord]:
        """Every rule, the built-in ones first, and where it stands."""
        return RecordList(map(AlertRecord.of, self._view().rules))

    def firing(self) -> RecordList[AlertRecord]:
        """Those that fire now."""
        return RecordList(one for one in self.list() if one.state == "firing")

    def history(self, name: str | None = None, *, limit: int = 100) -> RecordList[AlertEvent]:
        """What happened lately, the newest first: at most 500 lines are kept."""
        entries = [one for one in self._view().history if name in (None, one.rule)]
        return RecordList(map(AlertEvent.of, reversed(entries[-limit:] if limit > 0 else [])))

    async def aadd(
        self, name: str, predicate: Threshold | Predicate, **options: Any
    ) -> AlertRecord:
        """`add` for async code."""
        return await asyncio.to_thread(lambda: self.add(name, predicate, **options))

    async def aconfigure_builtin(self, name: str, **changes: Any) -> AlertRecord:
        """`configure_builtin` for async code."""
        return await asyncio.to_thread(lambda: self.configure_builtin(name, **changes))

    async def adelete(self, name: str) -> bool:
        """`delete` for async code."""
        return await asyncio.to_thread(self.delete, name)

    async def amute(self, name: str, for_: Duration | None = None) -> None:
        """`mute` for async code."""
        await asyncio.to_thread(self.mute, name, for_)

    async def aunmute(self, name: str) -> None:
        """`unmute` for async code."""
        await asyncio.to_thread(self.unmute, name)

    async def atest(self, name: str, *, timeout: Duration = "60s") -> RecordList[AlertEvent]:  # noqa: ASYNC109  # as `test`
        """`test` for async code."""
        return await asyncio.to_thread(lambda: self.test(name, timeout=timeout))

    async def alist(self) -> RecordList[AlertRecord]:
        """`list` for async code."""
        return await asyncio.to_thread(self.list)

    async def afiring(self) -> RecordList[AlertRecord]:
        """`firing` for async code."""
        return await asyncio.to_thread(self.firing)

    async def ahistory(
        self, name: str | None = None, *, limit: int = 100
    ) -> RecordList[AlertEvent]:
        """`history` for async code."""
        return await asyncio.to_thread(lambda: self.history(name, limit=limit))

    def _view(self) -> Any:
        return self._ask(requests.alerts())

    def _set(self, rule: Rule) -> AlertRecord:
        check_rule(rule)
        self._ask(requests.set_alert(rule))
        return next(one for one in self.list() if one.name == rule.name)

    def _when(self, name: str, predicate: Threshold | Predicate) -> Threshold | Code:
        if isinstance(predicate, Threshold):
            return predicate
        takes = _parameters(predicate)
        sealer = self._preparer.sealer
        sealed = seal_function(predicate, import_paths(), sealer, Kind.PREDICATE, name)
        shown = getattr(predicate, "__qualname__", type(predicate).__name__)[-100:]
        return Code(shown, takes, PYTHON, sealed)


def _parameters(predicate: Predicate) -> tuple[str, ...]:
    accepts = f"a tq.Threshold, or a function of any of {', '.join(PARAMETERS)}"
    shown = ascii(predicate)[:80]
    if not callable(predicate):
        raise InvalidOption("predicate", shown, accepts)
    if inspect.iscoroutinefunction(predicate) or inspect.isgeneratorfunction(predicate):
        raise InvalidOption("predicate", f"{shown}, which is async or a generator", accepts)
    try:
        parameters = inspect.signature(predicate).parameters.values()
    except ValueError:
        raise InvalidOption("predicate", f"{shown}, whose parameters are hidden", accepts) from None
    needed = [one for one in parameters if one.default is one.empty]
    takes = tuple(one.name for one in parameters if one.name in PARAMETERS)
    strange = [one.name for one in needed if one.name not in PARAMETERS]
    if strange or any(one.kind is one.POSITIONAL_ONLY for one in needed):
        raise InvalidOption("predicate", f"{shown}, which wants {', '.join(strange)}", accepts)
    if not takes:
        raise InvalidOption("predicate", f"{shown}, which looks at nothing", accepts)
    return takes


def _number(limit: object) -> float:
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise InvalidOption("limit", ascii(limit)[:80], "a number")
    return float(limit)


def _until(seconds: float) -> datetime | None:
    # A mute without an end has none that a datetime could hold.
    return FOREVER if seconds >= LATEST else moment(seconds)
