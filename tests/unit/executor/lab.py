"""A worker's executors without a worker: real processes, no Ray."""

import asyncio
import base64
import functools
import inspect
import itertools
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from taskqueue_ray.cluster.executors import Executors
from taskqueue_ray.cluster.incidents import Incident
from taskqueue_ray.core.exchange import Grant, Outcome, OutcomeKind, Progress, Save
from taskqueue_ray.core.model import ExecutorKind, JobId, Options
from taskqueue_ray.engine.keyring import Keyring, parse_key
from taskqueue_ray.engine.payload import ErrorDetail, Kind, Sealer, decode_value, open_error
from taskqueue_ray.engine.registry import registry
from tests.unit.executor import sample_jobs

KEY = base64.b64encode(bytes(range(32))).decode()
KEYRING = Keyring([parse_key(KEY)])
PATIENCE = 20.0
_numbers = itertools.count(1)


class Lab:
    """Submits sample jobs and collects what becomes of them."""

    def __init__(self, **options: Any) -> None:
        self.sealer = Sealer(KEYRING)
        self.outcomes: dict[JobId, list[Outcome]] = {}
        self.order: list[JobId] = []
        self.incidents: list[Incident] = []
        self.progress: list[tuple[JobId, Progress]] = []
        self.saves: list[Save] = []
        self.output: list[tuple[JobId | None, str]] = []
        self.calls: list[tuple[str, bytes]] = []
        self.answer: Callable[[str, bytes], Awaitable[bytes]] = self._echo
        self._happened = asyncio.Event()
        settings: dict[str, Any] = {
            "concurrency": 1,
            "app_modules": (sample_jobs.__name__,),
            "environment": {**os.environ, "TASKQUEUE_ENCRYPTION_KEYS": KEY},
            "sealer": self.sealer,
        }
        self.executors = Executors(
            **{**settings, **options},
            on_outcomes=self._take,
            call=self._call,
            on_progress=self._note_progress,
            on_saves=self._note_saves,
            on_output=self._note_output,
        )

    def options(self, name: str, **options: Any) -> Options:
        job_type = registry.get(f"sample.{name}")
        kind: ExecutorKind = "async" if job_type.is_async else "process"
        batch = job_type.batch.max_size if job_type.batch is not None else 0
        return Options(
            **{"queue": "q", "type": job_type.name, "executor": kind, "batch": batch, **options}
        )

    def submit(self, name: str, *args: Any, **options: Any) -> JobId:
        [job_id] = self.submit_many(name, [args], **options)
        return job_id

    def submit_many(self, name: str, calls: list[Any], **options: Any) -> list[JobId]:
        its = self.options(name, **options)
        binder = registry.get(its.type).binder
        grants = [self.grant(its.type, binder.bind(args, {})) for args in calls]
        self.executors.submit([its], grants)
        return [grant.id for grant in grants]

    def submit_mixed(self, calls: list[tuple[str, tuple[Any, ...]]]) -> list[JobId]:
        """Jobs of several types in one submission, in this order."""
        options = [self.options(name) for name, _ in calls]
        grants = []
        for index, (its, (_, args)) in enumerate(zip(options, calls, strict=True)):
            grant = self.grant(its.type, registry.get(its.type).binder.bind(args, {}))
            grants.append(msgspec.structs.replace(grant, options=index))
        self.executors.submit(options, grants)
        return [grant.id for grant in grants]

    def grant(self, type_name: str, plain: bytes, sealer: Sealer | None = None) -> Grant:
        job_id = JobId(next(_numbers).to_bytes(16, "big"))
        payload = (sealer or self.sealer).seal(Kind.PAYLOAD, job_id, type_name, plain)
        return Grant(job_id, 7, 8, 1, 0, payload, 100.0)

    async def until(self, condition: Callable[[], Any], what: str = "the condition") -> None:
        """Wait for a condition; it is looked at after each event and tick."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited too long for {what}: {self.incidents}"
            self._happened.clear()
            await self._happened.wait()

    def nothing_happened(self) -> bool:
        """Whether there was no incident, those of this moment included."""
        self.incidents += self.executors.tick(time.monotonic())
        return not self.incidents

    async def outcome(self, job_id: JobId) -> Outcome:
        await self.until(lambda: job_id in self.outcomes, "an outcome")
        [outcome] = self.outcomes[job_id]
        return outcome

    async def run(self, name: str, *args: Any, **options: Any) -> Outcome:
        return await self.outcome(self.submit(name, *args, **options))

    async def result(self, name: str, *args: Any, **options: Any) -> Any:
        outcome = await self.run(name, *args, **options)
        assert outcome.kind is OutcomeKind.COMPLETED, self.words(outcome, name)
        return self.opened(outcome, name)

    def opened(self, outcome: Outcome, name: str) -> Any:
        job_type = registry.get(f"sample.{name}")
        envelope = self.sealer.open(Kind.RESULT, outcome.id, job_type.name, outcome.result)
        return job_type.open_result(envelope)

    def words(self, outcome: Outcome, name: str) -> ErrorDetail:
        assert outcome.failure is not None
        return open_error(self.sealer, outcome.id, f"sample.{name}", outcome.failure.detail)

    def _take(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self.outcomes.setdefault(outcome.id, []).append(outcome)
            self.order.append(outcome.id)
            assert (outcome.delivery, outcome.lease) == (7, 8)
        self._happened.set()

    async def _call(self, method: str, request: bytes) -> bytes:
        self.calls.append((method, request))
        return await self.answer(method, request)

    async def _echo(self, method: str, request: bytes) -> bytes:
        return method.encode() + b":" + request

    def _note_progress(self, job_id: JobId, progress: Progress) -> None:
        self.progress.append((job_id, progress))
        self._happened.set()

    def _note_saves(self, saves: list[Save]) -> None:
        self.saves += saves
        self._happened.set()

    def checkpoint(self, save: Save, name: str) -> Any:
        """What a run has saved, opened."""
        plain = self.sealer.open(Kind.CHECKPOINT, save.id, f"sample.{name}", save.sealed)
        return decode_value(plain)

    def _note_output(self, job_id: JobId | None, line: str) -> None:
        self.output.append((job_id, line))
        self._happened.set()

    async def drive(self) -> None:
        """What the worker's loop does."""
        while True:
            self.incidents += self.executors.tick(time.monotonic())
            self._happened.set()
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as listing:
        return [int(child) for child in listing.read().split()]


def lab(**options: Any) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Run an async test with a started `Lab`, and check that it leaves no process and no job."""

    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        async def scenario(**fixtures: Any) -> None:
            descriptors = open_descriptors()
            subject = Lab(**options)
            await subject.executors.start()
            server = subject.executors.server_pid
            driver = asyncio.create_task(subject.drive())
            try:
                await test(subject, **fixtures)
            finally:
                driver.cancel()
                executors = subject.executors.pids()
                await subject.executors.stop()
            assert not subject.executors.held()
            assert all(len(each) == 1 for each in subject.outcomes.values())
            assert not [pid for pid in (server, *executors) if alive(pid)]
            assert open_descriptors() == descriptors

        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            asyncio.run(scenario(**fixtures))

        # pytest reads fixtures from the signature: all but the lab itself.

        signature = inspect.signature(test)
        parameters = list(signature.parameters.values())[1:]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        del run.__wrapped__
        return run

    return decorate


def encode(value: object) -> bytes:
    return msgspec.msgpack.encode(value)
