"""Why no worker is there for a job, when a pool is to provide one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from taskqueue_ray.core.demand import Staff
from taskqueue_ray.core.model import Options, shape_of


class Post(NamedTuple):
    """A pool, the queues that it serves (none named: all), and what it says of its workers."""

    pool: str
    queues: tuple[str, ...]
    staff: Sequence[Staff]


def serves(post: Post, queue: str) -> bool:
    """Whether the pool is for jobs of that queue."""
    return not post.queues or queue in post.queues


def hindrance(options: Options, posts: Sequence[Post]) -> tuple[str, str, dict[str, Any]] | None:
    """What keeps the pools of its queue from having a worker for it: word, sentence, facts."""
    serving = [one for one in posts if serves(one, options.queue)]
    shape = shape_of(options.lane[0])
    found = [
        (post, row)
        for post in serving
        for row in post.staff
        if row.shape == shape and not row.ready
    ]
    for post, row in sorted(found, key=lambda pair: _severity(pair[1])):
        facts = {"pool": post.pool, "shape": shape, "queue": options.queue}
        holds = f"a worker with {shape}" if shape else "a worker"
        if row.impossible:
            words = f"no node of this cluster can hold {holds}: pool {post.pool!r} waits for one"
            return "impossible", words, facts
        if row.problem:
            words = (
                f"pool {post.pool!r} cannot start {holds} ({row.failures} times in a row): "
                f"{row.problem}; it tries again in {row.retry_in:.0f} s"
            )
            return "cannot_start", words, {**facts, "problem": row.problem, "of": row.failures}
        if row.refused:
            return "quota", f"pool {post.pool!r} may not start {holds}: {row.refused}", facts
        if row.starting:
            words = f"pool {post.pool!r} starts {holds}; Ray has not brought it up yet"
            return "starting", words, facts
    return None


def _severity(row: Staff) -> tuple[bool, ...]:
    # What may yet end well, of whichever pool, is the better answer.
    return (row.impossible, bool(row.problem), bool(row.refused))
