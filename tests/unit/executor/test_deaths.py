"""Executors that die, hang, or lose those around them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from taskqueue_ray.core.exchange import OutcomeKind
from tests.unit.executor.lab import KEY, PATIENCE, Lab, alive, children_of, lab

COMPLETED, ERRORED = OutcomeKind.COMPLETED, OutcomeKind.ERRORED
CANCELLED, RELEASED = OutcomeKind.CANCELLED, OutcomeKind.RELEASED


@pytest.mark.parametrize(
    ("name", "args", "error_type"),
    [
        ("os_exit", (0,), "exit code 0"),
        ("os_exit", (3,), "exit code 3"),
        ("segfault", (), "SIGSEGV"),
    ],
)
def test_a_death_is_a_failed_attempt_of_the_one_that_ran(
    name: str, args: tuple[int, ...], error_type: str
) -> None:
    @lab()
    async def scenario(it: Lab) -> None:
        before = it.submit_many("echo", [("a",)] * 20)
        killer = it.submit(name, *args)
        after = it.submit_many("echo", [("b",)] * 20)
        outcome = await it.outcome(killer)
        assert outcome.kind is ERRORED
        assert outcome.failure is not None
        assert (outcome.failure.cause, outcome.failure.error_type) == ("exit", error_type)
        assert "its process" in it.words(outcome, name).message
        for job_id in after:
            assert (await it.outcome(job_id)).kind is COMPLETED
        for job_id in before:
            assert (await it.outcome(job_id)).kind in (COMPLETED, RELEASED)
        await it.until(lambda: it.incidents)
        assert [incident.job for incident in it.incidents] == [killer]

    scenario()


@pytest.mark.parametrize(
    ("name", "args"),
    [("endless", ()), ("swallower", ()), ("c_sleep", (60.0,)), ("hold_gil", (20.0,))],
)
def test_hard_timeout(name: str, args: tuple[float, ...]) -> None:
    @lab()
    async def scenario(it: Lab) -> None:
        began = time.monotonic()
        job_id = it.submit(name, *args, timeout=0.3)
        held_up = it.submit("echo", "after it")
        outcome = await it.outcome(job_id)
        assert 0.3 <= time.monotonic() - began < 2.3
        assert outcome.kind is ERRORED
        assert outcome.failure is not None
        assert (outcome.failure.cause, outcome.failure.error_type) == ("timeout", "JobTimeout")
        assert "0.3 s" in it.words(outcome, name).message
        assert (await it.outcome(held_up)).kind is COMPLETED

    scenario()


@lab(concurrency=2)
async def test_a_long_job_holds_nobody_up(it: Lab, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    for job_id in it.submit_many("echo", [("known to be fast",)] * 100):
        await it.outcome(job_id)
    # In one submission, so that short ones are given to the executor that the long one takes up.
    calls: list[tuple[str, tuple[object, ...]]] = [
        ("touch_then_wait", (tmp_path / "started", go_on)),
        *[("echo", ("behind it",))] * 200,
    ]
    long, *short = it.submit_mixed(calls)
    for job_id in short:
        assert (await it.outcome(job_id)).kind is COMPLETED
    assert long not in it.outcomes
    assert it.executors.running() == [long]
    go_on.touch()
    assert (await it.outcome(long)).kind is COMPLETED


@lab()
async def test_priority_is_kept_among_what_is_in_hand(it: Lab, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    first = it.submit("touch_then_wait", tmp_path / "started", go_on)
    await it.until((tmp_path / "started").exists)
    low = it.submit_many("echo", [("low",)] * 5, priority=1)
    high = it.submit_many("echo", [("high",)] * 5, priority=10)
    go_on.touch()
    await it.outcome(low[-1])
    assert it.order == [first, *high, *low]


@lab()
async def test_fast_jobs_fill_the_hands_and_slow_ones_do_not(it: Lab, tmp_path: Path) -> None:
    for job_id in it.submit_many("echo", [("x",)] * 500):
        await it.outcome(job_id)
    assert it.executors.room() > 300
    for _ in range(12):
        await it.run("c_sleep", 0.1)
    assert it.executors.room() <= 2


@lab()
async def test_cancel_waiting_and_running(it: Lab, tmp_path: Path) -> None:
    running = it.submit("until_cancelled", tmp_path / "started")
    waiting = it.submit("echo", "never")
    await it.until((tmp_path / "started").exists)
    it.executors.cancel([running, waiting])
    assert (await it.outcome(running)).kind is CANCELLED
    assert (await it.outcome(waiting)).kind is CANCELLED
    assert it.nothing_happened()


@lab(cancel_grace=0.2)
async def test_a_job_that_does_not_listen_is_killed(it: Lab, tmp_path: Path) -> None:
    deaf = it.submit("touch_then_wait", tmp_path / "started", tmp_path / "never")
    await it.until((tmp_path / "started").exists)
    it.executors.cancel([deaf])
    assert (await it.outcome(deaf)).kind is CANCELLED
    await it.until(lambda: it.incidents)
    assert [(each.kind, each.job) for each in it.incidents] == [("cancel", deaf)]
    assert await it.result("echo", "next") == "next"


@lab(cancel_grace=1000.0)
async def test_a_job_may_have_less_time_to_stop(it: Lab, tmp_path: Path) -> None:
    for grace in (0.1, 0.0):
        started = tmp_path / f"started {grace}"
        deaf = it.submit("touch_then_wait", started, tmp_path / "never", cancel_grace=grace)
        await it.until(started.exists)
        it.executors.cancel([deaf])
        assert (await it.outcome(deaf)).kind is CANCELLED
    assert await it.result("echo", "next") == "next"


@lab(cancel_grace=0.0)
async def test_a_job_may_have_more_time_to_stop(it: Lab, tmp_path: Path) -> None:
    listening = it.submit("until_cancelled", tmp_path / "started", cancel_grace=1000.0)
    await it.until((tmp_path / "started").exists)
    it.executors.cancel([listening])
    assert (await it.outcome(listening)).kind is CANCELLED
    assert it.nothing_happened()


@lab()
async def test_drain_gives_back_what_has_not_begun(it: Lab, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    running = it.submit("touch_then_wait", tmp_path / "started", go_on)
    waiting = it.submit_many("echo", [("x",)] * 50)
    await it.until((tmp_path / "started").exists)
    assert not await it.executors.drain(0.2)
    assert {it.outcomes[job_id][0].kind for job_id in waiting} == {RELEASED}
    assert it.executors.held() == [running]
    assert it.executors.room() == 0
    late = it.submit("echo", "too late")
    assert it.outcomes[late][0].kind is RELEASED
    go_on.touch()
    assert await it.executors.drain(PATIENCE)
    assert it.outcomes[running][0].kind is COMPLETED


@lab()
async def test_give_back_reaches_into_the_executor(it: Lab, tmp_path: Path) -> None:
    for job_id in it.submit_many("echo", [("known to be fast",)] * 100):
        await it.outcome(job_id)
    go_on = tmp_path / "go on"
    calls: list[tuple[str, tuple[object, ...]]] = [
        ("touch_then_wait", (tmp_path / "started", go_on)),
        *[("echo", ("behind it",))] * 50,
    ]
    long, *short = it.submit_mixed(calls)
    it.executors.give_back()
    for job_id in short:
        assert (await it.outcome(job_id)).kind is RELEASED
    go_on.touch()
    assert (await it.outcome(long)).kind in (COMPLETED, RELEASED)


@lab(concurrency=2)
async def test_what_is_given_back_is_not_run(it: Lab, tmp_path: Path) -> None:
    for job_id in it.submit_many("echo", [("fast",)] * 500):
        await it.outcome(job_id)
    for round_number in range(10):
        folder = tmp_path / str(round_number)
        folder.mkdir()
        ids = it.submit_many("leave_trace", [(folder, number) for number in range(300)])
        await it.until(lambda folder=folder: any(folder.iterdir()))  # type: ignore[misc]
        it.executors.give_back()
        await it.until(lambda ids=ids: all(each in it.outcomes for each in ids))  # type: ignore[misc]
        for number, job_id in enumerate(ids):
            ran = (folder / str(number)).exists()
            assert it.outcomes[job_id][0].kind is (COMPLETED if ran else RELEASED)


@lab(concurrency=2)
async def test_executors_killed_at_random_lose_no_job(it: Lab, tmp_path: Path) -> None:
    ids = it.submit_many("c_sleep", [(0.002,)] * 400)
    for threshold in range(40, 400, 40):
        await it.until(lambda threshold=threshold: len(it.outcomes) >= threshold)  # type: ignore[misc]
        for pid in it.executors.pids()[:1]:
            os.kill(pid, signal.SIGKILL)
    await it.until(lambda: all(job_id in it.outcomes for job_id in ids))
    kinds = [it.outcomes[job_id][0].kind for job_id in ids]
    assert set(kinds) <= {COMPLETED, ERRORED, RELEASED}
    assert kinds.count(ERRORED) <= 9  # one for each kill at most


@lab()
async def test_stop_releases_what_runs(it: Lab, tmp_path: Path) -> None:
    running = it.submit("touch_then_wait", tmp_path / "started", tmp_path / "never")
    await it.until((tmp_path / "started").exists)
    await it.executors.stop()
    assert it.outcomes[running][0].kind is RELEASED


@pytest.mark.parametrize("escape", [False, True])
def test_a_killed_executor_leaves_no_grandchild(escape: bool, tmp_path: Path) -> None:
    @lab()
    async def scenario(it: Lab) -> None:
        report = tmp_path / "pids"
        job_id = it.submit("with_grandchild", report, escape, timeout=1.0)
        await it.outcome(job_id)
        child, grandchild = map(int, report.read_text().split())
        await it.until(lambda: not alive(child) and not alive(grandchild), "their deaths")

    scenario()


@lab(concurrency=2)
async def test_a_killed_fork_server_is_replaced(it: Lab, tmp_path: Path) -> None:
    job_id = it.submit("touch_then_wait", tmp_path / "started", tmp_path / "never")
    await it.until((tmp_path / "started").exists)
    server, child = it.executors.server_pid, int((tmp_path / "started").read_text())
    os.kill(server, signal.SIGKILL)
    outcome = await it.outcome(job_id)
    assert outcome.kind is ERRORED
    assert outcome.failure is not None
    assert outcome.failure.cause == "exit"
    assert await it.result("echo", "again") == "again"
    assert it.executors.server_pid != server
    await it.until(lambda: not alive(child), "the death of the old executor")


@lab()
async def test_a_job_that_kills_the_fork_server_is_charged(it: Lab) -> None:
    outcome = await it.run("kill_fork_server")
    assert outcome.kind is ERRORED
    assert await it.result("echo", "again") == "again"


WORKER = """
import asyncio, sys, time
from pathlib import Path
from tests.unit.executor.lab import Lab

