"""`taskqueue up`, `status` and `down` on a running cluster, as a shell has them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cluster import trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place
from tests.cluster.programs import Programs

ROOT = Path(__file__).parents[2]


def command(place: Place, address: str, *words: str) -> str:
    environment = {
        **os.environ, "RAY_ADDRESS": address, "TASKQUEUE_STORAGE": str(place.folder),
        "TASKQUEUE_KEY_FILE": str(place.key_file), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "from taskqueue_ray.cli.app import main; exit(main())", *words],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_up_goes_on_after_the_command_and_down_keeps_the_pool(
    place: Place, shared_ray: str
) -> None:
    app = "tests.cluster.trial_jobs"
    out = command(place, shared_ray, "up", "--workers", "0:1", "--app", app)
    assert "pool default: 0 to 1 workers" in out
    q = place.connect()
    assert q.enqueue(trial_jobs.add, 1, 2).result(60) == 3
    status = json.loads(command(place, shared_ray, "status", "--json"))
    [pool] = status["pools"]
    assert (pool["pool"], pool["max"], pool["state"]) == ("default", 1, "working")
    q.close()
    assert "down" in command(place, shared_ray, "down")
    listed = json.loads(command(place, shared_ray, "pools", "list", "--json"))
    [pool] = listed["pools"]
    assert pool["state"] == "suspended"


def test_pools_are_set_changed_and_deleted_and_a_worker_is_let_go(
    place: Place, shared_ray: str
) -> None:
    app = ("--app", "tests.cluster.trial_jobs")
    with place.connect() as q:
        out = command(place, shared_ray, "pools", "set", "mail", "post", "-w", "1:2", *app)
        assert "pool mail: 1 to 2 workers of concurrency 1 for post" in out
        [before] = eventually(q.worker_health, "a worker comes")
        command(place, shared_ray, "pools", "set", "mail", "--cool-down", "1s", *app)
        stored = q.pools.get("mail")
        assert stored is not None
        assert stored.pool is not None
        assert (stored.pool.queues, stored.pool.cool_down) == (("post",), 1.0), "the rest stays"
        [before] = eventually(
            lambda: [w for w in q.worker_health() if w.state == "working"], "it has settled"
        )
        gate = place.base / "gate"
        busy = trial_jobs.waits_for.options(queue="post").enqueue(str(place.witness), str(gate))
        eventually(lambda: busy.status() == "processing", "it is busy")
        assert "leaves" in command(place, shared_ray, "workers", "drain", before.id)
        gate.touch()
        assert busy.result(60)
        eventually(lambda: before.id not in {w.id for w in q.worker_health()}, "it leaves")
        eventually(q.worker_health, "the pool has another one")
        assert busy.info().losses == 0
        assert "deleted" in command(place, shared_ray, "pools", "delete", "mail")
        assert "no such pool" in command(place, shared_ray, "pools", "delete", "mail")
        eventually(lambda: not q.worker_health(), "they go with it")


ATTACHED = """
    import time
    import taskqueue_ray as tq
    from tests.cluster import trial_jobs

    with tq.connect() as q, q.workers(min=2, max=2):
        print("workers", sorted(w.pid for w in q.worker_health()), flush=True)
        time.sleep(600)
"""


def test_workers_end_with_a_program_that_is_killed_and_their_jobs_run_elsewhere(
    programs: Programs, place: Place, shared_ray: str
) -> None:
    gate = place.base / "gate"
    with place.connect() as q:
        program = programs.start(ATTACHED, RAY_ADDRESS=shared_ray)
        program.says("workers")
        assert len(q.worker_health()) == 2
        job = q.enqueue(trial_jobs.waits_for, str(place.witness), str(gate))
        eventually(lambda: job.status() == "processing", "one is busy")
        program.kill()
        eventually(lambda: not q.worker_health(), "both end")
        gate.touch()
        with q.workers():
            assert job.result(60)
        assert job.info().losses <= 2, "one for each worker that it can have been with"
        assert job.info().attempts == 1
