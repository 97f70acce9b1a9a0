"""`q.quotas`: ceilings on what workers hold."""

import asyncio
from dataclasses import dataclass
from typing import Any

from taskqueue_ray.core.admission import QuotaView
from taskqueue_ray.core.model import Quota
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.quotas import parse_quota, resource_name, shown_amount, shown_name
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.requests import Ask
from taskqueue_ray.sdk.tables import RecordList


@dataclass(frozen=True, slots=True)
class QuotaRecord:
    """A quota. `amount` is a share of the cluster if `percent`; `ceiling` is what that comes to
    now, `held` what workers hold of it. `queue` None: of all workers. Memory is in bytes.
    """

    resource: str
    amount: float
    percent: bool
    queue: str | None
    ceiling: float
    held: float

    @staticmethod
    def of(view: QuotaView) -> "QuotaRecord":
        """The record of a view."""
        quota = view.quota
        name, queue = shown_name(quota.resource), quota.queue or None
        return QuotaRecord(name, quota.amount, quota.percent, queue, view.ceiling, view.held)

    def row(self) -> dict[str, Any]:
        """What a table shows of it."""
        return {
            "resource": self.resource,
            "queue": self.queue or "all",
            "quota": f"{self.amount:g}%" if self.percent else self._shown(self.amount),
            "ceiling": self._shown(self.ceiling),
            "held": self._shown(self.held),
        }

    def _shown(self, amount: float) -> str:
        return shown_amount(self.resource, amount)


class Quotas:
    """What workers may hold at most. Stored with the queue; holds for the whole cluster.

    A worker holds a CPU for each executor, or what its jobs name as `num_cpus`, `num_gpus`,
    `memory` and `resources`, and 128 MiB beside what memory its executors may have.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def set(self, resource: str, amount: object, *, queue: str | None = None) -> Quota:
        """Put a ceiling on `"cpu"`, `"gpu"`, `"memory"` or a custom resource of Ray.

        `amount` is a number, bytes as `"1GB"`, or a share of the cluster as `"80%"`, which follows
        its size. With a `queue` it counts the workers that serve the queue. It keeps workers from
        starting, also while others start; those that run stay. Raises `InvalidOption`, and
        `QuotaBelowWorker` when no worker could ever start.

        >>> q.quotas.set("memory", "1GB")  # doctest: +SKIP
        >>> q.quotas.set("cpu", "80%", queue="reports")  # doctest: +SKIP
        """
        found: Quota = self._ask(requests.set_quota(parse_quota(resource, amount, queue)))
        return found

    def list(self) -> RecordList[QuotaRecord]:
        """All quotas, and how far each is used."""
        return RecordList(map(QuotaRecord.of, self._ask(requests.quotas())))

    def delete(self, resource: str, *, queue: str | None = None) -> bool:
        """Take a ceiling away; False when there is none."""
        whose = "" if queue is None else check_name("queue", queue)
        found: bool = self._ask(requests.delete_quota(whose, resource_name(resource)))
        return found

    async def aset(self, resource: str, amount: object, *, queue: str | None = None) -> Quota:
        """`set` for async code."""
        return await asyncio.to_thread(lambda: self.set(resource, amount, queue=queue))

    async def alist(self) -> RecordList[QuotaRecord]:
        """`list` for async code."""
        return await asyncio.to_thread(self.list)

    async def adelete(self, resource: str, *, queue: str | None = None) -> bool:
        """`delete` for async code."""
        return await asyncio.to_thread(lambda: self.delete(resource, queue=queue))
