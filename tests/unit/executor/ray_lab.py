"""A worker's executors in Ray without Ray: real processes, started by another edge than Ray's.

Below `Edge` nothing is imitated: the processes run what Ray would run, and get their line and their
cell from the worker's reception.
"""

import asyncio
import functools
import inspect
import itertools
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from taskqueue_ray.cluster.incidents import Incident
from taskqueue_ray.cluster.post import Post
from taskqueue_ray.cluster.ray_edge import DONE
from taskqueue_ray.cluster.ray_executors import RayExecutors
from taskqueue_ray.cluster.ray_process import serve
from taskqueue_ray.cluster.verdicts import Ending
from taskqueue_ray.core.exchange import Grant, Outcome, OutcomeKind, Progress
from taskqueue_ray.core.model import ExecutorKind, JobId, Options
from taskqueue_ray.core.shape import Shape
from taskqueue_ray.engine.payload import ErrorDetail, Kind, Sealer, open_error
from taskqueue_ray.engine.registry import registry
from tests.unit.executor import sample_jobs
from tests.unit.executor.lab import KEY, KEYRING, PATIENCE, alive

DIED = Ending("ExecutorDied", "its process ended")
REFUSED = Ending("RuntimeEnvSetupError", "its runtime_env failed", unfit=True)
NOWHERE = Shape(resources=(("nowhere", 1.0),))
REFUSAL = Shape(runtime_env="{}")

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["taskqueue_ray.cluster.ray_process"])
_numbers = itertools.count(1)


class Processes:
    """Implements `Edge`: what is asked for starts at once, unless its shape says otherwise."""

    def __init__(self, ended: Callable[[int, Ending], None]) -> None:
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, Any] = {}
        self.asked: dict[int, bytes] = {}
        self.places: dict[int, Shape] = {}
        self.deaf = False
        """Whether kills have no effect."""

    def start(self, number: int, kind: ExecutorKind, shape: Shape, post: bytes) -> None:
        self.places[number] = shape
        if shape == REFUSAL:
            self._loop.call_soon(self._ended, number, REFUSED)
        elif shape == NOWHERE:
            self.asked[number] = post
        else:
            self._start(number, post)

    def make_room(self) -> None:
        """What was asked for and had no place gets one."""
        for number, post in self.asked.items():
            self._start(number, post)
        self.asked.clear()

    def kill(self, number: int) -> None:
        if self.deaf:
            return
        if self.asked.pop(number, None):
            self._loop.call_soon(self._ended, number, DONE)
        elif (process := self._running.get(number)) is not None:
            process.kill()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._running.values()]

    def _start(self, number: int, post: bytes) -> None:
        process = self._running[number] = _forks.Process(target=serve, args=(post,), daemon=True)
        process.start()
        self._loop.add_reader(process.sentinel, self._bury, number)

    def _bury(self, number: int) -> None:
        process = self._running.pop(number)
        self._loop.remove_reader(process.sentinel)
        process.join()
        code = process.exitcode
        process.close()
        self._ended(number, DIED if code else DONE)


