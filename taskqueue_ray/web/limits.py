"""Limits as pages and programs name and set them."""

from typing import NamedTuple

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.limits import LimitRecord


class Limit(NamedTuple):
    """Which limit is meant. One of `name`, `type` and `queue` is given."""

    name: str | None = None
    type: str | None = None
    queue: str | None = None
    key: str | None = None

    def __str__(self) -> str:
        of = self.name or (f"of type {self.type}" if self.type else f"of queue {self.queue}")
        return f"{of} for {self.key}" if self.key else of


class Rule(NamedTuple):
    """So many units, at a time or in any `per` seconds."""

    n: int
    per: float | str | None = None
    smooth: bool = False


def all_limits(queue: TaskQueue) -> list[LimitRecord]:
    """Rates, throttles and concurrency, by what they are about."""
    found = [*queue.rate_limiter.limits(), *queue.concurrency.limits()]
    return sorted(found, key=lambda one: (one.name or "", one.queue or "", one.type or "",
                                          one.key or ""))  # fmt: skip


def check(limit: Limit) -> None:
    """Raises `InvalidOption` unless it is about one thing."""
    about = [name for name in ("name", "type", "queue") if getattr(limit, name) is not None]
    if len(about) != 1:
        raise InvalidOption("limit", " and ".join(about) or "nothing", "a name, a type or a queue")
    if limit.key is not None and limit.name is None:
        raise InvalidOption("key", ascii(limit.key)[:80], "nothing, unless the limit has a name")


def set_limit(queue: TaskQueue, limit: Limit, rule: Rule) -> None:
    """Set it. Raises `InvalidOption`, `LimitConflict`."""
    if rule.per is None:
        if rule.smooth:
            raise InvalidOption("smooth", "True", "a rate: say per how long")
        if limit.queue is not None:
            queue.queues.configure(limit.queue, concurrency=rule.n)
        else:
            queue.concurrency.set_limit(limit.name, rule.n, limit.key, type=limit.type)
    elif limit.name is None:
        raise InvalidOption("per", ascii(rule.per)[:80], "nothing, unless the limit has a name")
    else:
        queue.rate_limiter.set_limit(limit.name, rule.n, rule.per, rule.smooth, limit.key)


def drop_limit(queue: TaskQueue, limit: Limit) -> bool:
    """Delete it; False: there was none."""
    if limit.queue is not None:
        known = queue.queues.settings(limit.queue).concurrency is not None
        queue.queues.configure(limit.queue, concurrency=None)
        return known
    kinds = {one.name: one.kind for one in queue.rate_limiter.limits()}
    if limit.name is not None and kinds.get(limit.name) == "rate":
        return queue.rate_limiter.delete(limit.name, limit.key)
    return queue.concurrency.delete(limit.name, limit.key, type=limit.type)