async def main():
    lab = Lab()
    await lab.executors.start()
    lab.submit("with_grandchild", Path(sys.argv[1]), False)
    print(lab.executors.server_pid, flush=True)
    await lab.drive()

asyncio.run(main())
"""


def test_nothing_outlives_a_killed_worker(tmp_path: Path) -> None:
    report = tmp_path / "pids"
    environment = {**os.environ, "TASKQUEUE_ENCRYPTION_KEYS": KEY}
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(report)],
        stdout=subprocess.PIPE,
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        text=True,
    ) as worker:
        assert worker.stdout is not None
        server = int(worker.stdout.readline())
        _until(lambda: report.exists() and len(report.read_text().split()) == 2)
        pids = [server, *map(int, report.read_text().split())]
        assert all(alive(pid) for pid in pids)
        worker.kill()
    _until(lambda: not any(alive(pid) for pid in pids), seconds=5.0)


@lab(app_modules=("tests.unit.executor.sample_jobs", "no_such_module_anywhere"))
async def test_a_failed_import_is_told_and_the_rest_works(it: Lab) -> None:
    assert await it.result("echo", "works") == "works"
    await it.until(lambda: it.incidents)
    [incident] = it.incidents
    assert incident.kind == "preload"
    assert "no_such_module_anywhere" in incident.text


@lab(app_modules=("tests.unit.executor.sample_jobs", "tests.unit.executor.deadly_module"))
async def test_a_module_that_kills_the_fork_server_ends_in_no_loop(it: Lab) -> None:
    assert await it.result("echo", "imported here") == "imported here"
    assert [incident.kind for incident in it.incidents] == ["preload"]


@lab()
async def test_memory_of_an_idle_executor(it: Lab) -> None:
    await it.result("echo", "warm")
    [pid] = it.executors.pids()
    private = psutil.Process(pid).memory_full_info().uss / 1e6
    print(f"\none idle executor: {private:.1f} MB of private memory")
    assert children_of(it.executors.server_pid) == [pid]
    assert private < 8  # the aim is 5; this guards against importing something large


def _until(condition: object, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)
