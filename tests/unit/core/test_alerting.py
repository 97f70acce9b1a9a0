"""When a rule fires, when it tells, and what it tells once."""

from typing import Any

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.alerting import (
    MAX_HISTORY,
    MAX_OUTBOX,
    MAX_RULES,
    parse_threshold,
    step,
    view,
)
from taskqueue_ray.core.alerts import (
    Delivery,
    Notice,
    Report,
    Rule,
    Sink,
    Standing,
    Threshold,
    Verdict,
)
from taskqueue_ray.core.builtin_alerts import BUILTINS, DEFAULT_RULES
from taskqueue_ray.core.errors import AlertNotFound, InvalidOption
from tests.ledger import Ledger, facts

DEEP = Rule("deep", Threshold("pending", ">", 10.0), lasts=120.0, cooldown=600.0)


class Watch:
    """A queue with one rule, judged at times of the test's choosing."""

    def __init__(self, rule: Rule = DEEP, **changes: Any) -> None:
        from msgspec.structs import replace

        self.ledger = Ledger()
        self.start = self.ledger.now
        self.rule: Rule = self.ledger.do(commands.SetAlert(replace(rule, **changes)))

    def at(self, seconds: float, holds: bool, problem: str = "") -> None:
        self.ledger.now = self.start + seconds
        verdict = Verdict(self.rule.name, self.rule.at, holds, 11.0, "11 > 10", problem)
        self.ledger.do(commands.JudgeAlerts(Report([verdict])))

    @property
    def told(self) -> list[str]:
        return [one.what for one in self.ledger.state.alerts.outbox.values()]

    @property
    def phase(self) -> str:
        found = self.ledger.state.alerts.standings.get(self.rule.name)
        return found.phase if found else "ok"

    def history(self) -> list[str]:
        return [one.what for one in self.ledger.state.alerts.history]


@pytest.mark.parametrize(
    ("looks", "phase", "told"),
    [
        ([(0, True)], "pending", []),
        ([(0, True), (119, True)], "pending", []),
        ([(0, True), (120, True)], "firing", ["firing"]),
        ([(0, True), (60, False), (61, True), (150, True)], "pending", []),
        ([(0, True), (120, True), (130, True), (140, True)], "firing", ["firing"]),
        ([(0, True), (120, True), (130, False)], "ok", ["firing", "resolved"]),
        ([(0, True), (120, True), (130, False), (140, False)], "ok", ["firing", "resolved"]),
        # Within the cooldown it fires in silence, and so it ends.
        (
            [(0, True), (120, True), (130, False), (140, True), (260, True), (300, False)],
            "ok",
            ["firing", "resolved"],
        ),
        # What fires still when the cooldown is over is told then.
        (
            [(0, True), (120, True), (130, False), (140, True), (260, True), (729, True)],
            "firing",
            ["firing", "resolved"],
        ),
        (
            [(0, True), (120, True), (130, False), (140, True), (260, True), (730, True)],
            "firing",
            ["firing", "resolved", "firing"],
        ),
    ],
)
def test_what_is_told_when(looks: list[tuple[float, bool]], phase: str, told: list[str]) -> None:
    watch = Watch()
    for seconds, holds in looks:
        watch.at(seconds, holds)
    assert (watch.phase, watch.told) == (phase, told)


def test_without_a_time_to_last_it_fires_at_once() -> None:
    watch = Watch(lasts=0.0, cooldown=0.0)
    for seconds, holds in ((0, True), (1, False), (2, True)):
        watch.at(seconds, holds)
    assert watch.told == ["firing", "resolved", "firing"]
    numbers = [one.number for one in watch.ledger.state.alerts.outbox.values()]
    assert numbers == [1, 2, 3]
    ids = {one.id for one in watch.ledger.state.alerts.outbox.values()}
    assert len(ids) == 3, "each notice has an id of its own"


def test_what_is_no_news_leaves_no_event() -> None:
    watch = Watch(lasts=0.0)
    watch.at(0, True)
    commits = len(watch.ledger.commits)
    for seconds in range(1, 50):
        watch.at(seconds, True)
    assert len(watch.ledger.commits) == commits


def test_a_mute_silences_a_firing_until_it_ends() -> None:
    watch = Watch(lasts=0.0)
    watch.ledger.do(commands.MuteAlert("deep", watch.start + 100))
    watch.at(0, True)
    watch.at(99, True)
    assert (watch.phase, watch.told) == ("firing", [])
    watch.at(101, True)
    assert watch.told == ["firing"]
    watch.ledger.do(commands.MuteAlert("deep", watch.start + 1000))
    watch.at(102, False)
    assert watch.told == ["firing", "resolved"], "whoever heard of it hears of its end"


