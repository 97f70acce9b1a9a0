"""`taskqueue test`: jobs to try a queue with."""

from typing import Annotated, Any

import typer

from taskqueue_ray.cli.opening import client, reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import print_json, say
from taskqueue_ray.cli.stats import print_stats, rows_of
from taskqueue_ray.sdk.handle import JobHandle


def enqueue_tests(
    *,
    jobs: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="How many; 0 prints statistics")
    ] = 10,
    queue: Annotated[str, typer.Option("--queue", "-q", help="The queue they go to")] = "default",
    priority: Annotated[int, typer.Option(help="0 to 100; a higher one runs sooner")] = 5,
    delay: Annotated[str, typer.Option(metavar="TIME", help="Not before: 30, 30s, 5m")] = "0",
    sleep: Annotated[float, typer.Option(min=0, help="Seconds that each runs")] = 0.0,
    failures: Annotated[int, typer.Option("--fail", min=0, help="Attempts that fail first")] = 0,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Enqueue jobs that do next to nothing, to try the queue."""
    settings = settings_of(storage, address)
    if jobs == 0:
        with reader(settings) as found:
            if json:
                print_json({"storage": found.location, "queues": rows_of(found, None)})
            else:
                print_stats(found)
        return
    from taskqueue_ray.jobs import TestJob

    # Made before Ray is started: bad options are refused at once.
    made = [
        TestJob(
            {"echo": f"test job {number}", "sleep": sleep, "fail": failures},
            queue=queue, priority=priority, delay=delay,
        )
        for number in range(1, jobs + 1)
    ]  # fmt: skip
    with client(settings) as (found, connection):
        handles: list[JobHandle[Any]] = found.enqueue_many(made)
        location = found.location
    if json:
        print_json({"storage": location, "queue": queue, "ids": [one.id for one in handles]})
        return
    say(f"{len(handles):,} jobs are durable in {location}, queue {queue}")
    if connection.started_ray:
        say(f"run them:  taskqueue work {queue}" + (f" --storage {storage}" if storage else ""))
