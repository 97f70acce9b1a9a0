"""The command `taskqueue` (short: `tq`): its commands, and how it starts and ends."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.main import get_command

from taskqueue_ray._version import VERSION
from taskqueue_ray.cli import (
    alerts,
    dashboard,
    jobs,
    keys,
    limits,
    nodes,
    pools,
    queues,
    quotas,
    schedules,
    storage,
    workers,
)
from taskqueue_ray.cli.bench.command import bench
from taskqueue_ray.cli.demo import demo
from taskqueue_ray.cli.doctor import doctor
from taskqueue_ray.cli.enqueue import enqueue
from taskqueue_ray.cli.failures import be_verbose, exit_code_of
from taskqueue_ray.cli.render import say
from taskqueue_ray.cli.service import down, up
from taskqueue_ray.cli.stats import metrics, stats, status
from taskqueue_ray.cli.top import top
from taskqueue_ray.cli.trial import enqueue_tests
from taskqueue_ray.cli.work import work

app = typer.Typer(
    name="taskqueue",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show tracebacks of errors and the whole log")
]


@app.callback(invoke_without_command=True)
def taskqueue(
    verbose: Verbose = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version")] = False,
) -> None:
    """A durable job queue on Ray: a folder, no broker, nothing acknowledged is lost."""
    be_verbose(verbose)
    if version:
        print(VERSION)
        raise typer.Exit


for command in (demo, work, enqueue, stats, status, bench, doctor, up, down):
    app.command()(command)
app.command()(top)
app.command()(metrics)
app.command("test")(enqueue_tests)
app.add_typer(jobs.app, name="jobs")
app.add_typer(queues.app, name="queues")
app.add_typer(storage.app, name="storage")
app.add_typer(keys.app, name="keys")
app.add_typer(schedules.app, name="schedule")
app.add_typer(nodes.app, name="nodes")
app.add_typer(quotas.app, name="quotas")
app.add_typer(alerts.app, name="alerts")
app.add_typer(pools.app, name="pools")
app.add_typer(workers.app, name="workers")
app.add_typer(limits.app, name="limits")
app.add_typer(dashboard.app, name="dashboard")
# The names of the original tool.
app.command("queue:work", hidden=True)(work)
app.command("queue:test", hidden=True)(enqueue_tests)
app.add_typer(schedules.app, name="schedule:manage", hidden=True)
app.command("dashboard:serve", hidden=True)(dashboard.serve)


@app.command("list")
def list_commands() -> None:
    """List all commands."""
    for path, command in _walk(_command(), ()):
        say(f"{' '.join(path):<20} {command.get_short_help_str(80)}")


@app.command("help")
def show_help(
    command: Annotated[
        list[str] | None, typer.Argument(help="A command, such as jobs list")
    ] = None,
) -> None:
    """Show the help of a command."""
    _command().main([*(command or ()), "--help"], prog_name="taskqueue")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code: 0 done, 1 failed, 2 usage."""
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code_of(lambda: _command().main(words, prog_name="taskqueue"))


def _command() -> Any:
    # Typed loosely: newer versions of typer have classes of their own where older use click's.
    return get_command(app)


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner: dict[str, Any] | None = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, one in inner.items():
        if not one.hidden:
            yield from _walk(one, (*path, name))
