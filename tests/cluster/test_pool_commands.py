"""`taskqueue up`, `status` and `down` on a running cluster, as a shell has them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cluster import trial_jobs
from tests.cluster.place import Place

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
