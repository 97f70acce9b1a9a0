"""Jobs in Ray actors and tasks: their results, their ends, and what they may not do to others."""

import pytest

import taskqueue_ray as tq
from tests.cluster import processes, ray_trial_jobs, trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place, worker_pids
from tests.cluster.witness import starts

KINDS = ("actor", "task")
BOTH = ("actor", pytest.param("task", marks=pytest.mark.slow))
DIED = "ExecutorDied"
REASONS = {
    "sys.exit": "SystemExit",
    "os._exit": DIED,
    "segfault": DIED,
    "hang": "JobTimeout",
    "GIL": "JobTimeout",
}


def test_results_of_all_forms(place: Place) -> None:
    q = place.connect()

    def by_value(n: int) -> str:
        return f"{n} of a notebook"

    with q.workers(max=1, concurrency=2):
        for kind in KINDS:
            uses_ray = ray_trial_jobs.uses_ray.options(executor=kind)
            value, pid = q.enqueue(uses_ray, 7).result(60)
            assert value == 7
            again = q.enqueue(uses_ray, 8).result(60)[1]
            assert (again == pid) == (kind == "actor"), "an actor is kept, a task is not"
            assert pid not in worker_pids(q)
            assert q.enqueue(ray_trial_jobs.awaited.options(executor=kind), 4).result(60) == 8
            local = tq.job(by_value).options(executor=kind)
            assert q.enqueue(local, 3).result(60) == "3 of a notebook"
            child = q.enqueue(ray_trial_jobs.asks.options(executor=kind), 41).result(60)
            assert q.handle(child).result(60) == 42
        handle = q.push(ray_trial_jobs.Counts({"words": ["a", "b"]}))
        assert handle.result(60) == 2
        assert q.job(handle.id).payload == {"words": ["a", "b"], "seen": True}


def test_what_other_executors_do_these_do_too(place: Place) -> None:
    q = place.connect()
    with q.workers(max=1, concurrency=2):
        embedded = [
            handle.result(60)
            for handle in q.enqueue_many(ray_trial_jobs.embed.item(f"t{n}") for n in range(200))
        ]
        assert [text for text, _ in embedded] == [f"T{n}" for n in range(200)]
        assert max(size for _, size in embedded) == 16, "calls are filled"
        assert q.enqueue(ray_trial_jobs.goes_on, 7).result(60) == 7
        assert q.enqueue(ray_trial_jobs.fans_out, 3).result(60) == 6
        assert q.enqueue(ray_trial_jobs.works_later).result(60) == 2
        assert len(q.enqueue(ray_trial_jobs.noise, 3_000_000).result(60)) == 3_000_000


def test_the_shape_is_held(place: Place) -> None:
    q = place.connect()
    with q.workers(max=1):
        half = ray_trial_jobs.actor_resources.options(num_cpus=0.5, memory="10MB")
        handle = q.enqueue(half)
        held = handle.result(60)
        assert (held["CPU"], held["memory"]) == (0.5, 10_000_000)
        assert handle.info().executor == "actor", "a shape without an executor"
        plain = q.enqueue(ray_trial_jobs.actor_resources.options(executor="task")).result(60)
        assert plain == {"CPU": 1.0}
        env = {"env_vars": {"TRIAL": "yes"}}
        for kind in KINDS:
            set_up = ray_trial_jobs.variable.options(executor=kind, runtime_env=env)
            assert q.enqueue(set_up, "TRIAL").result(60) == "yes"


def test_what_ray_refuses_is_a_failed_attempt(place: Place) -> None:
    q = place.connect()
    with q.workers(max=1):
        wrong = {"working_dir": "/no/such/folder"}
        handle = q.enqueue(
            ray_trial_jobs.variable.options(executor="task", runtime_env=wrong, max_attempts=1), "X"
        )
        with pytest.raises(tq.JobFailed) as failed:
            handle.result(60)
        assert "/no/such/folder" in str(failed.value)
        assert q.enqueue(trial_jobs.add, 1).result(60) == 2


@pytest.mark.parametrize("kind", BOTH)
def test_bad_manners_are_failed_attempts(place: Place, kind: str) -> None:
    q = place.connect()
    brief = ray_trial_jobs.misbehaves.options(executor=kind)
    with q.workers(max=1, concurrency=3):
        before = worker_pids(q)
        bad = {how: q.enqueue(brief, how) for how in REASONS}
        good = q.enqueue_many(trial_jobs.add.item(n) for n in range(300))
        assert tq.gather(*good) == [n + 1 for n in range(300)]
        for how, handle in bad.items():
            with pytest.raises(tq.JobFailed) as failed:
                handle.result(90)
            assert failed.value.fields["error_type"] == REASONS[how], (how, str(failed.value))
            assert handle.info().attempts == 1, how
        assert worker_pids(q) == before
        assert all(job.losses == 0 for job in q.jobs(limit=1000)), "no lease was lost"
        assert q.enqueue(ray_trial_jobs.uses_ray.options(executor=kind), 1).result(60)[0] == 1


