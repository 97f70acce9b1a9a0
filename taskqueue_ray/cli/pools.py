"""`taskqueue pools …`: workers that are kept running with the queue."""

import json as text_json
from typing import Annotated, Any

import typer

from taskqueue_ray.cli.opening import client, look_for, reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage, worker_range
from taskqueue_ray.cli.render import print_json, print_table, say, warn
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.pool import Pool

COLUMNS = (
    "pool", "queues", "min", "max", "concurrency", "wanted", "ready", "starting", "draining",
    "state",
)  # fmt: skip
NUMBERS = COLUMNS[2:9]

app = typer.Typer(no_args_is_help=True, help="Keep workers running, as many as jobs need.")

Name = Annotated[str, typer.Argument(metavar="POOL", help="A pool")]
Workers = Annotated[
    str | None, typer.Option("--workers", "-w", metavar="N|MIN:MAX", help="How many")
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", "-c", help="Executors of each worker")
]
Wait = Annotated[
    str | None, typer.Option(metavar="TIME", help="Jobs are to wait no longer than this")
]
CoolDown = Annotated[
    str | None, typer.Option(metavar="TIME", help="A worker that is not needed stays so long")
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="JSON|auto",
        help="What a worker holds for each executor, such as '{\"num_gpus\": 0.5}'; repeatable",
    ),
]
App = Annotated[
    list[str] | None, typer.Option(metavar="MODULE", help="Defines jobs [TASKQUEUE_APP]")
]


@app.command("list")
def list_pools(storage: Storage = None, address: Address = None, json: Json = False) -> None:
    """List the pools, and how many workers each wants and has."""
    with reader(settings_of(storage, address)) as found:
        rows = found.pools.list().rows()
    if json:
        print_json({"pools": rows})
    else:
        print_pools(rows)


def print_pools(rows: list[dict[str, Any]]) -> None:
    """A table of pools, and what hinders them."""
    print_table(rows, COLUMNS, empty="no pools: set one with `taskqueue up`", right=NUMBERS)
    for row in rows:
        if row["problem"]:
            say(f"{row['pool']}: {row['problem']}", "yellow")


@app.command("set")
def set_pool(
    name: Name,
    queues: Annotated[
        list[str] | None, typer.Argument(metavar="[QUEUE]...", help="Its queues; none: all")
    ] = None,
    *,
    workers: Workers = None,
    concurrency: Concurrency = None,
    target_wait: Wait = None,
    cool_down: CoolDown = None,
    shape: ShapeOption = None,
    app_modules: Annotated[
        list[str] | None, typer.Option("--app", metavar="MODULE", help="Defines jobs")
    ] = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Make a pool, or change it; what is not named stays."""
    given = options_of(queues, workers, concurrency, target_wait, cool_down, shape)
    settings = settings_of(storage, address, app=app_modules or None)
    look_for(settings.app)
    with client(settings) as (found, connection):
        say(words_of(found.pools.set(name, **given)))
        if connection.started_ray:
            warn("this command has started the queue, which ends with it: see `taskqueue up`")


@app.command("delete")
def delete_pool(name: Name, storage: Storage = None, address: Address = None) -> None:
    """Delete a pool; its workers finish what they run."""
    with client(settings_of(storage, address)) as (found, _):
        deleted = found.pools.delete(name)
    say("deleted" if deleted else "there is no such pool")


def options_of(
    queues: list[str] | None,
    workers: str | None,
    concurrency: int | None,
    target_wait: str | None,
    cool_down: str | None,
    shape: list[str] | None,
) -> dict[str, Any]:
    """What was given on the command line, as `q.pools.set` takes it."""
    given: dict[str, Any] = {
        "queues": queues or None, "concurrency": concurrency, "target_wait": target_wait,
        "cool_down": cool_down,
    }  # fmt: skip
    if workers:
        given["min"], given["max"] = worker_range(workers)
    if shape:
        given["shapes"] = "auto" if shape == ["auto"] else [_shape(one) for one in shape]
    return {name: value for name, value in given.items() if value is not None}


def words_of(pool: Pool) -> str:
    """A pool in a line."""
    return (
        f"pool {pool.name}: {pool.minimum} to {pool.maximum} workers of concurrency "
        f"{pool.concurrency} for {', '.join(pool.queues) or 'all queues'}"
    )


def _shape(text: str) -> Any:
    try:
        return text_json.loads(text)
    except ValueError:
        accepts = "JSON such as '{\"num_gpus\": 0.5}', or auto"
        raise InvalidOption("shape", ascii(text)[:80], accepts) from None