def test_an_unmute_lets_it_speak() -> None:
    watch = Watch(lasts=0.0)
    watch.ledger.do(commands.MuteAlert("deep", 1e15))
    watch.at(0, True)
    watch.ledger.do(commands.MuteAlert("deep", 0.0))
    watch.at(1, True)
    assert watch.told == ["firing"]
    assert watch.history()[:2] == ["muted", "unmuted"]


def test_a_rule_that_cannot_be_judged_stays_where_it_is() -> None:
    watch = Watch(lasts=0.0)
    watch.at(0, True)
    watch.at(1, False, "ZeroDivisionError: division by zero")
    watch.at(2, False, "ZeroDivisionError: division by zero")
    assert (watch.phase, watch.told) == ("firing", ["firing"])
    assert watch.history() == ["firing", "error"], "noted once"
    watch.at(3, False)
    assert watch.told == ["firing", "resolved"]
    assert watch.ledger.state.alerts.standings["deep"].problem == ""


def test_a_verdict_on_a_rule_as_it_was_before_counts_for_nothing() -> None:
    watch = Watch(lasts=0.0)
    old = watch.rule
    watch.ledger.now += 1
    watch.ledger.do(commands.SetAlert(old))
    watch.at(2, True)
    assert watch.told == []


def test_each_sink_is_done_on_its_own_and_then_forgotten() -> None:
    sinks = (Sink("log", "log"), Sink("webhook", "webhook example.org", b"sealed"))
    watch = Watch(lasts=0.0, sinks=sinks)
    watch.at(0, True)
    do, alerts = watch.ledger.do, watch.ledger.state.alerts
    do(commands.JudgeAlerts(Report([], [Delivery(1, 0), Delivery(1, 0), Delivery(9, 9)])))
    assert alerts.outbox[1].left == (1,)
    do(commands.JudgeAlerts(Report([], [Delivery(1, 1, "it answered 500")])))
    assert alerts.outbox == {}
    assert [(one.what, one.text) for one in alerts.history[1:]] == [
        ("delivered", "log"),
        ("undelivered", "webhook example.org: it answered 500"),
    ]
    commits = len(watch.ledger.commits)
    do(commands.JudgeAlerts(Report([], [Delivery(1, 1)])))
    assert len(watch.ledger.commits) == commits, "a repeat is no news"


@pytest.mark.parametrize("end", ["delete", "switch off"])
def test_whoever_was_told_hears_of_a_rule_that_goes(end: str) -> None:
    watch = Watch(lasts=0.0)
    watch.at(0, True)
    if end == "delete":
        assert watch.ledger.do(commands.DeleteAlert("deep"))
        assert "deep" not in watch.ledger.state.alerts.standings
    else:
        watch.ledger.do(commands.SetAlert(Rule("deep", DEEP.when, enabled=False)))
    assert watch.told == ["firing", "resolved"]
    assert watch.ledger.do(commands.DeleteAlert("nobody")) is False


def test_a_test_goes_to_the_sinks_and_changes_nothing_else() -> None:
    watch = Watch()
    assert watch.ledger.do(commands.TestAlert("deep")) == 1
    assert (watch.phase, watch.told) == ("ok", ["test"])
    with pytest.raises(AlertNotFound, match="no_workers"):
        watch.ledger.do(commands.TestAlert("nobody"))
    with pytest.raises(AlertNotFound):
        watch.ledger.do(commands.MuteAlert("nobody", 1e9))


def test_what_is_kept_is_bounded() -> None:
    watch = Watch(lasts=0.0, cooldown=0.0)
    for seconds in range(MAX_OUTBOX + 10):
        watch.at(seconds, seconds % 2 == 0)
    alerts = watch.ledger.state.alerts
    assert len(alerts.outbox) == MAX_OUTBOX
    assert min(alerts.outbox) == 11, "the oldest went"
    assert len(alerts.history) == MAX_HISTORY
    assert alerts.history[-1].what == "undelivered"


def test_a_replay_stands_where_the_queue_stands() -> None:
    watch = Watch(lasts=0.0)
    watch.at(0, True)
    watch.ledger.do(commands.MuteAlert("deep", watch.start + 100))
    watch.ledger.do(commands.JudgeAlerts(Report([], [Delivery(1, 0)])))
    watch.at(5, False)
    assert facts(watch.ledger.replayed()) == facts(watch.ledger.state)


