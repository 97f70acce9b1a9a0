"""`taskqueue quotas …`: ceilings on what workers hold."""

from dataclasses import asdict
from typing import Annotated

import typer

from taskqueue_ray.cli.opening import client, reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import print_json, print_table, say
from taskqueue_ray.core.quotas import parse_quota

COLUMNS = ("resource", "queue", "quota", "ceiling", "held")

Resource = Annotated[
    str, typer.Argument(metavar="RESOURCE", help="cpu, gpu, memory or a custom resource")
]
OfQueue = Annotated[
    str | None, typer.Option("--queue", "-q", help="Only workers that serve this queue")
]

app = typer.Typer(no_args_is_help=True, help="Ceilings on what workers hold.")


@app.command("list")
def list_quotas(storage: Storage = None, address: Address = None, json: Json = False) -> None:
    """List the quotas, and how far each is used."""
    with reader(settings_of(storage, address)) as found:
        quotas = found.quotas.list()
    if json:
        print_json([asdict(one) for one in quotas])
    else:
        print_table(quotas.rows(), COLUMNS, empty="no quotas", right=COLUMNS[2:])


@app.command("set")
def set_quota(
    resource: Resource,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="4, 0.5, 1GB, or 80%")],
    queue: OfQueue = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Put a ceiling on a resource, in place of the one that there is."""
    parse_quota(resource, amount, queue)  # refused before anything is opened
    with client(settings_of(storage, address)) as (found, _):
        quota = found.quotas.set(resource, amount, queue=queue)
    say(f"{resource}: {quota.amount:g}{'%' if quota.percent else ''}")


@app.command()
def delete(
    resource: Resource, queue: OfQueue = None, storage: Storage = None, address: Address = None
) -> None:
    """Take a ceiling away."""
    with client(settings_of(storage, address)) as (found, _):
        was = found.quotas.delete(resource, queue=queue)
    say("deleted" if was else "there was none")
