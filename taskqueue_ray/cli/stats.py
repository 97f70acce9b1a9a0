"""`taskqueue stats` and `taskqueue status`: counts, and who serves them."""

import sys
from typing import Annotated, Any

import typer

from taskqueue_ray.cli.opening import key_file_of, reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.pools import print_pools
from taskqueue_ray.cli.render import console, print_fields, print_json, print_table
from taskqueue_ray.cli.top import follow
from taskqueue_ray.cli.top_screen import counts_of
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.ownership import live_owner, location_of
from taskqueue_ray.sdk.client import TaskQueue

COUNTS = ("total", *(state.value for state in JobState), "retries")
COLUMNS = ("queue", *COUNTS, "oldest_waiting")
WORKER_COLUMNS = (
    "worker", "queues", "concurrency", "held", "running", "seen_ago", "state", "host", "pid",
)  # fmt: skip


def stats(
    queue: Annotated[str | None, typer.Argument(help="Only this queue")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again each second; q ends it")
    ] = False,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Show how many jobs each queue has, by state."""
    settings = settings_of(storage, address)
    if watch and not json and console().is_terminal:
        follow(settings, lambda look, width, height: counts_of(look, queue, width, height))
        return
    with reader(settings) as found:
        if json:
            print_json({"storage": found.location, "queues": rows_of(found, queue)})
        else:
            print_stats(found, queue)


def rows_of(found: TaskQueue, queue: str | None) -> list[dict[str, Any]]:
    """The counts of one queue or of all."""
    return [found.stats(queue).row()] if queue else found.stats().rows()


def print_stats(found: TaskQueue, queue: str | None = None) -> None:
    """The counts as a table."""
    rows = _compact(rows_of(found, queue))
    print_table(rows, COLUMNS, empty=f"no jobs yet in {found.location}", right=COUNTS)


def _compact(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the columns that are zero everywhere, except those that everybody looks for."""
    always = {"queue", "total", "pending", "processing", "completed", "failed", "oldest_waiting"}
    return [
        {name: value for name, value in row.items() if name in always or any(r[name] for r in rows)}
        for row in rows
    ]


def metrics(storage: Storage = None, address: Address = None) -> None:
    """Print all metrics as text for Prometheus."""
    with reader(settings_of(storage, address)) as found:
        sys.stdout.write(found.prometheus())


def status(storage: Storage = None, address: Address = None, json: Json = False) -> None:
    """Show the storage, who has it open, the pools and the workers."""
    settings = settings_of(storage, address)
    location = location_of(settings)
    owner = live_owner(location, settings)
    keyring = keyring_of(settings)
    facts: dict[str, Any] = {
        "storage": str(location),
        "owner": str(owner.record) if owner else None,
        "running": owner is not None,
        "keys": list(keyring.ids) if keyring else [],
        "key_file": None if settings.encryption_keys else str(key_file_of(settings)),
    }
    workers: list[dict[str, Any]] = []
    pools: list[dict[str, Any]] = []
    if owner is not None:
        with reader(settings) as found:
            workers = found.worker_health().rows()
            pools = found.pools.list().rows()
    if json:
        print_json({**facts, "pools": pools, "workers": workers})
        return
    print_fields({**facts, "owner": facts["owner"] or "nobody: jobs wait until somebody connects"})
    if owner is not None:
        if pools:
            print_pools(pools)
        for worker in workers:
            worker["seen_ago"] = f"{worker['seen_ago']:.1f} s"
            worker["pid"] = str(worker["pid"])
        print_table(workers, WORKER_COLUMNS, empty="no workers: start some with `taskqueue work`")
