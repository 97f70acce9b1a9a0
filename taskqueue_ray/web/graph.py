"""The picture of a workflow: jobs in layers, by what they wait for. Numbers in, numbers out."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.sdk.records import JobRecord

WIDTH, HEIGHT = 184, 52
GAP_X, GAP_Y = 64, 18
MARGIN = 12
SINGLE = 40
"""Up to so many jobs each is drawn by itself; of more, those that are alike are one box."""
SWEEPS = 4


class Box(NamedTuple):
    """A job, or several that are alike: their ids, their type and how many are in which state."""

    ids: tuple[str, ...]
    type: str
    name: str | None
    counts: Mapping[JobState, int]
    x: int
    y: int

    @property
    def state(self) -> JobState:
        """The state that is to be seen: the one that somebody cares about most."""
        return next(state for state in _SEEN if self.counts.get(state))


class Line(NamedTuple):
    """From a parent to a child, as a path of SVG. `done`: the parent has completed."""

    path: str
    done: bool


class Picture(NamedTuple):
    """The whole drawing."""

    boxes: list[Box]
    lines: list[Line]
    width: int
    height: int


_SEEN = (
    JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED, JobState.PROCESSING, JobState.PENDING,
    JobState.SCHEDULED, JobState.BLOCKED, JobState.COMPLETED,
)  # fmt: skip


def draw(jobs: Sequence[JobRecord]) -> Picture:
    """Lay the jobs out: left to right, each to the right of all that it waits for."""
    by_id = {job.id: job for job in jobs}
    parents = {job.id: [one for one in job.parents if one in by_id] for job in jobs}
    layers = _layers(parents)
    groups = _groups(jobs, parents, layers)
    owner = {id: index for index, group in enumerate(groups) for id in group}
    edges = {(owner[one], owner[id]) for id, above in parents.items() for one in above}
    edges = {(a, b) for a, b in edges if a != b}
    columns: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        columns[layers[group[0]]].append(index)
    _untangle(columns, edges)
    tallest = max((len(column) for column in columns.values()), default=0)
    boxes = _boxes(groups, by_id, columns, tallest)
    lines = [_line(boxes[a], boxes[b]) for a, b in sorted(edges)]
    width = 2 * MARGIN + len(columns) * (WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + tallest * (HEIGHT + GAP_Y) - GAP_Y
    return Picture(boxes, lines, max(width, 0), max(height, 0))


def _layers(parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How far from a beginning each job is, by its longest way."""
    children: dict[str, list[str]] = defaultdict(list)
    left = {id: len(above) for id, above in parents.items()}
    for id, above in parents.items():
        for one in above:
            children[one].append(id)
    layers = dict.fromkeys(parents, 0)
    ready = [id for id, count in left.items() if not count]
    while ready:
        one = ready.pop()
        for child in children[one]:
            layers[child] = max(layers[child], layers[one] + 1)
            left[child] -= 1
            if not left[child]:
                ready.append(child)
    return layers


def _groups(
    jobs: Sequence[JobRecord], parents: Mapping[str, Sequence[str]], layers: Mapping[str, int]
) -> list[tuple[str, ...]]:
    if len(jobs) <= SINGLE:
        return [(job.id,) for job in jobs]
    alike: dict[object, list[str]] = defaultdict(list)
    for job in jobs:
        alike[layers[job.id], job.type, job.name, bool(parents[job.id])].append(job.id)
    return [tuple(ids) for ids in alike.values()]


def _untangle(columns: dict[int, list[int]], edges: set[tuple[int, int]]) -> None:
    """Order each column by where its neighbours are, there and back some times."""
    above: dict[int, list[int]] = defaultdict(list)
    below: dict[int, list[int]] = defaultdict(list)
    for a, b in edges:
        above[b].append(a)
        below[a].append(b)
    place = {one: n for column in columns.values() for n, one in enumerate(column)}
    for sweep in range(SWEEPS):
        near = below if sweep % 2 else above
        for layer in sorted(columns, reverse=bool(sweep % 2)):
            column = columns[layer]
            column.sort(key=lambda one: _mean([place[n] for n in near[one]], place[one]))
            place.update({one: n for n, one in enumerate(column)})


def _mean(places: Sequence[int], otherwise: int) -> float:
    return sum(places) / len(places) if places else float(otherwise)


def _boxes(
    groups: Sequence[tuple[str, ...]],
    by_id: Mapping[str, JobRecord],
    columns: Mapping[int, list[int]],
    tallest: int,
) -> list[Box]:
    spots: dict[int, tuple[int, int]] = {}
    for n, layer in enumerate(sorted(columns)):
        column = columns[layer]
        top = MARGIN + (tallest - len(column)) * (HEIGHT + GAP_Y) // 2
        for row, one in enumerate(column):
            spots[one] = (MARGIN + n * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y))
    boxes = []
    for index, group in enumerate(groups):
        first = by_id[group[0]]
        counts = Counter(by_id[id].state for id in group)
        boxes.append(Box(group, first.type, first.name, counts, *spots[index]))
    return boxes


def _line(parent: Box, child: Box) -> Line:
    x1, y1 = parent.x + WIDTH, parent.y + HEIGHT // 2
    x2, y2 = child.x, child.y + HEIGHT // 2
    middle = (x1 + x2) // 2
    path = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
    return Line(path, set(parent.counts) == {JobState.COMPLETED})
