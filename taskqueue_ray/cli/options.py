"""Options that several commands share."""

from typing import Annotated

import typer

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.lifecycle import JobState

Storage = Annotated[
    str | None,
    typer.Option(
        "--storage", "-s", metavar="FOLDER", help="The queue's folder [TASKQUEUE_STORAGE]"
    ),
]
Address = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="The Ray cluster: auto, local, or an address"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]
State = Annotated[JobState | None, typer.Option(help="Only jobs in this state")]
Queue = Annotated[str | None, typer.Option("--queue", "-q", help="Only jobs of this queue")]
Type = Annotated[str | None, typer.Option("--type", help="Only jobs of this type")]
Tag = Annotated[str | None, typer.Option(help="Only jobs with this tag")]
Category = Annotated[str | None, typer.Option(help="Only jobs of this category")]
InWorkflow = Annotated[
    str | None, typer.Option("--workflow", help="Only jobs of this workflow, by its id")
]
MadeBy = Annotated[str | None, typer.Option("--schedule", help="Only jobs of this schedule")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Enqueued within: 10m, 2h, 7d")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of jobs")]


def worker_range(text: str) -> tuple[int, int]:
    """The least and the most of workers: `4`, or `1:8`. Raises `InvalidOption`.

    >>> worker_range("1:8")
    (1, 8)
    """
    low, colon, high = text.partition(":")
    try:
        least = int(low)
        most = int(high) if colon else least
    except ValueError:
        least, most = -1, -1
    if not 0 <= least <= most or most < 1:
        raise InvalidOption("workers", ascii(text), "a number such as 4, or a range such as 1:8")
    return least, most
