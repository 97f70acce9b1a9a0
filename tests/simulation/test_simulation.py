"""Seeds of the simulated cluster, and proof that it would notice."""

import os

import pytest

from tests.simulation.planted import PLANTED
from tests.simulation.run import report, run_seed, shrink
from tests.simulation.world import Run

SEEDS = {"quick": 150, "release": 100_000, "nightly": 30_000}
MANY = 10_000
BATCH = 50
BOUND = 300
"""A planted bug must be found within so many seeds."""


def _first() -> int:
    """Where to begin: always the same seeds, unless another beginning is asked for."""
    return int(os.environ.get("TASKQUEUE_TEST_SEED") or 0)


def _run_all(seeds: range) -> None:
    failed = [run for run in map(run_seed, seeds) if run.violation is not None]
    if failed:
        pytest.fail("\n".join(report(shrink(run)) for run in failed[:3]), pytrace=False)


@pytest.mark.parametrize("start", range(0, SEEDS["quick"], BATCH))
def test_no_promise_is_broken(start: int) -> None:
    _run_all(range(_first() + start, _first() + start + BATCH))


@pytest.mark.faults
@pytest.mark.timeout(0)
def test_no_promise_is_broken_in_many_runs() -> None:
    tier = os.environ.get("TASKQUEUE_TEST_TIER", "quick")
    count = MANY if tier == "quick" else SEEDS[tier]
    _run_all(range(_first(), _first() + count))


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    planted = PLANTED[name]
    with planted.plant():
        found = _first_failure(planted.blind)
    assert found is not None, f"not found in {BOUND} seeds"
    assert found.violation is not None
    assert found.violation.invariant in planted.noticed_as


def _first_failure(blind: frozenset[str]) -> Run | None:
    for seed in range(BOUND):
        run = run_seed(seed, blind=blind)
        if run.violation is not None:
            return run
    return None


def test_a_seed_is_the_same_run_each_time() -> None:
    first, second = run_seed(11), run_seed(11)
    assert first == second
    assert first.digest != run_seed(12).digest


def test_a_failing_run_is_shortened_to_fewer_steps() -> None:
    planted = PLANTED["youngest first"]
    with planted.plant():
        run = next(run for run in map(run_seed, range(BOUND)) if run.violation)
        short = shrink(run)
        assert short.violation is not None
        assert short.steps <= run.steps
        assert run_seed(run.seed, short.steps).violation is not None
    assert f"--seed {run.seed} --steps {short.steps}" in report(short)


def test_the_runs_are_worth_something() -> None:
    """Jobs run, processes die, and jobs end in every way there is."""
    runs = [run_seed(seed) for seed in range(20)]
    assert sum(run.jobs for run in runs) > 800
    assert sum(run.restarts for run in runs) > 40
    notes = "\n".join(note for run in runs for note in run.notes)
    for trouble in (
        "power is cut",
        "dies",
        "kill_server",
        "is fenced off",
        "fill_the_disk",
        "is paused",
    ):
        assert trouble in notes
