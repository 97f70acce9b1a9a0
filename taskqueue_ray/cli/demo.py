"""`taskqueue demo`: real work through the queue, with a `kill -9` of the queue in the middle."""

import os
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taskqueue_ray.cli.demo_jobs import (
    QUEUE,
    Digest,
    digest,
    digest_file,
    library_files,
    take_the_process_down,
)
from taskqueue_ray.cli.demo_report import Findings, report
from taskqueue_ray.cli.failures import FAILED
from taskqueue_ray.cli.meter import Meter, open_meter
from taskqueue_ray.cli.opening import client, settings_of
from taskqueue_ray.cli.options import Json
from taskqueue_ray.cli.render import print_json, say
from taskqueue_ray.core.errors import JobFailed, TaskQueueError
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.policies import Backoff, Priority
from taskqueue_ray.sdk.waiting import as_completed

if TYPE_CHECKING:
    from taskqueue_ray.cluster.bootstrap import Connection

EXECUTORS = 2
FAIL_FIRST = 5
KILL_AFTER = 0.4
"""The part of the jobs that have ended when the queue actor is killed."""

PATIENCE = 120.0
_RETRY = Backoff.fixed("200ms")


@dataclass(slots=True)
class Kill:
    """One kill of the queue actor. Times in seconds."""

    pid: int = 0
    recovery: float = 0.0
    epochs: tuple[int, int] = (0, 0)
    problem: str = ""
    thread: threading.Thread | None = field(default=None, repr=False)


def demo(
    files: Annotated[
        int | None, typer.Option(min=20, help="Digest only so many files, evenly chosen")
    ] = None,
    storage: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="An empty folder for the queue")
    ] = None,
    json: Json = False,
) -> None:
    """Digest Python's own library with a queue that is killed in the middle (under a minute)."""
    began = time.perf_counter()
    paths = _chosen(library_files(), files)
    place = storage or Path(tempfile.mkdtemp(prefix="taskqueue-demo-")) / "queue"
    if not json:
        say(f"{len(paths):,} files of Python's standard library, a queue in {place}")
        say("starting a local Ray …", "dim")
    settings = settings_of(str(place), "local")
    with (
        client(settings) as (queue, connection),
        queue.workers([QUEUE], min=1, max=1, concurrency=EXECUTORS),
    ):
        findings = _run(queue, connection, paths, quiet=json)
    findings.seconds_in_all = time.perf_counter() - began
    if json:
        print_json(findings.document())
    else:
        report(findings, str(place))
    if findings.problems:
        raise typer.Exit(FAILED)


def _run(queue: TaskQueue, connection: "Connection", paths: list[str], *, quiet: bool) -> Findings:
    began = time.perf_counter()
    failing = set(paths[:: max(1, len(paths) // FAIL_FIRST)][:FAIL_FIRST])
    handles = queue.enqueue_many(_item(path, n, path in failing) for n, path in enumerate(paths))
    poison = queue.enqueue(take_the_process_down.options(backoff=_RETRY, priority=Priority.URGENT))
    enqueued = time.perf_counter() - began
    kill = Kill()
    with open_meter("digests", len(paths) + 1, quiet=quiet) as meter:
        _await(connection, [*handles, poison], meter, kill)
    seconds = time.perf_counter() - began
    if kill.thread is not None:
        kill.thread.join(PATIENCE)
    from taskqueue_ray.cluster.probe import fold

    if not quiet:
        say("checking against a direct loop over the same files …", "dim")
    results, lost = _results(handles)
    direct = {path: digest(path) for path in paths}
    # So that whoever looks at the Parquet files next finds all of it there.
    fold(connection.handle)
    counts = queue.stats(QUEUE)
    return Findings(
        direct=direct,
        queued=dict(zip(paths, results, strict=True)),
        lost=lost,
        counts={state.value: count for state, count in counts.counts.items()},
        retries=counts.retries,
        expected_retries=len(failing) + 1,
        poison=_fate(poison),
        rows=len(queue.history()),
        enqueue_seconds=enqueued,
        seconds=seconds,
        kill_pid=kill.pid,
        recovery=kill.recovery,
        epochs=kill.epochs,
        kill_problem=kill.problem,
    )


def _chosen(paths: list[str], count: int | None) -> list[str]:
    return paths if count is None else paths[:: max(1, len(paths) // count)][:count]


def _item(path: str, number: int, fails: bool) -> Any:
    """One file as a job, of one of three priorities."""
    priority = (Priority.LOW, Priority.NORMAL, Priority.HIGH)[number % 3]
    options = digest_file.options(priority=priority, backoff=_RETRY)
    return options.item(path, fail_first=fails)


def _await(
    connection: "Connection", handles: "list[JobHandle[Any]]", meter: Meter, kill: Kill
) -> None:
    """Follow the jobs as they end, and kill the queue actor when some have."""
    deadline = int(len(handles) * KILL_AFTER)
    for count, _ in enumerate(as_completed(handles, timeout=PATIENCE, progress=False), start=1):
        meter.advance()
        if count == deadline:
            kill.thread = threading.Thread(
                target=_kill_the_queue, args=(connection, meter, kill), daemon=True
            )
            kill.thread.start()


def _kill_the_queue(connection: "Connection", meter: Meter, kill: Kill) -> None:
    """What a crash does, and how long the queue is away after it."""
    from taskqueue_ray.cluster.probe import ping

    try:
        before = ping(connection.handle)
        kill.pid = before.pid
        os.kill(before.pid, signal.SIGKILL)
        began = time.perf_counter()
        meter.note(f"kill -9 {before.pid}: the queue actor is dead, its jobs are on disk")
        connection.handle.call("stats", b"\xc0", PATIENCE)
        kill.recovery = time.perf_counter() - began
        kill.epochs = (before.epoch, ping(connection.handle).epoch)
        meter.note(f"recovered after {kill.recovery:.1f} s; the work goes on")
    except TaskQueueError as error:
        kill.problem = str(error)


def _results(handles: "list[JobHandle[Digest]]") -> tuple[list[Digest | None], list[str]]:
    results: list[Digest | None] = []
    lost: list[str] = []
    for handle in handles:
        try:
            results.append(Digest(*handle.result(timeout=PATIENCE)))
        except TaskQueueError as error:
            results.append(None)
            lost.append(str(error))
    return results, lost


def _fate(poison: "JobHandle[None]") -> str:
    try:
        poison.result(timeout=PATIENCE)
    except JobFailed as error:
        return f"{error.error_type} after {error.fields['attempts']} attempts"
    return "completed"
