"""How a worker's processes are: measured beside the loop, and told with an exchange."""

import asyncio
import os
import time
from contextlib import suppress

import psutil

from taskqueue_ray.cluster.hands import AllHands
from taskqueue_ray.cluster.recycling import private_memory
from taskqueue_ray.core.metering import Vitals

EVERY = 5.0
"""Seconds between two measurements."""


class VitalSigns:
    """Measures one worker. `take` gives each measurement once."""

    def __init__(self, hands: AllHands) -> None:
        self._hands = hands
        self._fresh: Vitals | None = None
        self._started_at = time.time()
        self._cpu: dict[int, float] = {}
        self._at = time.monotonic()

    async def measure(self) -> None:
        """Look once. Memory of many processes takes a while to read, so a thread does it."""
        own, in_ray = self._hands.own, self._hands.in_ray
        pids = own.pids()
        memory, executors, cpu = await asyncio.to_thread(self._look, pids, own.server_pid)
        self._fresh = Vitals(
            memory, executors, cpu, len(pids) + len(in_ray.pids()),
            own.jobs_done + in_ray.jobs_done, own.restarts + in_ray.restarts, self._started_at,
        )  # fmt: skip

    def take(self) -> Vitals | None:
        """What was measured since the last call; None: nothing new."""
        fresh, self._fresh = self._fresh, None
        return fresh

    def _look(self, pids: list[int], server: int) -> tuple[int, int, float]:
        forked = [pid for pid in (server, *pids) if pid]
        now, spent = time.monotonic(), {}
        for pid in (os.getpid(), *forked):
            with suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                spent[pid] = times.user + times.system
        # Of a process that came or went in between, what it used is not known, and left out.
        used = sum(max(0.0, s - self._cpu[pid]) for pid, s in spent.items() if pid in self._cpu)
        percent = 100.0 * used / max(now - self._at, 1e-3)
        self._cpu, self._at = spent, now
        own = psutil.Process().memory_info().rss
        return own, sum(map(private_memory, forked)), percent
