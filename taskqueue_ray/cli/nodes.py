"""`taskqueue nodes …`: look at the nodes of the cluster, cordon, drain and readmit them."""

from dataclasses import asdict
from typing import Annotated

import typer

from taskqueue_ray.cli.opening import client, reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import print_json, print_table, say
from taskqueue_ray.core.placement import check_strategy
from taskqueue_ray.core.timing import parse_duration
from taskqueue_ray.sdk.nodes import NodeRecord

COLUMNS = (
    "node", "name", "state", "address", "host", "cpus", "gpus", "workers", "running", "memory",
    "weight", "capabilities", "last_seen",
)  # fmt: skip

Node = Annotated[
    str, typer.Argument(metavar="NODE", help="Its id, the beginning of one, a name or an address")
]

app = typer.Typer(no_args_is_help=True, help="Look at nodes; cordon, drain and readmit them.")


@app.command("list")
def list_nodes(storage: Storage = None, address: Address = None, json: Json = False) -> None:
    """List the nodes, what they have, and what workers do on them."""
    with reader(settings_of(storage, address)) as found:
        nodes = found.nodes.list()
    if json:
        print_json([asdict(node) for node in nodes])
    else:
        print_table(nodes.rows(), COLUMNS, empty="no nodes", right=COLUMNS[5:11])


@app.command()
def register(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of yours for the node")],
    at: Annotated[str, typer.Option("--at", metavar="HOST", help="Its address or host")] = "",
    port: Annotated[int, typer.Option(help="Where its Ray listens, if several are there")] = 0,
    capability: Annotated[
        list[str] | None, typer.Option("--capability", "-c", help="What it can do; repeatable")
    ] = None,
    weight: Annotated[float, typer.Option(help="Its share under the strategy weighted")] = 1.0,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Say more of a node than Ray knows: a name, capabilities, a weight."""
    with client(settings_of(storage, address)) as (found, _):
        found.nodes.register(
            name, address=at, port=port, capabilities=capability or (), weight=weight
        )
    say(f"registered {name}")


@app.command()
def unregister(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A registered name")],
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Take a registration back."""
    with client(settings_of(storage, address)) as (found, _):
        was = found.nodes.unregister(name)
    say("unregistered" if was else "it was not registered")


@app.command()
def cordon(node: Node, storage: Storage = None, address: Address = None) -> None:
    """No more jobs and no new workers for a node; what runs there goes on."""
    with client(settings_of(storage, address)) as (found, _):
        _tell(found.nodes.cordon(node))


@app.command()
def drain(
    node: Node,
    within: Annotated[
        str | None, typer.Option(metavar="TIME", help="What runs longer is given back: 30s, 5m")
    ] = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Cordon a node and have its workers leave; no attempt is counted."""
    if within is not None:
        parse_duration(within, "within")  # refused before anything is opened
    with client(settings_of(storage, address)) as (found, _):
        _tell(found.nodes.drain(node, within=within))


@app.command()
def fence(node: Node, storage: Storage = None, address: Address = None) -> None:
    """Take back all leases of a node that is cut off; what it still says is refused."""
    with client(settings_of(storage, address)) as (found, _):
        _tell(found.fault_tolerance.handle_network_partition(node, True))


@app.command()
def readmit(node: Node, storage: Storage = None, address: Address = None) -> None:
    """Give a node jobs and workers again."""
    with client(settings_of(storage, address)) as (found, _):
        _tell(found.nodes.readmit(node))


@app.command()
def select(
    capability: Annotated[
        list[str] | None, typer.Argument(metavar="[CAPABILITY]...", help="What it must have")
    ] = None,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Choose an open node that has all of these, by the strategy."""
    with client(settings_of(storage, address)) as (found, _):
        node = found.load_balancer.select_node(capability or ())
    if json:
        print_json(asdict(node))
    else:
        say(node.id)


@app.command()
def strategy(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[STRATEGY]",
            help="round_robin, least_connections, weighted, spread or pack; none: show it",
        ),
    ] = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Show or set how nodes are chosen for workers."""
    settings = settings_of(storage, address)
    if name is None:
        with reader(settings) as looked:
            say(looked.load_balancer.strategy)
        return
    check_strategy(name)  # refused before anything is opened
    with client(settings) as (found, _):
        say(found.load_balancer.set_strategy(name))


def _tell(node: NodeRecord) -> None:
    say(f"{node.id[:12] or node.name}: {node.state}, {len(node.workers)} workers")
