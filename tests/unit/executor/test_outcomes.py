"""Every way in which a run can end, in a process executor."""

import os
from pathlib import Path
from typing import Any

import pytest

from taskqueue_ray.core.errors import QueueFull, Unavailable
from taskqueue_ray.core.exchange import Outcome, OutcomeKind
from taskqueue_ray.core.model import Options, StoredCode
from taskqueue_ray.engine.code import capture
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.executor.endings import gives_up
from tests.records import job_id
from tests.unit.executor.lab import Lab, encode, lab


@lab()
async def test_results_and_context_arrive(it: Lab) -> None:
    assert await it.result("echo", "hello") == "hello"
    assert await it.result("nothing") is None
    assert await it.result("attempt") == 1
    outcome = await it.run("echo", "timed")
    assert 0 <= outcome.seconds < 5
    assert outcome.started_at > 1_700_000_000


RAISED = [
    ("boom", ("words",), "ValueError", "words"),
    ("base_exception", (), "BaseException", "the base of all"),
    ("sys_exit", (3,), "SystemExit", "the job called sys.exit(3)"),
    ("interrupt", (), "KeyboardInterrupt", ""),
    ("unserialisable", (), "taskqueue_ray.core.errors.Unserialisable", "return value"),
    ("too_large", (), "taskqueue_ray.core.errors.PayloadTooLarge", "the limit is"),
]


@lab(max_result=1 << 20)
async def test_what_job_code_raises_is_a_failed_attempt(it: Lab) -> None:
    for name, args, error_type, words in RAISED:
        outcome = await it.run(name, *args)
        assert outcome.kind is OutcomeKind.ERRORED, name
        assert not outcome.final
        assert outcome.failure is not None
        assert (outcome.failure.cause, outcome.failure.error_type) == ("error", error_type)
        assert words in it.words(outcome, name).message
    assert len(it.executors.pids()) == 1
    assert await it.result("echo", "goes on") == "goes on"
    assert it.nothing_happened()


@lab()
async def test_a_traceback_shows_the_jobs_frames_and_no_values(it: Lab) -> None:
    trace = it.words(await it.run("boom", "seen"), "boom").traceback
    assert "in boom" in trace
    assert "raise ValueError(text)" in trace
    assert "taskqueue_ray/executor" not in trace
    failure = (await it.run("boom", "sealed words")).failure
    assert failure is not None
    assert b"sealed words" not in failure.detail


@lab()
async def test_control_flow(it: Lab) -> None:
    snoozed = await it.run("snooze")
    assert snoozed.kind is OutcomeKind.SNOOZED
    assert snoozed.due == pytest.approx(snoozed.started_at + 300, abs=5)
    waiting = await it.run("wait_for_another", job_id(1).hex())
    assert (waiting.kind, waiting.awaited) == (OutcomeKind.WAITING, (job_id(1),))
    later = await it.run("retry_later")
    assert later.kind is OutcomeKind.ERRORED
    assert later.due == pytest.approx(later.started_at + 60, abs=5)
    assert (await it.run("retry_by_policy")).due == 0.0
    failed = await it.run("fail_for_good")
    assert (failed.kind, failed.final) == (OutcomeKind.ERRORED, True)
    cancelled = await it.run("cancel_itself")
    assert cancelled.kind is OutcomeKind.CANCELLED
    assert it.words(cancelled, "cancel_itself").message == "changed my mind"


@lab()
async def test_an_exception_that_is_not_to_be_tried_again_is_final(it: Lab) -> None:
    assert (await it.run("boom", "no", give_up_on=("ValueError",))).final
    assert not (await it.run("boom", "no", retry_on=("ValueError",))).final
    assert not (await it.run("retry_by_policy", retry_on=("ValueError",))).final


@lab()
async def test_a_missing_key_is_no_failed_attempt(it: Lab) -> None:
    stranger = Sealer(Keyring([Key(bytes(32))]))
    grant = it.grant("sample.echo", b"", stranger)
    it.executors.submit([it.options("echo")], [grant])
    outcome = await it.outcome(grant.id)
    assert outcome.kind is OutcomeKind.RELEASED
    assert outcome.failure is not None
    assert outcome.failure.cause == "key"


@lab(environment={**os.environ, "TASKQUEUE_ENCRYPTION_KEYS": "nonsense"})
async def test_a_malformed_key_is_told_and_releases(it: Lab) -> None:
    assert (await it.run("echo", "x")).kind is OutcomeKind.RELEASED
    await it.until(lambda: any("encryption key" in each.text for each in it.incidents))
    assert "nonsense" not in repr(it.incidents)


@lab()
async def test_a_broken_seal_fails_for_good(it: Lab) -> None:
    one, other = (it.grant("sample.echo", encode({"value": "x"})) for _ in range(2))
    swapped = type(one)(one.id, 7, 8, 1, 0, other.payload)
    it.executors.submit([it.options("echo")], [swapped])
    outcome = await it.outcome(one.id)
    assert (outcome.kind, outcome.final) == (OutcomeKind.ERRORED, True)
    assert outcome.failure is not None
    assert outcome.failure.error_type.endswith("SealBroken")


