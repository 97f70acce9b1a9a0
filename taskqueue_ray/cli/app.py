"""The command `taskqueue` (short: `tq`): its commands, and how it starts and ends."""

import sys
from typing import Annotated

import click
import typer
from typer.main import get_command

from taskqueue_ray._version import VERSION
from taskqueue_ray.cli import jobs, keys, storage
from taskqueue_ray.cli.bench.command import bench
from taskqueue_ray.cli.demo import demo
from taskqueue_ray.cli.failures import be_verbose, exit_code_of
from taskqueue_ray.cli.render import say
from taskqueue_ray.cli.stats import stats, status
from taskqueue_ray.cli.trial import test
from taskqueue_ray.cli.work import work

app = typer.Typer(
    name="taskqueue",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks of errors")]


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


for command in (demo, test, work, stats, status, bench):
    app.command()(command)
app.add_typer(jobs.app, name="jobs")
app.add_typer(storage.app, name="storage")
app.add_typer(keys.app, name="keys")
# The names of the original tool.
app.command("queue:work", hidden=True)(work)
app.command("queue:test", hidden=True)(test)


@app.command("list")
def list_commands() -> None:
    """List all commands."""
    for path, command in _walk(get_command(app), ()):
        say(f"{' '.join(path):<20} {command.get_short_help_str(80)}")


@app.command("help")
def show_help(
    command: Annotated[
        list[str] | None, typer.Argument(help="A command, such as jobs list")
    ] = None,
) -> None:
    """Show the help of a command."""
    found: click.Command = get_command(app)
    context = click.Context(found, info_name="taskqueue")
    for word in command or ():
        inner = found.get_command(context, word) if isinstance(found, click.Group) else None
        if inner is None:
            raise click.UsageError(f"there is no command {' '.join(command or ())!r}")
        found, context = inner, click.Context(inner, info_name=word, parent=context)
    print(found.get_help(context))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code. 0 done, 1 failed, 2 usage."""
    words = sys.argv[1:] if arguments is None else arguments
    command = get_command(app)
    return exit_code_of(lambda: command.main(words, prog_name="taskqueue", standalone_mode=False))


def _walk(
    command: click.Command, path: tuple[str, ...]
) -> list[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        return [(path, command)]
    return [
        found
        for name, inner in command.commands.items()
        if not inner.hidden
        for found in _walk(inner, (*path, name))
    ]
