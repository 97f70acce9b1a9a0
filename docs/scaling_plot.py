"""Draws `docs/guides/scaling.svg`: the scaling policy on a trace with a burst.

Run it with `python -m docs.scaling_plot` or as a file, from the root; `--check` writes nothing.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from taskqueue_ray.core.pool import Pool  # noqa: E402  # after the path
from tests.unit.core.fleet_trace import Trace  # noqa: E402

PLOT = ROOT / "docs" / "guides" / "scaling.svg"
WIDTH, HEIGHT, LEFT, TOP = 640, 240, 40, 24
UNTIL = 240.0


def draw() -> str:
    """The plot: jobs that wait (grey) and workers (blue) by the second."""
    steady = [(n / 2.0, 1.0) for n in range(int(2 * UNTIL * 0.8))]
    pool = Pool("p", maximum=20, concurrency=2, target_wait=10.0, cool_down=30.0)
    trace = Trace(pool, [*steady, *[(60.0, 1.0)] * 200], start_up=3.0).run(UNTIL)
    most_waiting = max(waiting for _, waiting, _ in trace.counts)
    most = max(workers for _, _, workers in trace.counts)
    jobs = _line([(at, waiting / most_waiting) for at, waiting, _ in trace.counts])
    workers = _line([(at, count / most) for at, _, count in trace.counts])
    ticks = "".join(
        f'<text x="{_x(at):.0f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{at} s</text>'
        for at in range(0, int(UNTIL) + 1, 60)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 2 * LEFT} '
        f'{HEIGHT + 2 * TOP}" font-family="sans-serif" font-size="12">\n'
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" '
        f'stroke="#ccc"/>\n'
        f'<polyline points="{jobs}" fill="none" stroke="#999" stroke-width="1.5"/>\n'
        f'<polyline points="{workers}" fill="none" stroke="#1f6feb" stroke-width="2"/>\n'
        f'<g fill="#555">{ticks}</g>\n'
        f'<text x="{LEFT + 8}" y="16" fill="#777">jobs that wait, up to {most_waiting}</text>\n'
        f'<text x="{LEFT + 220}" y="16" fill="#1f6feb">workers, up to {most}</text>\n'
        "</svg>\n"
    )


def _x(at: float) -> float:
    return LEFT + at / UNTIL * WIDTH


def _line(points: list[tuple[float, float]]) -> str:
    """Steps: a value holds until the next one."""
    steps: list[str] = []
    before = 0.0
    for at, value in points:
        if value != before or not steps:
            steps.append(f"{_x(at):.1f},{_y(before):.1f}")
            steps.append(f"{_x(at):.1f},{_y(value):.1f}")
            before = value
    steps.append(f"{_x(UNTIL):.1f},{_y(before):.1f}")
    return " ".join(steps)


def _y(value: float) -> float:
    return TOP + HEIGHT - value * (HEIGHT - 8)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PLOT.read_text(encoding="utf-8") != draw())
    PLOT.write_text(draw(), encoding="utf-8")
