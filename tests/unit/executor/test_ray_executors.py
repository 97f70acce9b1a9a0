"""Executors in Ray, without Ray: what is held, charged, released, asked for and let go."""

import os
import time
from pathlib import Path

import pytest

from taskqueue_ray.cluster.recycling import Recycling
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.shape import Shape
from tests.unit.executor.lab import alive
from tests.unit.executor.ray_lab import NOWHERE, REFUSAL, RayLab, ray_lab

COMPLETED, ERRORED = OutcomeKind.COMPLETED, OutcomeKind.ERRORED
CANCELLED, RELEASED = OutcomeKind.CANCELLED, OutcomeKind.RELEASED
KINDS = ("actor", "task")


@pytest.mark.parametrize("kind", KINDS)
def test_a_result(kind: str, tmp_path: Path) -> None:
    @ray_lab()
    async def scenario(it: RayLab) -> None:
        assert await it.result("echo", "hello", executor=kind) == "hello"
        first = await it.result("pid", executor=kind)
        second = await it.result("pid", executor=kind)
        assert first != os.getpid()
        assert (first == second) == (kind == "actor"), "an actor stays warm, a task is of one job"

    scenario(tmp_path)


@ray_lab()
async def test_many_go_to_one_actor(it: RayLab) -> None:
    ids = it.submit_many("echo", [(str(n),) for n in range(2000)])
    got = [it.opened(await it.outcome(job_id), "echo") for job_id in ids]
    assert got == [str(n) for n in range(2000)]
    assert len(it.edge.places) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_death_is_a_failed_attempt_of_the_one_that_ran(kind: str, tmp_path: Path) -> None:
    @ray_lab()
    async def scenario(it: RayLab) -> None:
        before = it.submit_many("echo", [("a",)] * 3, executor=kind)
        killer = it.submit("os_exit", 3, executor=kind)
        after = it.submit_many("echo", [("b",)] * 3, executor=kind)
        outcome = await it.outcome(killer)
        assert outcome.kind is ERRORED
        assert outcome.failure is not None
        assert (outcome.failure.cause, outcome.failure.error_type) == ("exit", "ExecutorDied")
        assert it.words(outcome, "os_exit").message == "its process ended"
        for job_id in after:
            assert (await it.outcome(job_id)).kind is COMPLETED
        for job_id in before:
            assert (await it.outcome(job_id)).kind in (COMPLETED, RELEASED)
        await it.until(lambda: it.incidents)
        assert [incident.job for incident in it.incidents] == [killer]

    scenario(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["swallower", "hold_gil"])
def test_a_hard_timeout_kills_it_and_spares_the_next(kind: str, name: str, tmp_path: Path) -> None:
    @ray_lab()
    async def scenario(it: RayLab) -> None:
        args = (20.0,) if name == "hold_gil" else ()
        job_id = it.submit(name, *args, executor=kind, timeout=0.3)
        behind = it.submit("echo", "behind", executor=kind)
        outcome = await it.outcome(job_id)
        assert outcome.failure is not None
        assert (outcome.failure.cause, outcome.failure.error_type) == ("timeout", "JobTimeout")
        assert 0.3 <= outcome.seconds < 5
        assert it.opened(await it.outcome(behind), "echo") == "behind"

    scenario(tmp_path)


@ray_lab()
async def test_who_does_not_hear_ray_is_killed_without_it(it: RayLab) -> None:
    it.edge.deaf = True
    job_id = it.submit("swallower", timeout=0.2)
    await it.until(it.executors.running, "it runs")
    it.skipped += 1.0
    assert (await it.outcome(job_id)).kind is ERRORED
    it.edge.deaf = False


