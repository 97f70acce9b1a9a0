"""`taskqueue workers …`: who works, and who is to leave."""

from typing import Annotated

import typer

from taskqueue_ray.cli.opening import client, reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import print_json, print_table, say
from taskqueue_ray.core.errors import InvalidOption

COLUMNS = (
    "worker", "pool", "queues", "shape", "concurrency", "held", "running", "seen_ago", "state",
    "host", "pid", "grown",
)  # fmt: skip

app = typer.Typer(no_args_is_help=True, help="Look at workers, and let them leave.")


@app.command("list")
def list_workers(storage: Storage = None, address: Address = None, json: Json = False) -> None:
    """List the workers, what they hold, and whose memory grew."""
    with reader(settings_of(storage, address)) as found:
        rows = found.worker_health().rows()
    if json:
        print_json({"workers": rows})
        return
    for row in rows:
        row["seen_ago"], row["pid"] = f"{row['seen_ago']:.1f} s", str(row["pid"])
    columns = [
        name for name in COLUMNS if name not in ("shape", "grown") or any(r[name] for r in rows)
    ]
    print_table(rows, columns, empty="no workers: start some with `taskqueue work`")


@app.command()
def drain(
    workers: Annotated[
        list[str], typer.Argument(metavar="WORKER...", help="Ids of workers, or their beginnings")
    ],
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Let workers finish what they run, take nothing more, and leave."""
    with client(settings_of(storage, address)) as (found, _):
        known = [one.id for one in found.worker_health()]
        for text in workers:
            fitting = [one for one in known if one == text or one.startswith(text)]
            if len(fitting) != 1:
                accepts = (
                    f"the id of one worker, or its beginning: {', '.join(known) or 'none here'}"
                )
                raise InvalidOption("worker", ascii(text)[:80], accepts)
            found.drain_worker(fitting[0])
            say(f"{fitting[0]} finishes what it runs and leaves")
