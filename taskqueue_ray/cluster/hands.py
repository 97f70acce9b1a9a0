"""All that a worker runs jobs with: processes of its own, and executors in Ray."""

import asyncio

from taskqueue_ray.cluster.executors import Executors
from taskqueue_ray.cluster.incidents import Incident
from taskqueue_ray.cluster.ray_executors import RayExecutors
from taskqueue_ray.cluster.recycling import Growth
from taskqueue_ray.core.exchange import Grant
from taskqueue_ray.core.model import IN_RAY, JobId, Options


class AllHands:
    """Both as one: implements `exchanges.Hands`."""

    def __init__(self, own: Executors, in_ray: RayExecutors) -> None:
        self.own = own
        self.in_ray = in_ray

    async def start(self) -> None:
        """Start both; see `Executors.start`."""
        self.in_ray.start()
        await self.own.start()

    def submit(self, options: list[Options], grants: list[Grant]) -> None:
        """Give each job to the side that has its kind of executor."""
        if not any(one.executor in IN_RAY for one in options):
            self.own.submit(options, grants)
            return
        sides: tuple[list[Grant], list[Grant]] = ([], [])
        for grant in grants:
            sides[options[grant.options].executor in IN_RAY].append(grant)
        self.own.submit(options, sides[False])
        self.in_ray.submit(options, sides[True])

    def cancel(self, ids: list[JobId]) -> None:
        """Cancel jobs, wherever they are."""
        self.own.cancel(ids)
        self.in_ray.cancel(ids)

    def held(self) -> list[JobId]:
        """All jobs in hand."""
        return self.own.held() + self.in_ray.held()

    def running(self) -> list[JobId]:
        """Those whose code runs now."""
        return self.own.running() + self.in_ray.running()

    def room(self) -> int:
        """How many more jobs its own processes want."""
        return self.own.room()

    def rooms(self) -> dict[str, int]:
        """How many more are wanted for Ray, by kind."""
        return self.in_ray.rooms()

    def full(self) -> list[str]:
        """The places in Ray that want none."""
        return self.in_ray.full()

    def tick(self, now: float) -> list[Incident]:
        """Look after both."""
        return self.own.tick(now) + self.in_ray.tick(now)

    def take_grown(self) -> list[Growth]:
        """Executors that were replaced for their memory since this was last asked."""
        return self.own.take_grown() + self.in_ray.take_grown()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109  # answers, raises nothing
        """Take nothing more in and wait for what runs. True when all is done."""
        ended = await asyncio.gather(self.own.drain(timeout), self.in_ray.drain(timeout))
        return all(ended)

    async def stop(self) -> None:
        """Kill what runs, release what is left, and end the processes."""
        await asyncio.gather(self.own.stop(), self.in_ray.stop())
