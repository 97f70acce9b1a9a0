"""Schedules on real actors: one firing for each due time, whoever is killed, and however often."""

import time
from contextlib import suppress

import ray
from ray.exceptions import RayError

import taskqueue_ray as tq
from taskqueue_ray.cluster.config import ACTOR_CPUS, NAMESPACE
from taskqueue_ray.cluster.scheduler_actor import SchedulerActor, scheduler_name
from taskqueue_ray.sdk.records import JobRecord
from tests.cluster import processes, trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place


def scheduler_pid(place: Place) -> int | None:
    """The process of the scheduler actor, once it is there."""
    with suppress(ValueError, RayError):
        actor = ray.get_actor(scheduler_name(place.actor_name), NAMESPACE)
        return int(ray.get(actor.pid.remote(), timeout=10.0))
    return None


def firings(q: tq.TaskQueue, schedule: str) -> list[JobRecord]:
    ended = q.jobs(schedule=schedule, state="completed", limit=10_000)
    found = {job.id: job for job in (*q.jobs(schedule=schedule, limit=10_000), *ended)}
    return list(found.values())


def test_each_due_time_is_fired_once_whoever_is_killed(place: Place) -> None:
    """F06: a schedule fires exactly once per due time, and there are two schedulers at that."""
    q = place.connect()
    with q.workers():
        made = q.scheduler.schedule(
            1, trial_jobs.add, 1, id="often", overlap="allow", catch_up="all"
        )
        eventually(lambda: q.scheduler.get("often").fired >= 2, "it fires")
        first = eventually(lambda: scheduler_pid(place), "its scheduler is there")
        second = (
            ray.remote(SchedulerActor)
            .options(name="scheduler:second", namespace=NAMESPACE, num_cpus=ACTOR_CPUS)
            .remote(place.actor_name)
        )
        ray.get(second.pid.remote())
        processes.kill(first)
        _goes_on(q)
        processes.kill(place.ping().pid)
        _goes_on(q)
        processes.kill(eventually(lambda: scheduler_pid(place), "it is back"))
        ray.kill(second)
        _goes_on(q)
        record = q.scheduler.pause("often")
        eventually(lambda: q.scheduler.get("often").running == 0, "all have ended")
        jobs = firings(q, "often")
    dues = sorted(job.scheduled_for for job in jobs if job.scheduled_for)
    assert len(dues) == len(set(dues)) == record.fired, "a time was fired twice"
    start = made.view.schedule.created_at
    assert [round(due.timestamp() - start) for due in dues] == list(range(1, len(dues) + 1))
    assert record.missed == 0


def _goes_on(q: tq.TaskQueue) -> None:
    before = q.scheduler.get("often").fired
    eventually(lambda: q.scheduler.get("often").fired > before + 1, "it goes on")


def test_a_scheduler_leaves_with_the_queue_and_is_there_for_the_next(place: Place) -> None:
    q = place.connect()
    q.scheduler.schedule(3600, trial_jobs.add, 1, id="later")
    eventually(lambda: scheduler_pid(place), "its scheduler is there")
    q.close()
    place.shut_down()
    eventually(lambda: scheduler_pid(place) is None, "it has left", within=20.0)
    q = place.connect()
    assert q.scheduler.get("later").state == "active"
    eventually(lambda: scheduler_pid(place), "another is there")
    q.scheduler.update("later", when=1)
    began = time.monotonic()
    eventually(lambda: q.scheduler.get("later").fired, "it fires")
    print(f"fired {time.monotonic() - began:.2f} s after the change")
