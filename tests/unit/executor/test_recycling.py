"""Executors that have had enough: replaced between two jobs, and nobody notices."""

from collections import Counter

from taskqueue_ray.cluster.recycling import Recycling
from taskqueue_ray.core.exchange import OutcomeKind
from tests.unit.executor.lab import Lab, lab

MIB = 1 << 20


def test_an_executor_runs_no_more_jobs_than_it_may() -> None:
    @lab(recycling=Recycling(max_jobs=7))
    async def scenario(it: Lab) -> None:
        jobs = it.submit_many("pid", [()] * 40)
        outcomes = [await it.outcome(job_id) for job_id in jobs]
        assert {outcome.kind for outcome in outcomes} == {OutcomeKind.COMPLETED}
        runs = Counter(it.opened(outcome, "pid") for outcome in outcomes)
        assert max(runs.values()) == 7
        assert len(runs) == 6
        assert it.incidents == []

    scenario()


def test_an_executor_that_has_grown_is_replaced_after_the_job() -> None:
    @lab(recycling=Recycling(memory=32 * MIB))
    async def scenario(it: Lab) -> None:
        assert await it.result("keep", 1) == await it.result("pid")
        grown = await it.result("keep", 64)
        await it.until(lambda: grown not in it.executors.pids())
        assert await it.result("pid") != grown
        [incident] = it.incidents
        assert incident.kind == "recycle"
        assert "with jobs of sample.keep" in incident.text, "not of the job that ran after it"
        [growth] = it.executors.take_grown()
        assert growth.type == "sample.keep"
        assert growth.size > 32 * MIB

    scenario()


def test_an_old_executor_is_replaced_between_two_jobs() -> None:
    @lab(recycling=Recycling(max_age=0.3))
    async def scenario(it: Lab) -> None:
        first = await it.result("pid")
        await it.until(lambda: first not in it.executors.pids())
        assert await it.result("c_sleep", 0.6) is None, "not while it runs one"
        assert it.incidents == []

    scenario()


def test_a_job_that_names_no_timeout_has_its_worker_s() -> None:
    @lab(timeout=0.2)
    async def scenario(it: Lab) -> None:
        outcome = await it.run("endless")
        assert outcome.failure is not None
        assert outcome.failure.cause == "timeout"
        assert (await it.run("c_sleep", 0.4, timeout=30.0)).kind is OutcomeKind.COMPLETED

    scenario()
