"""Four jobs share a GPU by quarters; each process loads the model once and keeps it.

Ray counts the GPU that it is told of, so this runs on a machine without one. On a machine with one
leave out `num_gpus`: Ray finds it, and CUDA in these processes sees no other.
"""

import os
import time
from typing import Any

import ray

import taskqueue_ray as tq


class Embed(tq.Job):
    """Turns a text into numbers."""

    queue = "embeddings"
    executor = "process"
    num_gpus = 0.25  # what one run needs

    def setup(self) -> None:
        """Runs once in each process, before its first job."""
        self.gpu = os.environ["CUDA_VISIBLE_DEVICES"]
        self.model = {letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
        self.loaded_at = time.time()  # self.model = load_model("…").to("cuda")

    def handle(self) -> dict[str, Any]:
        began = time.time()
        vector = [self.model[letter] for letter in self.payload["text"] if letter in self.model]
        time.sleep(0.3)
        return {
            "vector": vector, "gpu": self.gpu, "model": (os.getpid(), self.loaded_at),
            "began": began, "ended": time.time(),
        }  # fmt: skip


def most_at_a_time(runs: list[dict[str, Any]]) -> int:
    """How many runs there were at the busiest moment."""
    at_once: list[int] = [
        sum(r["began"] <= run["began"] < r["ended"] for r in runs) for run in runs
    ]
    return max(at_once)


TEXTS = [f"text number {number}" for number in range(24)]

ray.init(num_cpus=3, num_gpus=1, include_dashboard=False, log_to_driver=False)
with tq.connect() as q:
    # One worker with four places, a quarter of a GPU each.
    with q.workers(["embeddings"], min=0, max=1, concurrency=4):
        handles: list[tq.JobHandle[dict[str, Any]]] = q.enqueue_many(
            Embed({"text": text}) for text in TEXTS
        )
        runs = tq.gather(*handles, timeout=90)
        [worker] = q.worker_health()
        print(f"the worker holds {worker.concurrency} times {worker.shape}")

    models = {tuple(run["model"]) for run in runs}
    print(f"GPUs seen: {sorted({run['gpu'] for run in runs})}")
    print(f"{len(runs)} texts, {most_at_a_time(runs)} at a time, {len(models)} models loaded")
    assert {run["gpu"] for run in runs} == {"0"}
    assert most_at_a_time(runs) <= 4
    assert len(models) <= 4
ray.shutdown()