def test_the_others_of_a_dead_actor_are_charged_with_nothing(place: Place) -> None:
    q = place.connect()
    fast = ray_trial_jobs.awaited.options(executor="actor")
    with q.workers(max=1):
        assert q.enqueue(fast, 1).result(60) == 2
        bad = ray_trial_jobs.misbehaves.options(executor="actor").item("os._exit")
        items = [fast.item(n) for n in range(40)]
        handles = q.enqueue_many([*items[:20], bad, *items[20:]])
        with pytest.raises(tq.JobFailed, match=DIED):
            handles[20].result(60)
        others = handles[:20] + handles[21:]
        assert [handle.result(60) for handle in others] == [2 * n for n in range(40)]
        assert {handle.info().attempts for handle in others} <= {0, 1}


@pytest.mark.slow
def test_who_holds_the_gil_holds_nobody_up(place: Place) -> None:
    """For longer than a lease lasts."""
    q = place.connect(lease_seconds=2.0)
    with q.workers(max=1, concurrency=2):
        before = worker_pids(q)
        holder = q.enqueue(ray_trial_jobs.holds_the_gil, str(place.witness))
        eventually(lambda: starts(place.witness)[holder.id], "it runs")
        for _ in range(8):
            handles = q.enqueue_many(trial_jobs.doubled.item(n, 0.5) for n in range(10))
            assert tq.gather(*handles) == [2 * n for n in range(10)]
        record = holder.info()
        assert (record.state, record.losses) == (tq.JobState.PROCESSING, 0)
        assert holder.cancel()
        eventually(lambda: holder.status() == "cancelled", "it is killed")
        assert worker_pids(q) == before
        assert starts(place.witness)[holder.id] == 1


@pytest.mark.parametrize("kind", BOTH)
def test_a_running_one_is_cancelled(place: Place, kind: str) -> None:
    q = place.connect()
    pid_file = place.base / "pid"
    with q.workers(max=1, concurrency=2):
        polite = q.enqueue(
            ray_trial_jobs.until_cancelled.options(executor=kind), str(place.witness)
        )
        deaf = q.enqueue(
            ray_trial_jobs.ignores_all.options(executor=kind), str(place.witness), str(pid_file)
        )
        eventually(lambda: len(starts(place.witness)) == 2, "both run")
        polite.cancel()
        deaf.cancel()
        eventually(lambda: polite.status() == "cancelled", "it saw the flag")
        eventually(lambda: deaf.status() == "cancelled", "it was killed")
        pid = int(pid_file.read_text())
        eventually(lambda: not processes.is_alive(pid), "its process has gone")


@pytest.mark.parametrize("kind", BOTH)
def test_the_death_of_a_worker_is_a_loss_and_ends_its_executors(place: Place, kind: str) -> None:
    q = place.connect()
    with q.workers(min=1, max=1):
        job = ray_trial_jobs.ignores_all.options(executor=kind)
        handle = q.enqueue(job, str(place.witness), str(place.base / "pid"))
        eventually(
            lambda: handle.id in q.worker_health()[0].running, "the queue knows that it runs"
        )
        pid = int((place.base / "pid").read_text())
        processes.kill(worker_pids(q)[0])
        eventually(lambda: not processes.is_alive(pid), "its executor ended too")
        eventually(lambda: starts(place.witness)[handle.id] == 2, "it runs again")
        assert (handle.info().losses, handle.info().attempts) == (1, 0)
        handle.cancel()
        eventually(lambda: handle.status() == "cancelled", "it is killed")


@pytest.mark.parametrize("kind", BOTH)
def test_what_no_node_has_room_for_waits_and_is_in_nobodys_way(place: Place, kind: str) -> None:
    q = place.connect()
    with q.workers(max=1, concurrency=1):
        nowhere = ray_trial_jobs.uses_ray.options(executor=kind, resources={"nowhere": 1})
        stuck = q.enqueue_many(nowhere.item(n) for n in range(20))
        free = ray_trial_jobs.uses_ray.options(executor=kind)
        for n in range(3):
            assert q.enqueue(free, n).result(60)[0] == n
            assert q.enqueue(trial_jobs.add, n).result(60) == n + 1
        assert {handle.info().attempts for handle in stuck} == {0}
        why = q.why(stuck[0].id)
        assert why.reason == "resources", why
        assert "nowhere=1" in why.sentence
        q.cancel_all(queue="default")
        eventually(lambda: {handle.status() for handle in stuck} == {"cancelled"}, "all are gone")


def test_drain_waits_for_what_runs(place: Place) -> None:
    q = place.connect()
    gate = place.base / "gate"
    workers = q.workers(max=1).start()
    handle = q.enqueue(
        ray_trial_jobs.waits.options(executor="actor"), str(place.witness), str(gate)
    )
    eventually(lambda: starts(place.witness)[handle.id], "it runs")
    gate.touch()
    assert workers.drain()
    pid = handle.result(10)
    eventually(lambda: not processes.is_alive(pid), "the actor has gone")
