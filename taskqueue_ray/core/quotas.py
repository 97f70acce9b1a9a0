"""Quotas: ceilings on what workers hold, for the whole queue system or for one queue.

What a worker holds is what it counts as: its share of a cluster, whether or not Ray is told of all
of it. Amounts are compared in the units in which Ray counts, so that ten tenths are one.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from taskqueue_ray.core.commands import DeleteQuota, SetQuota
from taskqueue_ray.core.errors import InvalidOption, QuotaBelowWorker
from taskqueue_ray.core.events import Event, QuotaDeleted, QuotaSet
from taskqueue_ray.core.model import Options, Quota
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.shape import LEAST, Shape, check_memory
from taskqueue_ray.core.state import State

CPU, GPU, MEMORY = "CPU", "GPU", "memory"

WORKER_MEMORY = 128 << 20
"""Bytes that a worker counts as, beside what its executors may use."""

_RAY_NAMES = {"cpu": CPU, "gpu": GPU, "memory": MEMORY}
_FLOORS = {CPU: 1.0, MEMORY: float(WORKER_MEMORY)}
"""What the smallest worker holds: below it a ceiling would let none start."""

_MOST = 1e18
Amounts = Mapping[str, float]
"""Quantities by the name that Ray has for a resource."""


class Holding(NamedTuple):
    """What one worker holds, and for which queues (none: for all)."""

    queues: tuple[str, ...]
    amounts: Amounts


class Refusal(msgspec.Struct, frozen=True):
    """A quota that lets nothing more start. `ceiling` is the quota in amounts."""

    quota: Quota
    ceiling: float
    held: float
    wanted: float

    @property
    def is_final(self) -> bool:
        """Whether such a worker is too large for the quota even alone."""
        return _units(self.wanted) > _units(self.ceiling)

    @property
    def words(self) -> str:
        """The reason, for people."""
        name, quota = shown_name(self.quota.resource), self.quota
        whose = f" of the queue {quota.queue!r}" if quota.queue else ""
        amounts = (shown_amount(quota.resource, x) for x in (self.ceiling, self.held, self.wanted))
        ceiling, held, wanted = amounts
        share = f", {quota.amount:g}% of the cluster" if quota.percent else ""
        return (
            f"the quota of {name}{whose} is {ceiling}{share}: {held} are held, "
            f"and one more takes {wanted}"
        )


def worker_holds(
    concurrency: int, shape: Shape | None = None, memory_limit: int | None = None
) -> dict[str, float]:
    """What a worker of so many executors counts as.

    An executor that names no CPUs counts as one. Memory is what its shape or limit says.

    >>> worker_holds(2)["CPU"], worker_holds(2, Shape(num_gpus=0.5))["GPU"]
    (2.0, 1.0)
    """
    shape = shape or Shape()
    cpus = 1.0 if shape.num_cpus is None else shape.num_cpus
    memory = memory_limit if shape.memory is None else shape.memory
    each = {
        CPU: cpus,
        GPU: shape.num_gpus or 0.0,
        MEMORY: float(memory or 0),
        **dict(shape.resources),
    }
    held = {name: amount * concurrency for name, amount in each.items()}
    held[MEMORY] += WORKER_MEMORY
    return {name: amount for name, amount in held.items() if amount}


def job_holds(options: Options) -> dict[str, float]:
    """What a job in Ray takes there, beside its worker: nothing for one that has no such executor.

    As with Ray, a task that names no CPUs takes one and an actor none.
    """
    shape = options.shape
    if shape is None or not options.in_ray:
        return {}
    cpus = float(options.executor == "task") if shape.num_cpus is None else shape.num_cpus
    gpus, memory = shape.num_gpus or 0.0, float(shape.memory or 0)
    held = {CPU: cpus, GPU: gpus, MEMORY: memory, **dict(shape.resources)}
    return {name: amount for name, amount in held.items() if amount}


def admit(
    quotas: Iterable[Quota], held: Sequence[Holding], wanted: Holding, cluster: Amounts
) -> Refusal | None:
    """The first quota that one more worker would exceed; None: it may start.

    `held` are all workers, also those that are only starting. A quota of a queue counts every
    worker that serves the queue, beside others or not. `cluster` is what all its nodes have.
    """
    for quota in quotas:
        amount = wanted.amounts.get(quota.resource, 0.0)
        if not amount or not _concerns(quota, wanted.queues):
            continue
        ceiling = ceiling_of(quota, cluster)
        now = sum(
            _units(one.amounts.get(quota.resource, 0.0))
            for one in held
            if _concerns(quota, one.queues)
        )
        if now + _units(amount) > _units(ceiling):
            return Refusal(quota, ceiling, now * LEAST, amount)
    return None


def ceiling_of(quota: Quota, cluster: Amounts) -> float:
    """The quota as an amount; a share is rounded down to the units of Ray.

    >>> ceiling_of(Quota("CPU", 50, True), {"CPU": 3})
    1.5
    """
    if not quota.percent:
        return quota.amount
    total = _units(cluster.get(quota.resource, 0.0))
    return math.floor(total * quota.amount / 100 + 1e-6) * LEAST


def too_large(refusal: Refusal) -> None:
    """Raises `QuotaBelowWorker` if a worker of that size can never start."""
    if refusal.is_final:
        resource = refusal.quota.resource
        ceiling, wanted = (shown_amount(resource, x) for x in (refusal.ceiling, refusal.wanted))
        raise QuotaBelowWorker(shown_name(resource), ceiling, wanted)


def parse_quota(resource: object, value: object, queue: str | None = None) -> Quota:
    """A quota out of what people write. Raises `InvalidOption` or `QuotaBelowWorker`.

    >>> parse_quota("memory", "1GB").amount, parse_quota("cpu", "80%").percent
    (1000000000.0, True)
    """
    name = resource_name(resource)
    whose = "" if queue is None else check_name("queue", queue)
    text = value.strip() if isinstance(value, str) else ""
    if text.endswith("%"):
        return check_quota(Quota(name, _number(name, text[:-1], value), True, whose))
    amount = _memory(value) if name == MEMORY else _number(name, text or value, value)
    return check_quota(Quota(name, amount, False, whose))


def check_quota(quota: Quota) -> Quota:
    """The same quota, if it is one."""
    shown = f"{quota.amount:g}{'%' if quota.percent else ''}"
    option = f"quota {shown_name(quota.resource)}"
    if not math.isfinite(quota.amount) or not 0 <= quota.amount <= _MOST:
        raise InvalidOption(option, shown, "amounts from 0, or '80%' of the cluster")
    if quota.percent and not 0 < quota.amount <= 100:
        raise InvalidOption(option, shown, "percentages above 0 and up to 100")
    floor = _FLOORS.get(quota.resource, 0.0)
    if not quota.percent and quota.amount < floor:
        least = shown_amount(quota.resource, floor)
        raise QuotaBelowWorker(shown_name(quota.resource), shown, least)
    return quota


def check_amounts(amounts: Iterable[tuple[str, float]]) -> None:
    """Refuse what no worker can hold: sums would carry it on."""
    for name, amount in amounts:
        if not math.isfinite(amount) or not 0 <= amount <= _MOST:
            accepts = f"amounts from 0 to {_MOST:g}, not this one of {ascii(name)[:80]}"
            raise InvalidOption("holds", f"{amount:g}", accepts)


def resource_name(value: object) -> str:
    """Ray's name of a resource: `cpu`, `gpu` and `memory` in any case; custom ones as they are."""
    if isinstance(value, str) and value.isprintable() and 0 < len(value) <= 200:
        return _RAY_NAMES.get(value.lower(), value)
    raise InvalidOption(
        "resource", ascii(value)[:80], "cpu, gpu, memory or a custom resource's name"
    )