@ray_lab(cancel_grace=0.1)
async def test_cancelling(it: RayLab) -> None:
    running = it.submit("swallower")
    waiting = it.submit("echo", "behind")
    await it.until(lambda: running in it.executors.running(), "it runs")
    it.executors.cancel([running, waiting])
    assert (await it.outcome(running)).kind is CANCELLED
    assert (await it.outcome(waiting)).kind is CANCELLED


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_place_takes_no_room_from_others(kind: str, tmp_path: Path) -> None:
    @ray_lab(concurrency=2)
    async def scenario(it: RayLab) -> None:
        stuck = it.submit_many("echo", [("a",)] * 2, executor=kind, shape=NOWHERE)
        place = f"{kind} nowhere=1"
        if kind == "task":
            assert it.executors.rooms()["task"] == 0
        assert it.executors.full() == []
        it.skipped += 2.5  # it has been waited for
        assert it.executors.full() == [place]
        assert it.executors.rooms()[kind] >= 2
        assert await it.result("echo", "free", executor=kind) == "free"
        assert not it.executors.running()
        assert set(stuck) <= set(it.executors.held())
        assert not it.outcomes.keys() & set(stuck)
        it.edge.make_room()
        for job_id in stuck:
            assert it.opened(await it.outcome(job_id), "echo") == "a"
        await it.until(lambda: not it.executors.full(), "the place is open again")

    scenario(tmp_path)


@ray_lab()
async def test_what_was_cancelled_is_no_longer_asked_for(it: RayLab) -> None:
    job_id = it.submit("echo", "a", executor="task", shape=NOWHERE)
    await it.until(lambda: it.edge.asked)
    it.executors.cancel([job_id])
    await it.until(lambda: not it.edge.asked, "the task is taken back")
    assert (await it.outcome(job_id)).kind is CANCELLED


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_shape_is_a_failed_attempt(kind: str, tmp_path: Path) -> None:
    @ray_lab()
    async def scenario(it: RayLab) -> None:
        ids = it.submit_many("echo", [("a",)] * 2, executor=kind, shape=REFUSAL)
        for job_id in ids:
            outcome = await it.outcome(job_id)
            assert outcome.failure is not None
            assert outcome.failure.error_type == "RuntimeEnvSetupError"
            assert it.words(outcome, "echo").message == "its runtime_env failed"

    scenario(tmp_path)


@ray_lab(concurrency=1)
async def test_a_warm_actor_makes_way_for_another_shape(it: RayLab) -> None:
    first = await it.result("pid")
    second = await it.result("pid", shape=Shape(num_gpus=1))
    assert first != second
    await it.until(lambda: not alive(first), "the first has gone")


@ray_lab(idle=10.0)
async def test_an_idle_actor_is_let_go(it: RayLab) -> None:
    pid = await it.result("pid")
    it.skipped += 9.0
    assert await it.result("pid") == pid
    it.skipped += 11.0
    await it.until(lambda: not alive(pid), "it has gone")


@ray_lab(recycling=Recycling(max_jobs=3))
async def test_a_worn_actor_is_replaced(it: RayLab) -> None:
    pids = [await it.result("pid") for _ in range(6)]
    assert len(set(pids[:3])) == len(set(pids[3:])) == 1
    assert pids[0] != pids[3]


@ray_lab()
async def test_a_long_job_gives_back_what_is_behind_it(it: RayLab) -> None:
    """Two were sent together; the second does not wait for the first."""
    await it.result("echo", "warm")
    slow, fast = it.submit_mixed([("c_sleep", (0.5,)), ("echo", ("x",))])
    await it.until(lambda: slow in it.executors.running(), "the first runs")
    it.executors.give_back()
    assert (await it.outcome(fast)).kind is RELEASED
    assert (await it.outcome(slow)).kind is COMPLETED


@ray_lab()
async def test_drain_waits_for_what_runs(it: RayLab) -> None:
    slow = it.submit("c_sleep", 0.3)
    await it.until(it.executors.running, "it runs")
    behind = it.submit("echo", "behind")
    assert await it.executors.drain(10.0)
    assert (await it.outcome(slow)).kind is COMPLETED
    assert (await it.outcome(behind)).kind is RELEASED
    assert it.executors.rooms() == {"actor": 0, "task": 0}


@pytest.mark.parametrize("kind", KINDS)
def test_stop_interrupts_and_charges_nobody(kind: str, tmp_path: Path) -> None:
    @ray_lab()
    async def scenario(it: RayLab) -> None:
        running = it.submit("swallower", executor=kind)
        waiting = it.submit("echo", "a", executor=kind, shape=NOWHERE)
        await it.until(lambda: running in it.executors.running(), "it runs")
        began = time.monotonic()
        await it.executors.stop()
        assert time.monotonic() - began < 4.0
        assert it.outcomes[running][0].kind is RELEASED
        assert it.outcomes[waiting][0].kind is RELEASED

    scenario(tmp_path)
