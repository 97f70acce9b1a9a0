"""Run seeds, and say how to repeat those that fail: `python -m tests.simulation.run --help`."""

import argparse
import sys
from collections.abc import Iterable

from tests.simulation.world import Run, World


def run_seed(seed: int, steps: int | None = None, blind: Iterable[str] = ()) -> Run:
    """One run; the same seed and steps give the same run."""
    return World(seed, frozenset(blind)).run(steps)


def shrink(run: Run) -> Run:
    """The run of the same seed that fails after the fewest steps of trouble that halving finds."""
    best, low = run, 0
    while low + 1 < best.steps:
        middle = (low + best.steps) // 2
        shorter = run_seed(run.seed, middle)
        if shorter.violation is not None:
            best = shorter
        else:
            low = middle
    return best


def report(run: Run) -> str:
    """What failed, and how to see it again."""
    again = f"python -m tests.simulation.run --seed {run.seed} --steps {run.steps} --notes"
    return f"seed {run.seed} after {run.steps} steps: {run.violation}\n    {again}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run only this one")
    parser.add_argument("--steps", type=int, help="end the trouble after so many steps")
    parser.add_argument("--notes", action="store_true", help="tell what happened in each run")
    given = parser.parse_args()
    seeds = (
        [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
    )
    failed = 0
    for seed in seeds:
        run = run_seed(seed, given.steps)
        if given.notes:
            print(*run.notes, sep="\n")
        if run.violation is not None:
            failed += 1
            print(report(run if given.steps is not None else shrink(run)), flush=True)
    print(f"{failed} of {len(seeds)} seeds failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