def test_builtin_rules_are_there_and_can_be_changed_and_put_back() -> None:
    ledger = Ledger()
    assert {one.rule.name for one in view(ledger.state.alerts).rules} == set(BUILTINS)
    from msgspec.structs import replace

    rule = DEFAULT_RULES["queue_depth"]
    ledger.do(commands.SetAlert(replace(rule, when=replace(rule.when, value=5.0))))
    kept = ledger.state.alerts.rules["queue_depth"]
    assert kept.builtin
    assert str(kept.when) == "pending of any queue > 5"
    assert ledger.do(commands.DeleteAlert("queue_depth"))
    assert view(ledger.state.alerts).rules[0].rule == rule


@pytest.mark.parametrize(
    ("rule", "option"),
    [
        (Rule("Bad Name", DEEP.when), "name"),
        (Rule("queue_depth", DEEP.when), "name"),
        (Rule("own", DEEP.when, builtin=True), "name"),
        (Rule("x", Threshold("depth", ">", 1.0)), "metric"),
        (Rule("x", Threshold("pending", "=>", 1.0)), "op"),  # type: ignore[arg-type]  # that is the point
        (Rule("x", Threshold("pending", ">", float("nan"))), "value"),
        (Rule("x", Threshold("pending", ">", float("inf"))), "value"),
        (Rule("x", Threshold("workers", "<", 1.0, "mail")), "queue"),
        (Rule("x", Threshold("pending", ">", 1.0, "No Queue")), "queue"),
        (Rule("x", DEEP.when, lasts=-1.0), "for_"),
        (Rule("x", DEEP.when, cooldown=float("nan")), "cooldown"),
        (Rule("x", DEEP.when, severity="loud"), "severity"),  # type: ignore[arg-type]  # that is the point
        (Rule("x", DEEP.when, sinks=()), "sinks"),
        (Rule("x", DEEP.when, sinks=(Sink("log"),) * 11), "sinks"),
        (Rule("x", DEEP.when, sinks=(Sink("webhook", "", bytes(1 << 20)),)), "sinks"),
    ],
)
def test_a_bad_rule_is_refused_and_not_kept(rule: Rule, option: str) -> None:
    ledger = Ledger()
    with pytest.raises(InvalidOption) as refusal:
        ledger.do(commands.SetAlert(rule))
    assert refusal.value.fields["option"] == option
    assert ledger.state.alerts.rules == {}


def test_there_may_be_so_many_rules() -> None:
    ledger = Ledger()
    for number in range(MAX_RULES):
        ledger.do(commands.SetAlert(Rule(f"r{number}", DEEP.when)))
    ledger.do(commands.SetAlert(Rule("r0", DEEP.when)))
    with pytest.raises(InvalidOption, match="delete some"):
        ledger.do(commands.SetAlert(Rule("one-more", DEEP.when)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("pending > 1000", Threshold("pending", ">", 1000.0)),
        ("failure_rate>=0.25", Threshold("failure_rate", ">=", 0.25)),
        ("  workers <  1 ", Threshold("workers", "<", 1.0)),
        ("storage_used <= -1.5", Threshold("storage_used", "<=", -1.5)),
    ],
)
def test_thresholds_from_text(text: str, wanted: Threshold) -> None:
    assert parse_threshold(text) == wanted


@pytest.mark.parametrize("text", ["", "pending", "pending > ", "> 1", "pending == 1", "depth > 1"])
def test_texts_that_are_no_threshold(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"pending"):
        parse_threshold(text)


@pytest.mark.parametrize(
    ("op", "below", "at", "above"),
    [
        (">", False, False, True),
        (">=", False, True, True),
        ("<", True, False, False),
        ("<=", True, True, False),
    ],
)
def test_comparisons(op: Any, below: bool, at: bool, above: bool) -> None:
    when = Threshold("pending", op, 5.0)
    assert (when.holds(4.0), when.holds(5.0), when.holds(6.0)) == (below, at, above)


def test_a_step_tells_one_thing_at_most() -> None:
    firing = Standing("deep", "firing", 0.0, told=True)
    after, told = step(DEEP, firing, Verdict("deep", 0.0, True), muted=False, now=1.0)
    assert (after.told, told) == (True, None)


def test_a_notice_keeps_its_id() -> None:
    notice = Notice(7, "deep", "firing", 1000.9, "warning", "", None, (), ())
    assert notice.id == "deep.7.1000"
