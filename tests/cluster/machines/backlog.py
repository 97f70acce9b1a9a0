"""A pool meets a backlog on a cluster whose autoscaler is real; prints what happens, a fact a line.

Run by `autoscaler.sh`, beside its Ray.
"""

import os
from pathlib import Path

import ray

import taskqueue_ray as tq
from taskqueue_ray.cluster.config import NAMESPACE
from tests.cluster import trial_jobs
from tests.cluster.patience import eventually

ROOM = trial_jobs.waits_for.options(executor="process", num_cpus=1, resources={"room": 1})


def nodes() -> set[str]:
    """The nodes that the autoscaler has added."""
    return {node["NodeID"] for node in ray.nodes() if node["Alive"] and "room" in node["Resources"]}


def say(what: str, fact: object) -> None:
    """One line for the test."""
    print(f"{what}: {fact}", flush=True)


def main() -> None:
    """From nothing to two nodes and back."""
    ray.init(address="auto", namespace=NAMESPACE, log_to_driver=False)
    home = Path(os.environ["HOME"])
    gate = home / "gate"
    say("nodes before", len(nodes()))
    with tq.connect(home / "queue", key_file=str(home / "key")) as q:
        q.pools.set("rooms", min=0, max=4, shapes="auto", cool_down="1s", target_wait="2s")
        arguments = (str(home / "witness"), str(gate), 60.0)
        handles = q.enqueue_many(ROOM.item(*arguments) for _ in range(8))
        eventually(lambda: len(nodes()) == 2, "two nodes come", 60.0)
        say("nodes for the backlog", len(nodes()))
        added = nodes()
        eventually(lambda: len(q.worker_health()) == 4, "four workers come", 60.0)
        eventually(lambda: sum(len(one.running) for one in q.worker_health()) == 4, "they run")
        say("workers on them", sum(worker.node in added for worker in q.worker_health()))
        say("nodes of work", len({worker.node for worker in q.worker_health()}))
        gate.touch()
        say("jobs done", len([handle.result(60.0) for handle in handles]))
        eventually(lambda: not q.worker_health(), "the workers go", 60.0)
        say("workers after", len(q.worker_health()))
        eventually(lambda: not nodes(), "the nodes go", 60.0)
        say("nodes after", len(nodes()))
        losses = [(info.attempts, info.losses) for info in (handle.info() for handle in handles)]
        say("runs and losses", set(losses))
        say("pool", q.pools.list()[0].row()["state"])
        q.pools.delete("rooms")


if __name__ == "__main__":
    main()
