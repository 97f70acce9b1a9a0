"""The records of alerts: rules, where each stands, and what is still to be told to whom.

What a rule tells goes to its sinks. A sink's address and secrets are sealed by the client; here
is only what may be shown.
"""

from typing import Literal

import msgspec

from taskqueue_ray.core.model import Options

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
Op = Literal[">", ">=", "<", "<="]
OPS: tuple[Op, ...] = (">", ">=", "<", "<=")
SinkKind = Literal["log", "webhook", "slack", "email", "job", "call"]
News = Literal["firing", "resolved", "test"]
EACH = "*"
"""In place of a queue: each queue on its own, and the worst decides."""


class Threshold(msgspec.Struct, frozen=True, array_like=True, tag="threshold"):
    """A rule without code: a figure compared with a limit.

    `metric` is one of `core.gauges`. `queue` None: of all queues together; `"*"`: of each on its
    own, so that one is enough.

    >>> print(Threshold("pending", ">", 1000, queue="mail"))
    pending of mail > 1,000
    """

    metric: str
    op: Op
    value: float
    queue: str | None = None

    def __str__(self) -> str:
        whose = {None: "", EACH: " of any queue"}.get(self.queue, f" of {self.queue}")
        return f"{self.metric}{whose} {self.op} {self.value:,.10g}"

    def holds(self, value: float) -> bool:
        """Whether that is beyond the limit."""
        match self.op:
            case ">":
                return value > self.value
            case ">=":
                return value >= self.value
            case "<":
                return value < self.value
            case "<=":
                return value <= self.value


class Code(msgspec.Struct, frozen=True, array_like=True, tag="code"):
    """A rule that is a function of `takes`: sealed, and only loaded by its version of Python."""

    name: str
    takes: tuple[str, ...]
    python: str
    sealed: bytes

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.takes)})"


class Sink(msgspec.Struct, frozen=True, array_like=True):
    """Where a rule's news go. `shown` tells it without secrets; `options` are a job's."""

    kind: SinkKind
    shown: str = ""
    sealed: bytes = b""
    options: Options | None = None


class Rule(msgspec.Struct, frozen=True, array_like=True):
    """One rule. Times are in seconds: it fires after `lasts`, and not again for `cooldown`."""

    name: str
    when: Threshold | Code
    lasts: float = 120.0
    cooldown: float = 600.0
    severity: Severity = "warning"
    sinks: tuple[Sink, ...] = (Sink("log"),)
    enabled: bool = True
    builtin: bool = False
    at: float = 0.0
    """When it was set: news of an older rule of this name count no more."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """Where a rule stands, if not at rest. `told`: its firing was told, so its end will be.

    Until `quiet_until` a firing is not told. `problem` says why the rule cannot be judged.
    """

    name: str
    phase: Literal["ok", "pending", "firing"] = "ok"
    since: float = 0.0
    told: bool = False
    quiet_until: float = 0.0
    value: float | None = None
    detail: str = ""
    problem: str = ""


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """Something to tell. `left` are the places in `sinks` that have not got it yet."""

    number: int
    rule: str
    what: News
    at: float
    severity: Severity
    summary: str
    value: float | None
    sinks: tuple[Sink, ...]
    left: tuple[int, ...]

    @property
    def id(self) -> str:
        """Tells a notice from all others of its queue; equal on every repeat."""
        return f"{self.rule}.{self.number}.{int(self.at)}"


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A line of the history of alerts."""

    at: float
    rule: str
    what: str
    text: str = ""
    notice: int = 0
    value: float | None = None


class Alerts(msgspec.Struct):
    """All that the queue keeps of alerts."""

    rules: dict[str, Rule] = {}
    """Rules that somebody set; of the built-in ones those that were changed."""
    standings: dict[str, Standing] = {}
    mutes: dict[str, float] = {}
    """Until when a rule's firing is not told."""
    outbox: dict[int, Notice] = {}
    history: list[Entry] = []
    notices: int = 0
    """The number of the latest notice."""


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """Whether a rule, as it was set at `rule_at`, holds now; with `problem`, nobody knows."""

    rule: str
    rule_at: float
    active: bool
    value: float | None = None
    detail: str = ""
    problem: str = ""


class Delivery(msgspec.Struct, frozen=True, array_like=True):
    """A sink has a notice; or will never, and `problem` says why."""

    number: int
    sink: int
    problem: str = ""


class Report(msgspec.Struct, frozen=True, array_like=True):
    """What the alert actor found since its last report."""

    verdicts: list[Verdict] = []
    deliveries: list[Delivery] = []


class RuleView(msgspec.Struct, frozen=True, array_like=True):
    """A rule and where it stands."""

    rule: Rule
    standing: Standing
    muted_until: float = 0.0


class AlertsView(msgspec.Struct, frozen=True, array_like=True):
    """What can be seen of alerts: every rule in force, what is not delivered, the history."""

    rules: list[RuleView]
    outbox: list[Notice]
    history: list[Entry]