@lab()
async def test_an_unknown_type_says_what_to_do(it: Lab) -> None:
    grant = it.grant("sample.no_such", b"")
    options = type(it.options("echo"))(queue="q", type="sample.no_such")
    it.executors.submit([options], [grant])
    outcome = await it.outcome(grant.id)
    assert outcome.kind is OutcomeKind.ERRORED
    assert "TASKQUEUE_APP" in it.words(outcome, "no_such").message


@lab()
async def test_handlers_reach_the_queue(it: Lab) -> None:
    assert await it.result("ask", "enqueue", b"batch") == b"enqueue:batch"
    assert it.calls == [("enqueue", b"batch")]


@lab()
async def test_typed_errors_of_the_queue_reach_the_handler(it: Lab) -> None:
    async def refuse(method: str, request: bytes) -> bytes:
        raise QueueFull("q", 10)

    it.answer = refuse
    outcome = await it.run("ask", "enqueue", b"")
    assert outcome.failure is not None
    assert outcome.failure.error_type.endswith("QueueFull")


@lab()
async def test_a_forked_copy_of_a_job_has_no_line(it: Lab) -> None:
    assert await it.result("ask_from_fork") == "InvalidRequest"
    assert await it.result("echo", "line intact") == "line intact"


def _run_by_value() -> JobType:
    word = "by value"
    return JobType("sample.by_value", lambda: word)


async def _by_value(it: Lab, code: str) -> Outcome:
    grant = it.grant("sample.by_value", encode({}))
    base = it.options("echo")
    options = type(base)(queue="q", type="sample.by_value", code=code)
    it.executors.submit([options], [grant])
    return await it.outcome(grant.id)


@lab()
async def test_stored_code_is_fetched_once(it: Lab) -> None:
    code, stored = capture(_run_by_value(), it.sealer, 0.0)
    answer: StoredCode | None = stored

    async def give(method: str, request: bytes) -> bytes:
        assert (method, request) == ("code", encode(code))
        return encode(answer)

    it.answer = give
    for _ in range(3):
        assert (await _by_value(it, code)).kind is OutcomeKind.COMPLETED
    assert len(it.calls) == 1


@lab()
async def test_code_that_cannot_be_had_now_releases(it: Lab) -> None:
    async def unavailable(method: str, request: bytes) -> bytes:
        raise Unavailable("test")

    it.answer = unavailable
    assert (await _by_value(it, "00" * 32)).kind is OutcomeKind.RELEASED


@lab()
async def test_progress_is_merged(it: Lab) -> None:
    job_id = it.submit("tell_progress", 1000)
    await it.outcome(job_id)
    assert 1 <= len(it.progress) < 20
    assert {told for told, _ in it.progress} == {job_id}
    done = [progress.done for _, progress in it.progress]
    assert done == sorted(done)
    assert done[-1] == 1000


@lab()
async def test_printing_megabytes_does_not_block(it: Lab) -> None:
    assert await it.result("chatter", 5_000_000) == 5_000_000
    await it.until(lambda: any("dropped" in line for _, line in it.output), "the count")
    assert sum(len(line) for _, line in it.output) < 3_000_000


@lab()
async def test_a_line_without_end_is_cut(it: Lab) -> None:
    job_id = it.submit("one_long_line", 1_000_000)
    await it.outcome(job_id)
    await it.until(lambda: it.output, "the line")
    [(_, line)] = it.output
    assert line == "y" * 2000 + " ..."


@lab(concurrency=2, app_modules=("tests.unit.executor.sample_jobs", "numpy.random"))
async def test_siblings_draw_different_numbers(it: Lab, tmp_path: Path) -> None:
    started, go_on = tmp_path / "started", tmp_path / "go on"
    started.mkdir()
    jobs = [it.submit("draw", started, go_on) for _ in range(2)]
    await it.until(lambda: len(list(started.iterdir())) == 2)
    go_on.touch()
    drawn = [it.opened(await it.outcome(job), "draw") for job in jobs]
    for column in zip(*drawn, strict=True):
        assert len(set(column)) == 2


@pytest.mark.parametrize(
    ("options", "final"),
    [
        ({}, False),
        ({"give_up_on": ("ValueError",)}, True),
        ({"give_up_on": ("Exception",)}, True),
        ({"give_up_on": ("KeyError",)}, False),
        ({"retry_on": ("ValueError",)}, False),
        ({"retry_on": ("ConnectionError",)}, True),
        ({"retry_on": ("Exception",), "give_up_on": ("ValueError",)}, True),
    ],
)
def test_the_type_of_an_exception_decides_on_another_attempt(
    options: dict[str, Any], final: bool
) -> None:
    made = Options(queue="q", type="t", **options)
    assert gives_up(made, ValueError("no")) is final
