"""A job type's own backoff function: asked after an attempt, and never the end of a job."""

import math
from datetime import timedelta
from typing import Any

import pytest

from taskqueue_ray.core.exchange import Outcome, OutcomeKind
from taskqueue_ray.core.model import Options
from taskqueue_ray.engine.code import capture
from taskqueue_ray.engine.jobtype import JobType
from tests.unit.executor.lab import Lab, encode, lab

OWN: dict[str, Any] = {"own_backoff": True, "max_attempts": 3}


def _wait(outcome: Outcome) -> float:
    """Seconds from the end of a run to the next attempt that it chose; 0: it chose none."""
    assert outcome.kind is OutcomeKind.ERRORED
    return outcome.due and outcome.due - outcome.started_at - outcome.seconds


ANSWERS = [(90, 90), (0.5, 0.5), ("2h", 7200), (timedelta(days=1), 86400), (0, 0), ("name", 600)]


@lab()
async def test_it_says_when_to_try_again(it: Lab) -> None:
    for name in ("fails_with", "async_fails_with"):
        for answer, seconds in [*ANSWERS, ("attempt", 60), ("context", 60 * len(f"sample.{name}"))]:
            outcome = await it.run(name, answer, **OWN)
            assert outcome.due > 0
            assert _wait(outcome) == pytest.approx(seconds, abs=2), answer
            assert "backoff" not in it.words(outcome, name).message


@lab()
async def test_none_leaves_it_to_the_policy(it: Lab) -> None:
    outcome = await it.run("fails_with", None, **OWN)
    assert outcome.due == 0.0
    assert "backoff" not in it.words(outcome, "fails_with").message


@lab()
async def test_a_bad_answer_is_noted_and_the_policy_decides(it: Lab) -> None:
    for name in ("fails_with", "async_fails_with"):
        for answer in (-1, math.nan, math.inf, 1e30, "soon", True, [1], b"1"):
            outcome = await it.run(name, answer, **OWN)
            assert outcome.due == 0.0, answer
            message = it.words(outcome, name).message
            assert "its backoff function returned" in message, answer
            assert "the default backoff was used" in message
        for answer, words in (("raise", "KeyError: 'of the backoff'"), ("exit", "SystemExit: 3")):
            outcome = await it.run(name, answer, **OWN)
            assert outcome.due == 0.0
            assert outcome.failure is not None
            assert outcome.failure.error_type == "ValueError", "the error is the job's own"
            assert f"its backoff function raised {words}" in it.words(outcome, name).message
    assert it.nothing_happened()


@lab()
async def test_it_is_asked_only_when_there_is_another_attempt(it: Lab) -> None:
    for options in ({"max_attempts": 1}, {"give_up_on": ("ValueError",)}):
        outcome = await it.run("fails_with", "raise", **{**OWN, **options})
        assert outcome.due == 0.0
        assert it.words(outcome, "fails_with").message == "raise"
    other = await it.run("fails_with", 90, max_attempts=3)
    assert other.due == 0.0, "this job was given a policy of its own"


@lab()
async def test_a_retry_that_names_its_delay_goes_before(it: Lab) -> None:
    assert _wait(await it.run("retries_with", 30.0, **OWN)) == pytest.approx(30, abs=2)
    asked = await it.run("retries_with", None, **OWN)
    assert _wait(asked) == pytest.approx(600, abs=2)


@lab()
async def test_a_coroutine_that_ran_too_long_asks_it(it: Lab) -> None:
    outcome = await it.run("async_waits", 60, timeout=0.05, **OWN)
    assert outcome.failure is not None
    assert outcome.failure.cause == "timeout"
    assert _wait(outcome) == pytest.approx(600, abs=2)


@lab()
async def test_it_travels_with_a_function_that_was_sent_by_value(it: Lab) -> None:
    minutes = 7

    def fails() -> None:
        raise ValueError("by value")

    job_type = JobType("sample.fails", fails, backoff=lambda attempt, error: f"{minutes}m")
    code, stored = capture(job_type, it.sealer, 0.0)

    async def give(method: str, request: bytes) -> bytes:
        return encode(stored)

    it.answer = give
    grant = it.grant("sample.fails", encode({}))
    it.executors.submit([Options(queue="q", type="sample.fails", code=code, **OWN)], [grant])
    assert _wait(await it.outcome(grant.id)) == pytest.approx(420, abs=2)
