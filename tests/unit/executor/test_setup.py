"""What `setup` makes lives as long as its executor."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.engine.jobtype import JobType
from tests.unit.executor import batch_jobs
from tests.unit.executor.lab import KEY, Lab, lab

APP: dict[str, Any] = {"app_modules": (batch_jobs.__name__,)}
ENVIRONMENT = {**os.environ, "TASKQUEUE_ENCRYPTION_KEYS": KEY}


def _with(**variables: str) -> dict[str, Any]:
    return {**APP, "environment": {**ENVIRONMENT, **variables}}


async def _numbered(it: Lab, name: str, count: int, **options: Any) -> list[Any]:
    ids = it.submit_many(name, [({"number": n},) for n in range(count)], **options)
    return [it.opened(await it.outcome(job_id), name) for job_id in ids]


@lab(**APP)
async def test_setup_runs_once_and_its_objects_are_shared(it: Lab) -> None:
    found = await _numbered(it, "Warm", 3)
    assert [each["setups"] for each in found] == [1, 1, 1]
    assert [each["seen"] for each in found] == [1, 2, 3]
    assert [each["own"] for each in found] == [1, 1, 1], "what a job assigns is its own"


@lab(**APP, concurrency=2)
async def test_each_process_sets_up_for_itself(it: Lab) -> None:
    pids: set[int] = set()
    while len(pids) < 2:
        for each in await _numbered(it, "Warm", 40):
            assert each["setups"] == 1
            pids.add(each["pid"])


@lab(**_with(TEST_BAD_SETUPS="2"))
async def test_a_setup_that_raises_fails_that_job_and_is_tried_again_for_the_next(it: Lab) -> None:
    for _ in range(2):
        outcome = await it.run("Warm", {"number": 1}, give_up_on=("KeyError",))
        assert (outcome.kind, outcome.final) == (OutcomeKind.ERRORED, False)
        assert outcome.failure is not None
        assert outcome.failure.error_type == "RuntimeError"
        words = it.words(outcome, "Warm")
        assert words.message.startswith("no model\nraised by the setup of sample.Warm")
        assert "in setup" in words.traceback
    assert (await it.result("Warm", {"number": 1}))["setups"] == 3


@lab(**APP)
async def test_setup_is_part_of_the_run_of_its_job(it: Lab) -> None:
    outcome = await it.run("SlowSetup", {}, timeout=0.3)
    assert outcome.failure is not None
    assert outcome.failure.cause == "timeout"


@lab(**APP)
async def test_async_jobs_that_begin_together_set_up_once(it: Lab) -> None:
    """The first is the one that fails; one of the others tries again, for all of them."""
    ids = it.submit_many("AsyncWarm", [({},)] * 5)
    first, *others = [await it.outcome(job_id) for job_id in ids]
    assert first.failure is not None
    assert "no line" in it.words(first, "AsyncWarm").message
    assert [it.opened(outcome, "AsyncWarm") for outcome in others] == [[2, 2]] * 4


@lab(**APP)
async def test_a_batch_sees_what_setup_made(it: Lab) -> None:
    assert await _numbered(it, "WarmBatch", 3) == [0, 3, 6]


@pytest.mark.parametrize(("name", "words"), [("Warm", "3 seen"), ("AsyncWarm", "2 made")])
def test_an_orderly_end_tears_down(name: str, words: str, tmp_path: Path) -> None:
    note = tmp_path / "note"

    @lab(**_with(TEST_TEARDOWN=str(note)))
    async def scenario(it: Lab) -> None:
        for number in range(3):
            await it.run(name, {"number": number})
        assert not note.exists()
        await it.executors.stop()
        assert note.read_text() == words

    scenario()


def test_an_async_setup_needs_an_async_handler() -> None:
    class Halfway:
        async def setup(self) -> None: ...

        def handle(self) -> None: ...

    with pytest.raises(InvalidRequest, match="setup is `async def`"):
        JobType("sample.Halfway", Halfway)


def test_a_function_has_no_setup() -> None:
    def plain() -> None: ...

    async def run() -> bytes:
        return JobType("sample.plain", plain).run(b"\x80")

    assert asyncio.run(run())
    assert JobType("sample.plain", plain).warmth is None