def shown_name(resource: str) -> str:
    """The name as users write it."""
    return resource.lower() if resource in (CPU, GPU, MEMORY) else resource


def shown_amount(resource: str, amount: float) -> str:
    """An amount for people: memory in MB, the rest as numbers."""
    return f"{amount / 1e6:,.12g} MB" if resource == MEMORY else f"{amount:.12g}"


def key_of(quota: Quota) -> str:
    """What a quota replaces: that of the same resource and queue."""
    return f"{quota.queue}/{quota.resource}"


def decide_set(state: State, command: SetQuota, now: float) -> tuple[list[Event], Quota]:
    """Set one quota; the answer is what holds then. What is held already stays."""
    quota = check_quota(command.quota)
    resource_name(quota.resource)
    if quota.queue:
        check_name("queue", quota.queue)
    if state.premises.quotas.get(key_of(quota)) == quota:
        return [], quota
    return [QuotaSet(now, quota)], quota


def decide_delete(state: State, command: DeleteQuota, now: float) -> tuple[list[Event], bool]:
    """Drop one quota; False when there is none."""
    if f"{command.queue}/{command.resource}" not in state.premises.quotas:
        return [], False
    return [QuotaDeleted(now, command.queue, command.resource)], True


def apply_set(state: State, event: QuotaSet) -> None:
    """From now on it holds."""
    state.premises.quotas[key_of(event.quota)] = event.quota


def apply_deleted(state: State, event: QuotaDeleted) -> None:
    """From now on it does not."""
    state.premises.quotas.pop(f"{event.queue}/{event.resource}", None)


def _concerns(quota: Quota, queues: tuple[str, ...]) -> bool:
    return not quota.queue or not queues or quota.queue in queues


def _units(amount: float) -> int:
    return round(amount / LEAST)


def _memory(value: object) -> float:
    if value == 0 and not isinstance(value, bool):
        return 0.0
    return float(check_memory(value))


def _number(name: str, text: object, given: object) -> float:
    try:
        if isinstance(text, bool) or not isinstance(text, int | float | str):
            raise ValueError
        return float(text)
    except ValueError:
        accepts = "an amount such as 4 or 0.5, or a share such as '80%'"
        raise InvalidOption(f"quota {shown_name(name)}", ascii(given)[:80], accepts) from None