class RayLab:
    """Submits sample jobs and collects what becomes of them."""

    def __init__(self, key_file: Path, **options: Any) -> None:
        self.sealer = Sealer(KEYRING)
        self.outcomes: dict[JobId, list[Outcome]] = {}
        self.incidents: list[Incident] = []
        self.progress: list[tuple[JobId, Progress]] = []
        self.calls: list[tuple[str, bytes]] = []
        self.skipped = 0.0
        self._happened = asyncio.Event()
        settings: dict[str, Any] = {"concurrency": 1, "sealer": self.sealer}
        self.executors = RayExecutors(
            **{**settings, **options},
            post=Post("", "", b"", (sample_jobs.__name__,), (), str(key_file)),
            edge=self._edge,
            on_outcomes=self._take,
            call=self._call,
            on_progress=lambda job_id, progress: self.progress.append((job_id, progress)),
            clock=self.now,
        )

    def _edge(self, ended: Callable[[int, Ending], None]) -> Processes:
        self.edge = Processes(ended)
        return self.edge

    def now(self) -> float:
        """The clock of the executors, which a test may put forward by `skipped`."""
        return time.monotonic() + self.skipped

    def submit(self, name: str, *args: Any, **options: Any) -> JobId:
        [job_id] = self.submit_many(name, [args], **options)
        return job_id

    def submit_many(self, name: str, calls: list[Any], **options: Any) -> list[JobId]:
        return self.submit_mixed([(name, args) for args in calls], **options)

    def submit_mixed(self, calls: list[tuple[str, Any]], **options: Any) -> list[JobId]:
        """Jobs of several types in one submission, in this order."""
        given = {"executor": "actor", "shape": Shape(), **options}
        all_options, grants = [], []
        for index, (name, args) in enumerate(calls):
            job_type = registry.get(f"sample.{name}")
            all_options.append(Options(queue="q", type=job_type.name, **given))
            job_id = JobId(next(_numbers).to_bytes(16, "big"))
            plain = job_type.binder.bind(args, {})
            payload = self.sealer.seal(Kind.PAYLOAD, job_id, job_type.name, plain)
            grants.append(Grant(job_id, 7, 8, 1, index, payload, 100.0))
        self.executors.submit(all_options, grants)
        return [grant.id for grant in grants]

    async def until(self, condition: Callable[[], Any], what: str = "the condition") -> None:
        """Wait for a condition; it is looked at after each event and tick."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited too long for {what}: {self.incidents}"
            self._happened.clear()
            await self._happened.wait()

    async def outcome(self, job_id: JobId) -> Outcome:
        await self.until(lambda: job_id in self.outcomes, "an outcome")
        [outcome] = self.outcomes[job_id]
        return outcome

    async def result(self, name: str, *args: Any, **options: Any) -> Any:
        return self.opened(await self.outcome(self.submit(name, *args, **options)), name)

    def opened(self, outcome: Outcome, name: str) -> Any:
        assert outcome.kind is OutcomeKind.COMPLETED, self.words(outcome, name)
        job_type = registry.get(f"sample.{name}")
        return job_type.open_result(
            self.sealer.open(Kind.RESULT, outcome.id, job_type.name, outcome.result)
        )

    def words(self, outcome: Outcome, name: str) -> ErrorDetail:
        assert outcome.failure is not None
        return open_error(self.sealer, outcome.id, f"sample.{name}", outcome.failure.detail)

    def _take(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self.outcomes.setdefault(outcome.id, []).append(outcome)
            assert (outcome.delivery, outcome.lease) == (7, 8)
        self._happened.set()

    async def _call(self, method: str, request: bytes) -> bytes:
        self.calls.append((method, request))
        return msgspec.msgpack.encode(method)

    async def drive(self) -> None:
        """What the worker's loop does."""
        while True:
            self.incidents += self.executors.tick(self.now())
            self._happened.set()
            await asyncio.sleep(0.01)


def ray_lab(**options: Any) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Run an async test with a started `RayLab`, and check that it leaves no process and no job."""

    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        async def scenario(tmp_path: Path) -> None:
            key_file = tmp_path / "key"
            key_file.write_text(KEY)
            key_file.chmod(0o600)
            subject = RayLab(key_file, **options)
            subject.executors.start()
            driver = asyncio.create_task(subject.drive())
            try:
                await test(subject)
            finally:
                driver.cancel()
                pids = subject.edge.pids
                await subject.executors.stop()
            assert not subject.executors.held()
            assert all(len(each) == 1 for each in subject.outcomes.values())
            assert not [pid for pid in pids if alive(pid)]

        @functools.wraps(test)
        def run(tmp_path: Path) -> None:
            asyncio.run(scenario(tmp_path))

        own = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__signature__ = inspect.Signature([own])  # type: ignore[attr-defined]
        del run.__wrapped__
        return run

    return decorate
