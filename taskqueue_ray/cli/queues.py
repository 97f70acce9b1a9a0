"""`taskqueue queues …`: look at queues, pause and resume them, give them settings of their own."""

from typing import Annotated, Any

import typer

from taskqueue_ray.cli.opening import client, reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import print_json, print_table, say
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import QueueSettings
from taskqueue_ray.core.retention import parse_retention
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.queues import PauseRecord

COLUMNS = (
    "queue",
    "pending",
    "processing",
    "failed",
    "paused",
    "max_depth",
    "weights",
    "retention",
)

Name = Annotated[str | None, typer.Argument(metavar="[QUEUE]", help="A queue")]
OfType = Annotated[str | None, typer.Option("--type", help="A job type, in all queues")]
WithTag = Annotated[str | None, typer.Option("--tag", help="A tag, in all queues")]

app = typer.Typer(no_args_is_help=True, help="Look at queues, pause them, set their limits.")


@app.command("list")
def list_queues(storage: Storage = None, address: Address = None, json: Json = False) -> None:
    """List the queues, what is set for each, and what is paused."""
    with reader(settings_of(storage, address)) as found:
        paused = found.queues.paused()
        rows = _rows(found, paused)
    others = [one for one in paused if one.kind != "queue"]
    if json:
        print_json({"queues": rows, "paused": [one._asdict() for one in paused]})
        return
    print_table(rows, COLUMNS, empty="no jobs yet", right=COLUMNS[1:4])
    for one in others:
        say(f"paused: {one.kind} {one.name}", "yellow")


@app.command()
def pause(
    queue: Name = None,
    type: OfType = None,
    tag: WithTag = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Start no more jobs of a queue, a type or a tag; what runs goes on."""
    with client(settings_of(storage, address)) as (found, _):
        begun = found.pause(queue, type=type, tag=tag)
    say("paused" if begun else "it was paused already")


@app.command()
def resume(
    queue: Name = None,
    type: OfType = None,
    tag: WithTag = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Start such jobs again."""
    with client(settings_of(storage, address)) as (found, _):
        ended = found.resume(queue, type=type, tag=tag)
    say("resumed" if ended else "it was not paused")


@app.command()
def configure(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="A queue")],
    max_depth: Annotated[
        int | None, typer.Option(min=-1, help="Jobs that may wait in it; -1: as all queues")
    ] = None,
    weight: Annotated[
        list[str] | None, typer.Option(metavar="KEY=N", help="Turns of a fair key; repeatable")
    ] = None,
    retention: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Keep its ended jobs so long: 7d, or completed=1h,failed=30d; default: as all",
        ),
    ] = None,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Give a queue settings of its own; what is not named stays."""
    given: dict[str, Any] = {}
    if max_depth is not None:
        given["max_depth"] = None if max_depth < 0 else max_depth
    if weight is not None:
        given["weights"] = dict(map(_weight, weight))
    if retention is not None:
        given["retention"] = None if retention == "default" else parse_retention(retention)
    with client(settings_of(storage, address)) as (found, _):
        settings = found.queues.configure(queue, **given)
    fields = {
        "queue": queue, "max_depth": settings.max_depth, "weights": settings.weights,
        "retention": _retention(settings),
    }  # fmt: skip
    if json:
        print_json(fields)
    else:
        say(", ".join(f"{name}: {value}" for name, value in fields.items()))


def _rows(found: TaskQueue, paused: list[PauseRecord]) -> list[dict[str, Any]]:
    since = {one.name: one.since for one in paused if one.kind == "queue"}
    settings = found.queues.all_settings()
    rows = []
    for counts in found.stats().rows():
        own = settings.get(counts["queue"], QueueSettings())
        row = {name: counts[name] for name in COLUMNS[:4]}
        row |= {"paused": since.get(counts["queue"]), "max_depth": own.max_depth}
        row["weights"] = " ".join(f"{key}={weight:g}" for key, weight in own.weights.items())
        row["retention"] = _retention(own)
        rows.append(row)
    return rows


def _retention(settings: QueueSettings) -> str | None:
    return None if settings.retention is None else str(settings.retention)


def _weight(text: str) -> tuple[str, float]:
    key, equals, number = text.rpartition("=")
    try:
        if not (key and equals):
            raise ValueError
        return key, float(number)
    except ValueError:
        raise InvalidOption("weight", ascii(text)[:80], "KEY=NUMBER, such as gold=3") from None
