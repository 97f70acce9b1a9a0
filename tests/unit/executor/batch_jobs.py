"""Vectorized jobs, and classes that keep something warm, for the tests of executors."""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskqueue_ray.core.batching import Batch
from taskqueue_ray.engine.context import Cancel, Context, Fail, Retry, Snooze, current
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.middleware import Middleware
from taskqueue_ray.engine.registry import registry
from tests.unit.executor import sample_jobs as sample_jobs


def batched(**how: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        name = f"sample.{function.__name__}"
        registry.register(JobType(name, function, batch=Batch(**how)))
        return function

    return decorate


def job_class(kind: type[Any]) -> type[Any]:
    registry.register(JobType(f"sample.{kind.__name__}", kind))
    return kind


@dataclass
class Text:
    model: str
    text: str


@batched(max_wait="500ms")
def lengths(texts: list[str]) -> list[tuple[int, int]]:
    """The length of each, and how many there were."""
    return [(len(text), len(texts)) for text in texts]


@batched(max_size=4, max_wait=0)
def fours(numbers: list[int]) -> list[int]:
    return [len(numbers)] * len(numbers)


@batched(max_wait=0, key="model")
def by_model(texts: list[Text]) -> list[list[str]]:
    """The models that were in the same call."""
    return [[text.model for text in texts]] * len(texts)


_ENDS: dict[str, Callable[[], object]] = {
    "result": lambda: "fine",
    "error": lambda: ValueError("no good"),
    "retry": lambda: Retry("again", delay="1m"),
    "snooze": lambda: Snooze("5m"),
    "fail": lambda: Fail("never"),
    "cancel": lambda: Cancel("changed my mind"),
    "thing": object,
    "large": lambda: os.urandom(2 * 1024 * 1024),
}


@batched(max_wait="500ms", max_size=8)
def mixed(ends: list[str]) -> list[object]:
    return [_ENDS[end]() for end in ends]


@batched(max_wait=0)
def together(words: list[str]) -> Any:
    match words[0]:
        case "raise":
            raise ValueError("all of it")
        case "snooze":
            raise Snooze("5m")
        case "short":
            return words[1:]
        case "text":
            return "text"
        case "none":
            return None
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "sleep":
            time.sleep(60)
    return words


@batched(max_wait=0)
def touch_and_wait(folders: list[Path]) -> list[int]:
    """Says that the call has begun, and waits until it may go on."""
    (folders[0] / "started").touch()
    while not (folders[0] / "go on").exists():
        time.sleep(0.002)
    return [len(folders)] * len(folders)


@batched(max_wait=0)
def facts(words: list[str]) -> list[list[str]]:
    refused = []
    for ask in ("job", "attempt", "queue"):
        try:
            getattr(current(), ask)
        except Exception as error:
            refused.append(f"{type(error).__name__}: {error}")
    return [[job.id, *refused] for job in current().jobs]


@batched(max_wait="10s", max_size=3)
def patient(words: list[str]) -> list[int]:
    return [len(words)] * len(words)


def _note(text: str) -> None:
    if "TEST_TEARDOWN" in os.environ:
        Path(os.environ["TEST_TEARDOWN"]).write_text(text)


class _Job:
    """What `tq.Job` does, without the SDK."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self.payload = payload


@job_class
class Warm(_Job):
    """Counts how often it was set up, and how many of its jobs have run here."""

    setups = 0
    own: int

    def setup(self) -> None:
        Warm.setups += 1
        if Warm.setups <= int(os.environ.get("TEST_BAD_SETUPS", "0")):
            raise RuntimeError("no model")
        assert self.payload == {}
        self.seen: list[int] = []
        self.pid = os.getpid()

    def handle(self) -> dict[str, Any]:
        self.seen.append(self.payload["number"])
        self.own = getattr(self, "own", 0) + 1
        return {"setups": Warm.setups, "seen": len(self.seen), "own": self.own, "pid": self.pid}

    def teardown(self) -> None:
        _note(f"{len(self.seen)} seen")


@job_class
class SlowSetup(_Job):
    def setup(self) -> None:
        time.sleep(60)

    def handle(self) -> None:
        pass


@job_class
class AsyncWarm(_Job):
    setups = 0

    async def setup(self) -> None:
        AsyncWarm.setups += 1
        await asyncio.sleep(0.05)
        if AsyncWarm.setups == 1:
            raise RuntimeError("no line")
        self.made = AsyncWarm.setups

    async def handle(self) -> list[int]:
        await asyncio.sleep(0.01)
        return [AsyncWarm.setups, self.made]

    async def teardown(self) -> None:
        await asyncio.sleep(0)
        _note(f"{self.made} made")


@job_class
class WarmBatch(_Job):
    batch = Batch(max_size=10, max_wait="500ms")

    def setup(self) -> None:
        self.factor = 3

    def handle_batch(self, payloads: list[dict[str, Any]]) -> list[object]:
        for payload in payloads:
            payload["seen"] = len(payloads)
        return [payload["number"] * self.factor for payload in payloads]


class Doubling(Middleware):
    """Stands around a whole call, and changes what it gives."""

    def run(self, context: Context, call_next: Callable[[], Any]) -> Any:
        results = call_next()
        return [one * 2 for one in results] if len(context.jobs) < 3 else results[1:]


def surrounded(texts: list[str]) -> list[str]:
    return texts


registry.register(
    JobType(
        "sample.surrounded",
        surrounded,
        middleware=(Doubling(),),
        batch=Batch(max_size=3, max_wait="200ms"),
    )
)


@batched(max_size=2, max_wait="200ms")
def turned(texts: list[str]) -> list[str]:
    """Each text backwards, and how many there were."""
    return [f"{text[::-1]}{len(texts)}" for text in texts]
