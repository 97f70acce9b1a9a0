"""The doctor on a real queue: well, without workers, frozen, and on two nodes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import trial_jobs
from tests.cluster.place import Place
from tests.cluster.processes import is_alive, kill
from tests.cluster.programs import Programs

COMMAND = Path(sys.executable).parent / "taskqueue"


def _doctor(place: Place) -> tuple[int, list[str]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TASKQUEUE_KEY")}
    environment["TASKQUEUE_KEY_FILE"] = str(place.key_file)
    done = subprocess.run(
        [str(COMMAND), "doctor", "--json", "--storage", str(place.folder)],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, [one["what"] for one in json.loads(done.stdout)["problems"]]


def test_a_queue_that_is_well_and_one_whose_jobs_nobody_takes(place: Place) -> None:
    q = place.connect()
    with q.workers(["default"]):
        q.enqueue(trial_jobs.add, 1).result(timeout=60)
        health = q.health()
        assert health, str(health)
        assert health.facts.ping is not None
        assert health.facts.keys == health.facts.sealed_with
    waiting = q.enqueue(trial_jobs.add.options(queue="lonely"), 1)
    (problem,) = q.health().problems
    assert problem.what == "no workers for 1 jobs of lonely"
    assert problem.do == "start some: `taskqueue work lonely`"
    assert _doctor(place) == (1, [problem.what])
    waiting.cancel()
    assert _doctor(place) == (0, [])


def test_an_actor_that_does_not_answer(place: Place) -> None:
    place.connect()
    pid = place.ping().pid
    kill(pid, signal.SIGSTOP)
    try:
        assert _doctor(place) == (1, ["the queue does not answer"])
    finally:
        kill(pid, signal.SIGCONT)
    assert is_alive(pid)


SCRIPT = """
    import os
    import ray
    from ray.cluster_utils import Cluster
    import taskqueue_ray as tq
    from taskqueue_ray.cluster.config import NAMESPACE

    SMALL = {"object_store_memory": 80 << 20}

    if __name__ == "__main__":
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **SMALL})
        ray.init(address=cluster.address, namespace=NAMESPACE)
        os.environ["TASKQUEUE_ENCRYPTION_KEYS"] = "another key of 32 characters ..."
        cluster.add_node(num_cpus=1, **SMALL)
        del os.environ["TASKQUEUE_ENCRYPTION_KEYS"]
        cluster.wait_for_nodes()
        with tq.connect() as q:
            q.enqueue(tq.jobs.TestJob({}))
            health = q.health()
            (node,) = health.facts.nodes
            print("its clock", abs(node.skew) < 1.0 and node.unsure < 1.0)
            print("its version", node.version == tq.__version__)
            print([one.what.split(" on ")[0].split(" of ")[0] for one in health.problems])
        ray.shutdown()
        cluster.shutdown()
"""


@pytest.mark.slow
def test_the_other_node_says_its_time_its_version_and_its_keys(programs: Programs) -> None:
    text = programs.start(SCRIPT).succeeds(110)
    for line in (
        "its clock True",
        "its version True",
        "['no workers for 1 jobs', 'the key is missing']",
    ):
        assert line in text, text
