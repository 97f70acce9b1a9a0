"""`taskqueue bench`: what the queue does on this machine, beside what Ray does."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from taskqueue_ray._version import VERSION
from taskqueue_ray.cli.bench import latency, memory, pools, throughput
from taskqueue_ray.cli.bench.effects import VARIABLE
from taskqueue_ray.cli.bench.jobs import QUEUE
from taskqueue_ray.cli.bench.results import Results
from taskqueue_ray.cli.bench.sizes import EXECUTORS, FULL, QUICK, Sizes
from taskqueue_ray.cli.opening import client, settings_of
from taskqueue_ray.cli.options import Json
from taskqueue_ray.cli.render import console, print_json, print_table, say
from taskqueue_ray.core.settings import MIB
from taskqueue_ray.sdk.client import TaskQueue

if TYPE_CHECKING:
    from taskqueue_ray.cluster.bootstrap import Connection

PAUSE = 0.02
"""Seconds before each call to an idle system: its processes sleep."""

WARM_UP = 20
COLUMNS = ("measure", "median", "from_to", "ratio", "to")


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of it, to see it work")] = False,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Interleaved; medians count")] = 1,
    folder: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The disk to try: a folder on it")
    ] = None,
    json: Json = False,
) -> None:
    """Measure throughput, latency, memory and recovery, in a Ray and a folder of its own."""
    sizes = QUICK if quick else FULL
    results = Results()
    with _place(folder) as place:
        for number in range(repeat):
            _tell(f"run {number + 1} of {repeat}: starting Ray")
            results.add(_one_run(place / str(number), sizes))
    if json:
        print_json({**_circumstances(sizes, repeat), "figures": results.figures()})
        return
    print_table(results.rows(), COLUMNS, empty="", right=("median", "from_to", "ratio"))
    say(
        f"{sizes.jobs:,} jobs with 100 bytes of arguments, {EXECUTORS} executors, fsync and "
        f"encryption on; {sizes.backlog:,} waiting jobs; {os.cpu_count()} CPUs",
        "dim",
    )


def _one_run(place: Path, sizes: Sizes) -> dict[str, float]:
    """Everything once, the yardsticks included."""
    effects = place / "effects"
    effects.mkdir(parents=True)
    os.environ[VARIABLE] = str(effects)  # before Ray starts, so that its processes inherit it
    settings = settings_of(str(place / "queue"), "local")
    with client(settings) as (queue, _):
        run = _yardsticks(place, sizes)
        run |= _latency(queue, sizes)
        run |= _rates(queue, effects, sizes)
        run |= _burst(queue)
        _tell("backlog")
        with client(settings_of(str(place / "backlog"))) as (fresh, another):
            run |= _backlog(fresh, another, sizes)
    return run


def _yardsticks(place: Path, sizes: Sizes) -> dict[str, float]:
    from taskqueue_ray.cluster import yardsticks

    _tell("yardsticks")
    return {
        "raw_tasks": yardsticks.raw_tasks_per_second(sizes.raw_tasks),
        "fsync": 1000 * latency.fsync_seconds(place),
    }


def _latency(queue: TaskQueue, sizes: Sizes) -> dict[str, float]:
    """Of an idle system: before anything else has run."""
    from taskqueue_ray.cluster import yardsticks

    _tell("latency")
    workers = queue.workers([QUEUE], min=1, max=1, concurrency=EXECUTORS).start()
    try:
        with yardsticks.round_trip() as round_trip:
            latency.one_after_another(queue, round_trip, WARM_UP)
            found = latency.one_after_another(queue, round_trip, sizes.latency)
            idle = latency.one_after_another(queue, round_trip, sizes.latency // 4, pause=PAUSE)
        pipelined = latency.pipelined_enqueue(queue, sizes.latency)
    finally:
        workers.drain()
    return {
        "round_trip": 1000 * found.round_trip,
        "enqueue_p50": 1000 * found.enqueue,
        "result_p50": 1000 * found.result,
        "idle_round_trip": 1000 * idle.round_trip,
        "idle_result_p50": 1000 * idle.result,
        "pipelined_enqueue_p50": 1000 * pipelined,
    }


def _rates(queue: TaskQueue, effects: Path, sizes: Sizes) -> dict[str, float]:
    _tell("enqueueing")
    run = {
        "enqueue_one_by_one": throughput.enqueue_one_by_one(queue, sizes.one_by_one),
        "enqueue_pipeline": throughput.enqueue_in_pipeline(queue, sizes.jobs),
        "enqueue_many": throughput.enqueue_many(queue, sizes.jobs),
    }
    workers = queue.workers([QUEUE], min=1, max=1, concurrency=EXECUTORS)
    try:
        _tell("workers")
        run["drain"] = throughput.drain(queue, effects, workers.start)
        run["end_to_end"] = throughput.end_to_end(queue, effects, sizes.jobs)
        # After plain jobs: what others need is theirs.
        run["executor_memory"] = memory.executor_bytes(queue) / MIB
        run["vectorized"] = throughput.end_to_end(queue, effects, sizes.jobs, throughput.vectorized)
        _tell("conditions")
        run["unique"] = throughput.end_to_end(queue, effects, sizes.jobs, throughput.unique)
        run["fair"] = throughput.end_to_end(queue, effects, sizes.jobs, throughput.fair)
        queue.rate_limiter.set_limit("bench", 1_000_000_000, per=1)
        run["limited"] = throughput.end_to_end(queue, effects, sizes.naps, throughput.limited)
        run["fan_in"] = throughput.fan_in(queue, effects, sizes.fan_in)
        drained = partial(throughput.drain_behind_a_pause, queue, effects, sizes.jobs)
        run["drain_again"] = drained(throughput.plain)
        run["drain_fair"] = drained(throughput.fair)
        run["naps"] = throughput.end_to_end(queue, effects, sizes.naps, throughput.napping)
        _tell("actors")
        throughput.end_to_end(queue, effects, WARM_UP, throughput.in_actors)
        run["in_actors"] = throughput.end_to_end(queue, effects, sizes.jobs, throughput.in_actors)
        _tell("parked jobs")
        run["drain_parked"] = throughput.drain_beside_parked(
            queue, effects, sizes.jobs, sizes.backlog
        )
        _tell("a closed limit")
        run["beside_closed"] = throughput.beside_closed(queue, effects, sizes.jobs, sizes.closed)
    finally:
        workers.drain()
    return run


def _burst(queue: TaskQueue) -> dict[str, float]:
    from taskqueue_ray.cluster import yardsticks

    _tell("a pool without workers")
    burst, bare = pools.burst_on_an_empty_pool(queue, yardsticks.actor_start)
    return {"burst": 1000 * burst, "actor_start": 1000 * bare}


def _backlog(queue: TaskQueue, connection: "Connection", sizes: Sizes) -> dict[str, float]:
    per_job, recovery = memory.weigh_backlog(queue, connection, sizes.backlog)
    return {"waiting_job_memory": per_job, "recovery": recovery}


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="taskqueue-bench-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _circumstances(sizes: Sizes, repeat: int) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "version": VERSION,
        "ray": version("ray"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "executors": EXECUTORS,
        "fsync": True,
        "encryption": True,
        "repeat": repeat,
        "sizes": {name: getattr(sizes, name) for name in Sizes.__slots__},
    }


def _tell(step: str) -> None:
    """Progress goes to stderr, so that stdout is the document."""
    console(stderr=True).print(Text(f"bench: {step} …", "dim"))
