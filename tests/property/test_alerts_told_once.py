"""Whatever crashes: every firing and every end is told once, as seen by who compares ids.

A rule is judged at random; the queue loses what was not committed, the alert actor loses what it
knows, answers are lost on either side, sinks fail. What a receiver counts as news must be what the
queue says has happened.
"""

from random import Random

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.alerts import Delivery, Report, Rule, Sink, Threshold, Verdict
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.events import AlertChanged, AlertDelivered, decode
from taskqueue_ray.core.state import State
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import Ledger

SEEDS, STEPS = 60, 200
RULES = [
    Rule("quick", Threshold("pending", ">", 1.0), 0.0, 0.0, sinks=(Sink("log"), Sink("log"))),
    Rule("slow", Threshold("failed", ">", 1.0), 7.0, 20.0),
]


class Play:
    """One random sequence. `heard` is what each sink got, in order, repeats included."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.ledger = Ledger()
        self.heard: dict[tuple[str, int], list[tuple[str, str]]] = {}
        self.unsure: list[Delivery] = []
        self.given_up: set[tuple[int, int]] = set()
        for rule in RULES:
            self.ledger.do(commands.SetAlert(rule))

    def step(self) -> None:
        acts = (self.judge, self.judge, self.deliver, self.deliver, self.mute, self.crash)
        self.chance.choice(acts)()
        self.ledger.now += self.chance.random() * 5

    def judge(self) -> None:
        state = self.ledger.state
        verdicts = [
            Verdict(rule.name, state.alerts.rules[rule.name].at, self.chance.random() < 0.6)
            for rule in RULES
        ]
        report = Report(verdicts, self.unsure)
        self.ledger.do(commands.JudgeAlerts(report))
        if self.chance.random() < 0.3:
            self.ledger.do(commands.JudgeAlerts(report))  # the answer was lost: it comes again

    def deliver(self) -> None:
        for notice in list(self.ledger.state.alerts.outbox.values()):
            for sink in notice.left:
                fate = self.chance.random()
                if fate < 0.2:
                    continue  # the sink is down
                if fate < 0.25:
                    self.given_up.add((notice.number, sink))
                    self.unsure = [Delivery(notice.number, sink, "it answered 500")]
                else:
                    heard = self.heard.setdefault((notice.rule, sink), [])
                    heard.append((notice.id, notice.what))
                    self.unsure = [Delivery(notice.number, sink)]
                if self.chance.random() < 0.5:
                    self.unsure = []  # the alert actor died before it could say so
                    continue
                self.ledger.do(commands.JudgeAlerts(Report([], self.unsure)))

    def mute(self) -> None:
        until = self.ledger.now + 10 if self.chance.random() < 0.5 else 0.0
        self.ledger.do(commands.MuteAlert(self.chance.choice(RULES).name, until))

    def crash(self) -> None:
        """The queue recovers, by its journal or by a snapshot; the alert actor begins anew."""
        state: State = self.ledger.replayed()
        if self.chance.random() < 0.5:
            state = read_snapshot(write_snapshot(state))
        self.ledger.state = state
        self.unsure = []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_transition_is_told_once(seed: int) -> None:
    play = Play(seed)
    for _ in range(STEPS):
        play.step()
    happened: dict[str, list[tuple[str, str]]] = {}
    given_up: set[tuple[str, int]] = set()
    fresh = State()
    for payload in play.ledger.commits:
        for event in decode(payload):
            apply(fresh, event)
            if isinstance(event, AlertDelivered) and event.problem:
                given_up.add((str(event.number), event.sink))
            for notice in event.notices if isinstance(event, AlertChanged) else ():
                happened.setdefault(notice.rule, []).append((notice.id, notice.what))
    waiting = {(n.id, sink) for n in fresh.alerts.outbox.values() for sink in n.left}
    assert happened["quick"], "something fired"
    for rule in RULES:
        news = happened.get(rule.name, [])
        words = [what for _, what in news]
        assert words == ["firing", "resolved"] * (len(words) // 2) + ["firing"] * (len(words) % 2)
        for sink in range(len(rule.sinks)):
            heard = dict(play.heard.get((rule.name, sink), []))
            for one, what in news:
                number = one.split(".")[1]
                if (one, sink) not in waiting and (number, sink) not in given_up:
                    assert heard.pop(one) == what
                else:
                    heard.pop(one, None)
            assert heard == {}, "nothing was told that did not happen"
