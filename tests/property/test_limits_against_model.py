"""Limits against a model that counts by hand, whatever comes in which order, restarts included."""

from hypothesis import given, settings
from hypothesis import strategies as st

from taskqueue_ray.core import commands
from taskqueue_ray.core.exchange import Outcome, OutcomeKind
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.model import Job, Use
from tests.ledger import Ledger, facts, grant_of
from tests.records import options, outcome, spec, worker

NAMES = ("rate", "smooth", "two", "other")
USES = st.builds(Use, st.sampled_from(NAMES), st.integers(1, 3), st.sampled_from(("", "k")))
GATES = st.lists(USES, max_size=3, unique_by=lambda use: use.name).map(tuple)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enqueue"), st.lists(GATES, min_size=1, max_size=4), st.integers(0, 2)),
        st.tuples(st.just("lease"), st.integers(1, 8), st.sampled_from((1, 3))),
        st.tuples(st.just("end"), st.integers(0, 3), st.sampled_from(list(OutcomeKind)[:3])),
        st.tuples(st.just("set"), st.sampled_from(NAMES), st.integers(3, 6)),
        st.tuples(st.just("pass"), st.floats(0.0, 6.0), st.none()),
        st.tuples(st.just("restart"), st.none(), st.none()),
        st.tuples(st.just("lose"), st.none(), st.none()),
        st.tuples(st.just("acquire"), st.sampled_from(NAMES[:2]), st.integers(1, 3)),
    ),
    max_size=60,
)
PER = 5.0
SHARED = (options(), options(queue="b", priority=9), options(type="u"))


class Trial:
    """A queue, and what was started under which limit, by hand."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.starts: list[tuple[float, str, str, int]] = []
        self.number = 0
        for name in NAMES:
            self.set(name, 3)

    def set(self, name: str, n: int) -> None:
        rule = LimitRule("rate", n, PER, name == "smooth")
        if name in NAMES[2:]:
            rule = LimitRule("concurrency", n)
        self.ledger.do(commands.SetLimit(name, rule))

    def enqueue(self, gates: list[tuple[Use, ...]], shared: int) -> None:
        jobs = []
        for gate in gates:
            self.number += 1
            jobs.append(spec(self.number, shared, limits=gate) if gate else spec(self.number))
        self.ledger.enqueue(jobs, *SHARED)

    def lease(self, want: int, concurrency: int) -> int:
        grants = self.ledger.lease(want, worker(concurrency=concurrency))
        for grant in grants:
            for use in self.ledger.state.jobs[grant.id].conditions.limits:
                self.start(use)
        return len(grants)

    def start(self, use: Use) -> None:
        """What starts must fit into what the limit is now."""
        self.starts.append((self.ledger.now, use.name, use.key, use.units))
        n = self.ledger.state.limits.rules[use.name][""].n
        assert self.used(use.name, use.key) <= n, use

    def used(self, name: str, key: str) -> int:
        if name in NAMES[2:]:
            held = self.ledger.state.held.get("w", {}).values()
            uses = [use for job in held for use in job.conditions.limits]
            return sum(use.units for use in uses if (use.name, use.key) == (name, key))
        return sum(
            units for at, *mid, units in self.starts
            if mid == [name, key] and self.ledger.now - at < PER
        )  # fmt: skip

    def end(self, which: int, kind: OutcomeKind) -> None:
        held = list(self.ledger.state.held.get("w", {}).values())
        if held:
            due = {"due": self.ledger.now + 1} if kind is OutcomeKind.SNOOZED else {}
            self.ledger.end(grant_of(held[which % len(held)]), kind, **due)

    def acquire(self, name: str, units: int) -> None:
        if self.ledger.do(commands.Acquire(name, units)).given:
            self.start(Use(name, units))

    def restart(self) -> None:
        state = self.ledger.replayed()
        assert facts(state) == facts(self.ledger.state)
        self.ledger.state = state


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_no_limit_is_exceeded_and_nothing_stays_behind(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    trial = Trial()
    for verb, first, second in steps:
        match verb:
            case "enqueue":
                trial.enqueue(first, second)
            case "lease":
                trial.lease(first, second)
            case "end":
                trial.end(first, second)
            case "set":
                trial.set(first, second)
            case "pass":
                trial.ledger.wait(first)
            case "restart":
                trial.restart()
            case "lose":
                trial.ledger.lose()
            case "acquire":
                trial.acquire(first, second)
    _drain(trial)


def _drain(trial: Trial) -> None:
    """What can run runs, one after another, in no more time than the limits ask for."""
    for _ in range(5 * trial.number + 10):
        while trial.ledger.state.held:
            trial.end(0, OutcomeKind.COMPLETED)
        trial.lease(100, 100)
        trial.ledger.wait(1.1)
    assert trial.ledger.state.jobs == {}


def test_all_of_a_rate_is_used_when_there_is_a_backlog() -> None:
    """At 5,000 starts a second, looked at whenever the alarm says so, over a restart."""
    ledger = Ledger()
    ledger.do(commands.SetLimit("api", LimitRule("rate", 5000, 1.0)))
    for part in range(3):
        first = part * 10_000 + 1
        ledger.enqueue([spec(n, limits=(Use("api"),)) for n in range(first, first + 10_000)])
    began, starts = ledger.now, []
    while ledger.now - began < 4.0:
        for _ in range(60):
            found = len(ledger.lease(100, worker(concurrency=100)))
            starts += [ledger.now] * found
            ledger.settle(*(_done(job) for job in list(ledger.state.held.get("w", {}).values())))
            ledger.now += 0.0005
            if not found:
                break
        opening = ledger.state.ready.gates.next_opening(ledger.now)
        ledger.now = max(ledger.now, opening or 0.0) + 0.001  # as late as a busy loop may be
        if len(starts) == 10_000:
            ledger.state = ledger.replayed()
    inside = [at for at in starts if at - began < 4.0]
    assert len(inside) >= 0.99 * 4 * 5000
    assert all(b - a >= 1.0 for a, b in zip(starts, starts[5000:], strict=False))


def _done(job: Job) -> Outcome:
    return outcome(grant_of(job))
