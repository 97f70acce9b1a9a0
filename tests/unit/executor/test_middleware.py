"""Middleware in executors: real processes, which import what the application installs."""

from collections.abc import Callable
from typing import Any

from taskqueue_ray.core.exchange import OutcomeKind, Progress
from taskqueue_ray.core.model import JobId
from taskqueue_ray.engine.code import capture
from taskqueue_ray.engine.context import Context
from taskqueue_ray.engine.headers import attach
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.middleware import Middleware, installed
from taskqueue_ray.engine.registry import registry
from tests.unit.executor import sample_jobs
from tests.unit.executor.lab import Lab, encode, lab

APP = (sample_jobs.__name__, "tests.unit.executor.surrounding_app")


class Quoting(Middleware):
    def run(self, context: Context, call_next: Callable[[], Any]) -> Any:
        return f"'{call_next()}'"


def _headed(it: Lab, name: str, headers: dict[str, str], *args: Any) -> JobId:
    options = it.options(name)
    plain = registry.get(options.type).binder.bind(args, {})
    grant = it.grant(options.type, attach(headers, plain))
    it.executors.submit([options], [grant])
    return grant.id


async def _told(it: Lab, job_id: JobId) -> Progress:
    await it.until(lambda: any(one == job_id for one, _ in it.progress), "progress")
    return next(progress for one, progress in it.progress if one == job_id)


@lab(app_modules=APP)
async def test_executors_have_what_the_application_installs(it: Lab) -> None:
    assert installed.all == ()  # in this process nobody has imported it
    for name, type_name in (("c_sleep", "sample.c_sleep"), ("async_sleep", "sample.async_sleep")):
        told = await _told(it, it.submit(name, 0.2))
        assert (told.total, told.message) == (1.0, type_name)
    assert await it.result("echo", "hello") == "hello"
    assert await it.result("async_echo", "hello") == "hello"


@lab(app_modules=APP)
async def test_what_it_raises_is_what_the_job_raised(it: Lab) -> None:
    for name in ("echo", "async_echo"):
        boom = await it.outcome(_headed(it, name, {"end": "boom"}, "x"))
        assert (boom.kind, boom.final) == (OutcomeKind.ERRORED, False)
        words = it.words(boom, name)
        assert words.message == "not welcome"
        assert "surrounding_app.py" in words.traceback
        assert "raise end" in words.traceback
        failed = await it.outcome(_headed(it, name, {"end": "fail"}, "x"))
        assert (failed.kind, failed.final) == (OutcomeKind.ERRORED, True)
        snoozed = await it.outcome(_headed(it, name, {"end": "snooze"}, "x"))
        assert snoozed.kind is OutcomeKind.SNOOZED
        assert (
            it.opened(await it.outcome(_headed(it, name, {"other": "1"}, "fine")), name) == "fine"
        )


@lab(app_modules=APP)
async def test_what_it_sets_does_not_reach_the_next_job(it: Lab) -> None:
    for name in ("c_sleep", "c_sleep", "async_sleep", "async_sleep"):
        job_id = it.submit(name, 0.2)
        assert (await _told(it, job_id)).done == 1
        await it.outcome(job_id)


@lab(app_modules=APP, async_limit=1)
async def test_nor_one_that_begins_when_it_ends(it: Lab) -> None:
    ids = [it.submit("async_sleep", 0.2) for _ in range(3)]
    for job_id in ids:
        assert (await _told(it, job_id)).done == 1
        await it.outcome(job_id)


@lab()
async def test_headers_do_no_harm_where_nobody_reads_them(it: Lab) -> None:
    job_id = _headed(it, "echo", {"trace": "4bf92f35"}, "hello")
    assert it.opened(await it.outcome(job_id), "echo") == "hello"


@lab()
async def test_that_of_a_type_goes_along_with_stored_code(it: Lab) -> None:
    job = JobType("sample.echo", lambda: "by value", None, (Quoting(),))
    code, stored = capture(job, it.sealer, 0.0)

    async def give(method: str, request: bytes) -> bytes:
        return encode(stored)

    it.answer = give
    grant = it.grant("sample.echo", encode({}))
    options = type(it.options("echo"))(queue="q", type="sample.echo", code=code)
    it.executors.submit([options], [grant])
    assert it.opened(await it.outcome(grant.id), "echo") == "'by value'"


@lab(app_modules=APP)
async def test_code_by_value_meets_what_the_executor_has(it: Lab) -> None:
    async def give(method: str, request: bytes) -> bytes:
        return encode(stored)

    it.answer = give
    code, stored = capture(JobType("sample.echo", lambda: "by value"), it.sealer, 0.0)
    grant = it.grant("sample.echo", attach({"end": "boom"}, encode({})))
    options = type(it.options("echo"))(queue="q", type="sample.echo", code=code)
    it.executors.submit([options], [grant])
    assert it.words(await it.outcome(grant.id), "echo").message == "not welcome"
