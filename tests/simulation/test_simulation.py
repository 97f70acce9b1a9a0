"""Seeds of the simulated cluster, and proof that it would notice."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation.planted import PLANTED
from tests.simulation.run import report, run_seed, shrink
from tests.simulation.world import Run

SEEDS = 150
MANY = {"quick": 10_000, "nightly": 30_000, "release": 100_000}
BATCH = 50
OFTEN = 500
"""Seeds after which many runs say how far they are."""
BOUND = 300
"""A planted bug must be found within so many seeds."""


def _first() -> int:
    """Where to begin: always the same seeds, unless another beginning is asked for."""
    return int(os.environ.get("TASKQUEUE_TEST_SEED") or 0)


def _run_all(seeds: range) -> None:
    failed = [run for run in map(run_seed, seeds) if run.violation is not None]
    if failed:
        pytest.fail("\n".join(report(shrink(run)) for run in failed[:3]), pytrace=False)


@pytest.mark.parametrize("start", range(0, SEEDS, BATCH))
def test_no_promise_is_broken(start: int) -> None:
    _run_all(range(_first() + start, _first() + start + BATCH))


@pytest.mark.faults
@pytest.mark.timeout(0)
def test_no_promise_is_broken_in_many_runs() -> None:
    """On all processors; each failure is told when it is found, with how to repeat it."""
    tier, first = os.environ.get("TASKQUEUE_TEST_TIER") or "quick", _first()
    seeds = range(first, first + MANY[tier])
    print(
        f"\nseeds {first} to {seeds[-1]}; again: make faults TIER={tier} SEED={first}", flush=True
    )
    failed = []
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for done, problem in enumerate(processes.map(_problem, seeds, chunksize=10), 1):
            if problem is not None:
                print(problem, flush=True)
                failed.append(problem)
            if done % OFTEN == 0:
                print(f"{done} of {len(seeds)} seeds, {len(failed)} failed", flush=True)
    if failed:
        pytest.fail("\n".join(failed[:3]), pytrace=False)


def _problem(seed: int) -> str | None:
    try:
        run = run_seed(seed)
    except Exception as error:  # the product or the harness broke: which seed is all that helps
        return f"seed {seed} broke off: {error!r}\n    python -m tests.simulation.run --seed {seed}"
    return None if run.violation is None else report(shrink(run))


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
