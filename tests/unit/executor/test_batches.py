"""Calls that run the jobs of many, in a process executor."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taskqueue_ray.core.batching import Batch
from taskqueue_ray.core.exchange import Outcome, OutcomeKind
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.model import JobId, Options
from taskqueue_ray.engine.code import capture
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.payload import Kind
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.engine.results import open_payload_after
from tests.unit.executor import batch_jobs
from tests.unit.executor.lab import Lab, encode, lab
from tests.unit.executor.test_large import Store, text

COMPLETED, ERRORED = OutcomeKind.COMPLETED, OutcomeKind.ERRORED
CANCELLED, RELEASED = OutcomeKind.CANCELLED, OutcomeKind.RELEASED
APP: dict[str, Any] = {"app_modules": (batch_jobs.__name__,)}


async def _outcomes(it: Lab, ids: list[JobId]) -> list[Outcome]:
    return [await it.outcome(job_id) for job_id in ids]


async def _results(it: Lab, name: str, items: list[Any], **options: Any) -> list[Any]:
    ids = it.submit_many(name, [(item,) for item in items], **options)
    return [it.opened(outcome, name) for outcome in await _outcomes(it, ids)]


@lab(**APP)
async def test_one_call_serves_many_jobs_and_each_gets_its_own(it: Lab) -> None:
    texts = ["x" * n for n in range(64)]
    assert await _results(it, "lengths", texts) == [(n, 64) for n in range(64)]
    assert len(it.executors.pids()) == 1
    assert it.nothing_happened()


@lab(**APP)
async def test_a_call_takes_no_more_than_its_size(it: Lab) -> None:
    assert await _results(it, "fours", list(range(10))) == [4] * 8 + [2] * 2


@lab(**APP, concurrency=2)
async def test_what_comes_meanwhile_joins_the_call_that_waits(it: Lab) -> None:
    """Not a job of the three is given to the other executor, nor does the call wait when full."""
    ids = [it.submit("patient", "a"), it.submit("patient", "b"), it.submit("patient", "c")]
    assert [it.opened(each, "patient") for each in await _outcomes(it, ids)] == [3, 3, 3]
    await it.until(lambda: True)
    ids = it.submit_many("patient", [("d",)])
    await it.until(lambda: any(slot.gathers() for slot in it.executors._slots.values()))
    ids += it.submit_many("patient", [("e",), ("f",)])
    assert [it.opened(each, "patient") for each in await _outcomes(it, ids)] == [3, 3, 3]


@lab(**APP)
async def test_other_work_ends_the_waiting_and_keeps_its_order(it: Lab) -> None:
    """The call would wait for ten seconds."""
    began = time.monotonic()
    ids = it.submit_mixed([("patient", ("a",)), ("echo", ("b",)), ("patient", ("c",))])
    first, echo, last = await _outcomes(it, ids)
    assert (it.opened(first, "patient"), it.opened(last, "patient")) == (2, 2)
    assert echo.kind is COMPLETED, it.words(echo, "echo")
    assert it.opened(echo, "echo") == "b"
    assert it.order == [ids[0], ids[2], ids[1]]
    assert time.monotonic() - began < 5


@lab(**APP)
async def test_a_key_keeps_others_out(it: Lab) -> None:
    texts = [batch_jobs.Text("small" if n % 3 else "large", str(n)) for n in range(9)]
    found = await _results(it, "by_model", texts)
    assert found == [["small"] * 6 if n % 3 else ["large"] * 3 for n in range(9)]


@lab(**APP)
async def test_jobs_with_another_time_limit_go_apart(it: Lab) -> None:
    one, other = it.options("fours", timeout=50.0), it.options("fours", timeout=60.0)
    binder = registry.get(one.type).binder
    grants = [it.grant(one.type, binder.bind((n,), {})) for n in range(4)]
    grants = [msgspec.structs.replace(grant, options=n % 2) for n, grant in enumerate(grants)]
    it.executors.submit([one, other], grants)
    outcomes = await _outcomes(it, [grant.id for grant in grants])
    assert [it.opened(outcome, "fours") for outcome in outcomes] == [2] * 4


@lab(**APP, max_result=1 << 20)
async def test_each_job_ends_in_its_own_way(it: Lab) -> None:
    ends = ["result", "error", "retry", "snooze", "fail", "cancel", "thing", "large"]
    ids = it.submit_many("mixed", [(end,) for end in ends])
    fine, error, retry, snooze, fail, cancel, thing, large = await _outcomes(it, ids)
    assert it.opened(fine, "mixed") == "fine"
    assert (error.kind, error.final) == (ERRORED, False)
    assert it.words(error, "mixed").message == "no good"
    assert retry.due == pytest.approx(retry.started_at + 60, abs=5)
    assert (snooze.kind, cancel.kind) == (OutcomeKind.SNOOZED, CANCELLED)
    assert (fail.kind, fail.final) == (ERRORED, True)
    assert "return value" in it.words(thing, "mixed").message
    assert "the limit is" in it.words(large, "mixed").message
    assert fine.seconds == thing.seconds or fine.seconds > 0


@lab(**APP)
async def test_giving_up_counts_for_exceptions_in_the_list(it: Lab) -> None:
    ids = it.submit_many("mixed", [("error",), ("retry",)] * 4, give_up_on=("ValueError",))
    assert [each.final for each in await _outcomes(it, ids)] == [True, False] * 4


@pytest.mark.parametrize(
    ("word", "error_type", "message"),
    [
        ("raise", "ValueError", "all of it"),
        ("short", "ValueError", "sample.together returned 2 results for 3 items"),
        ("text", "TypeError", "sample.together returned str for 3 items"),
        ("none", "TypeError", "sample.together returned NoneType for 3 items"),
    ],
)
def test_a_call_that_fails_is_a_failed_attempt_of_all(
    word: str, error_type: str, message: str
) -> None:
    @lab(**APP)
    async def scenario(it: Lab) -> None:
        ids = it.submit_many("together", [(word,), ("b",), ("c",)])
        for outcome in await _outcomes(it, ids):
            assert outcome.kind is ERRORED
            assert not outcome.final
            assert outcome.failure is not None
            assert (outcome.failure.cause, outcome.failure.error_type) == ("error", error_type)
            assert message in it.words(outcome, "together").message
        assert await it.result("together", "goes on") == "goes on"

    scenario()


@lab(**APP)
async def test_a_call_may_snooze_as_a_whole(it: Lab) -> None:
    ids = it.submit_many("together", [("snooze",), ("b",)])
    kinds = [outcome.kind for outcome in await _outcomes(it, ids)]
    assert kinds == [OutcomeKind.SNOOZED] * 2


@pytest.mark.parametrize(
    ("word", "cause", "error_type"),
    [
        ("exit", "exit", "exit code 3"),
        ("segfault", "exit", "SIGSEGV"),
        ("sleep", "timeout", "JobTimeout"),
    ],
)
def test_what_ends_the_process_is_charged_to_all_of_the_call_and_to_no_other(
    word: str, cause: str, error_type: str
) -> None:
    @lab(**APP)
    async def scenario(it: Lab) -> None:
        its, other = it.options("together", timeout=0.3), it.options("echo")
        bind = registry.get(its.type).binder.bind
        grants = [it.grant(its.type, bind((w,), {})) for w in (word, "b", "c")]
        echo = it.grant(other.type, registry.get(other.type).binder.bind(("x",), {}))
        echo = msgspec.structs.replace(echo, options=1)
        it.executors.submit([its, other], [grants[0], echo, *grants[1:]])
        for outcome in await _outcomes(it, [grant.id for grant in grants]):
            assert outcome.kind is ERRORED
            assert outcome.failure is not None
            assert (outcome.failure.cause, outcome.failure.error_type) == (cause, error_type)
        assert (await it.outcome(echo.id)).kind in (COMPLETED, RELEASED)
        await it.until(lambda: len(it.incidents) == 3)

    scenario()


@lab(**APP)
async def test_the_last_of_several_attempts_is_made_alone(it: Lab) -> None:
    its = it.options("fours", max_attempts=3)
    bind = registry.get(its.type).binder.bind
    grants = [it.grant(its.type, bind((n,), {})) for n in range(4)]
    grants[1] = msgspec.structs.replace(grants[1], attempt=3)
    it.executors.submit([its], grants)
    outcomes = await _outcomes(it, [grant.id for grant in grants])
    assert [it.opened(outcome, "fours") for outcome in outcomes] == [3, 1, 3, 3]


@lab(**APP)
async def test_a_worker_knows_all_that_run_and_cancels_before_the_call(
    it: Lab, tmp_path: Path
) -> None:
    ids = it.submit_many("touch_and_wait", [(tmp_path,)] * 3)
    await it.until((tmp_path / "started").exists, "the call")
    assert sorted(it.executors.running()) == sorted(ids)
    waiting = it.submit_many("touch_and_wait", [(tmp_path,)] * 2)
    it.executors.cancel([ids[0], waiting[0]])
    assert (await it.outcome(waiting[0])).kind is CANCELLED
    (tmp_path / "go on").touch()
    outcomes = await _outcomes(it, [*ids, waiting[1]])
    assert [it.opened(outcome, "touch_and_wait") for outcome in outcomes] == [3, 3, 3, 1]


@lab(**APP, cancel_grace=0.1)
async def test_a_call_is_killed_only_when_all_of_it_is_cancelled(it: Lab, tmp_path: Path) -> None:
    ids = it.submit_many("touch_and_wait", [(tmp_path,)] * 2)
    await it.until((tmp_path / "started").exists, "the call")
    it.executors.cancel(ids[:1])
    slot = next(iter(it.executors._slots.values()))
    by = slot.held[1].cancel_by
    await it.until(lambda: it.executors._clock() > by + 0.2, "the grace to be over")
    assert not it.outcomes
    it.executors.cancel(ids)
    assert [outcome.kind for outcome in await _outcomes(it, ids)] == [CANCELLED] * 2


@lab(**APP)
async def test_what_waits_for_company_is_given_back(it: Lab) -> None:
    ids = it.submit_many("patient", [("a",), ("b",)])
    await it.until(lambda: any(slot.pid for slot in it.executors._slots.values()))
    assert await it.executors.drain(5.0)
    assert {(await it.outcome(job_id)).kind for job_id in ids} <= {RELEASED, COMPLETED}


@lab(**APP)
async def test_one_item_that_cannot_be_read_keeps_no_other_from_running(it: Lab) -> None:
    its = it.options("lengths")
    good = it.grant(its.type, encode({"texts": "abc"}))
    bad = it.grant(its.type, encode({"texts": 7}))
    broken = msgspec.structs.replace(it.grant(its.type, b""), payload=good.payload)
    it.executors.submit([its], [bad, good, broken])
    outcome = await it.outcome(bad.id)
    assert "no longer fits" in it.words(outcome, "lengths").message
    assert (await it.outcome(broken.id)).final
    assert it.opened(await it.outcome(good.id), "lengths") == (3, 1)


@lab(**APP)
async def test_the_context_is_of_all_jobs(it: Lab) -> None:
    ids = it.submit_many("facts", [("a",), ("b",)])
    for job_id, outcome in zip(ids, await _outcomes(it, ids), strict=True):
        its, *refused = it.opened(outcome, "facts")
        assert its == to_text(job_id)
        assert len(refused) == 3
        assert all("InvalidRequest" in one and "tq.current().jobs" in one for one in refused)


@lab(**APP)
async def test_a_handler_that_has_become_vectorized_takes_older_jobs(it: Lab) -> None:
    its = Options(queue="q", type="sample.fours")
    grants = [it.grant(its.type, encode({"numbers": n})) for n in range(2)]
    it.executors.submit([its], grants)
    outcomes = await _outcomes(it, [grant.id for grant in grants])
    assert [it.opened(outcome, "fours") for outcome in outcomes] == [1, 1]


@lab(**APP)
async def test_a_handler_that_is_no_longer_vectorized_takes_older_jobs(it: Lab) -> None:
    its = Options(queue="q", type="sample.echo", batch=10)
    grants = [it.grant(its.type, encode({"value": str(n)})) for n in range(3)]
    it.executors.submit([its], grants)
    outcomes = await _outcomes(it, [grant.id for grant in grants])
    assert [it.opened(outcome, "echo") for outcome in outcomes] == ["0", "1", "2"]


@lab(**APP)
async def test_an_unknown_handler_fails_each(it: Lab) -> None:
    its = Options(queue="q", type="sample.no_such", batch=10)
    grants = [it.grant(its.type, b"") for _ in range(3)]
    it.executors.submit([its], grants)
    for outcome in await _outcomes(it, [grant.id for grant in grants]):
        assert outcome.kind is ERRORED
        assert "TASKQUEUE_APP" in it.words(outcome, "no_such").message


@lab(**APP)
async def test_stored_code_takes_its_batch_along(it: Lab) -> None:
    def measure(words: list[str]) -> list[int]:
        return [len(words)] * len(words)

    job_type = JobType("sample.by_value_batch", measure, batch=Batch(max_size=5, max_wait=0))
    code, stored = capture(job_type, it.sealer, 0.0)

    async def give(_method: str, _request: bytes) -> bytes:
        return encode(stored)

    it.answer = give
    its = Options(queue="q", type=job_type.name, code=code, batch=5)
    grants = [it.grant(its.type, encode({"words": "w"})) for _ in range(5)]
    it.executors.submit([its], grants)
    for outcome in await _outcomes(it, [grant.id for grant in grants]):
        envelope = it.sealer.open(Kind.RESULT, outcome.id, its.type, outcome.result)
        assert job_type.open_result(envelope) == 5


@lab(**APP)
async def test_a_class_handles_payloads(it: Lab) -> None:
    ids = it.submit_many("WarmBatch", [({"number": n},) for n in range(10)], batch=10)
    outcomes = await _outcomes(it, ids)
    assert [it.opened(outcome, "WarmBatch") for outcome in outcomes] == [3 * n for n in range(10)]
    envelope = it.sealer.open(Kind.RESULT, ids[4], "sample.WarmBatch", outcomes[4].result)
    assert open_payload_after(envelope) == {"number": 4, "seen": 10}


@lab(**APP)
async def test_an_item_without_its_key_fails_alone(it: Lab) -> None:
    its = it.options("by_model")
    good = it.grant(its.type, encode({"texts": {"model": "small", "text": "x"}}))
    bad = it.grant(its.type, encode({"texts": {"text": "x"}}))
    for order in ([bad, good], [good, bad]):
        grants = [
            it.grant(its.type, it.sealer.open(Kind.PAYLOAD, one.id, its.type, one.payload))
            for one in order
        ]
        it.executors.submit([its], grants)
        for one, grant in zip(order, grants, strict=True):
            outcome = await it.outcome(grant.id)
            assert outcome.kind is (COMPLETED if one is good else ERRORED)
            if one is bad:
                assert "model" in it.words(outcome, "by_model").message


@lab(**APP)
async def test_middleware_stands_around_the_call(it: Lab) -> None:
    assert await _results(it, "surrounded", ["a", "b"]) == ["aa", "bb"]
    ids = it.submit_many("surrounded", [(text,) for text in "abc"])
    for outcome in await _outcomes(it, ids):  # what it gives instead is checked too
        assert "2 results for 3 items" in it.words(outcome, "surrounded").message


@lab(**APP, inline=2048)
async def test_large_payloads_and_results_of_one_call(it: Lab) -> None:
    store = Store(it)
    texts = [text(10_000), text(12_000)]
    grants = [store.grant(it, "turned", one) for one in texts]
    it.executors.submit([it.options("turned")], grants)
    found = [await it.outcome(grant.id) for grant in grants]
    assert [store.result_of(it, one, "turned") for one in found] == [f"{t[::-1]}2" for t in texts]
