"""`taskqueue jobs …`: look at jobs, and move them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from taskqueue_ray.cli.moving import CANCEL, REDRIVE, carry_out, choose, confirm, jobs, look
from taskqueue_ray.cli.opening import client, reader, settings_of
from taskqueue_ray.cli.options import (
    Address,
    Category,
    DryRun,
    Ids,
    InWorkflow,
    Json,
    MadeBy,
    Queue,
    Since,
    State,
    Storage,
    Tag,
    Type,
    Yes,
)
from taskqueue_ray.cli.render import clean, print_fields, print_json, print_table, say
from taskqueue_ray.core.changes import changes_of
from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.timing import parse_duration
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.records import JobRecord

COLUMNS = (
    "id", "type", "queue", "state", "priority", "attempts", "name", "tags", "category",
    "enqueued_at", "due_at", "finished_at", "error_type", "reason", "schedule",
)  # fmt: skip
BULK = 1_000_000
"""The most jobs that one command moves."""

All = Annotated[bool, typer.Option("--all", help="All jobs that fit, instead of ids")]

app = typer.Typer(no_args_is_help=True, help="Look at jobs, and move them.")


@app.command("list")
def list_jobs(
    *,
    state: State = None,
    queue: Queue = None,
    type: Type = None,
    tag: Tag = None,
    category: Category = None,
    workflow: InWorkflow = None,
    schedule: MadeBy = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=BULK, help="Show at most so many")] = 50,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """List jobs: those that wait, run or failed, then those that ended lately."""
    wanted = {
        "state": state, "queue": queue, "type": type, "tag": tag, "category": category,
        "since": since, "workflow": workflow, "schedule": schedule,
    }  # fmt: skip
    with reader(settings_of(storage, address)) as found:
        records, complete = _list(found, wanted, limit)
        rows = [record.row() for record in records]
    if json:
        print_json({"jobs": rows, "complete": complete})
        return
    print_table(rows, COLUMNS, empty="no such jobs", right=("priority", "attempts"))
    if not complete:
        say(f"… and more: --limit shows more than {limit:,}", "dim")


@app.command()
def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="The job's id")],
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Show everything that is known of a job."""
    with reader(settings_of(storage, address)) as found:
        record = found.job(id)
        fields = record.to_dict() | {
            "max_attempts": record.max_attempts,
            "losses": record.losses,
            "generation": record.generation,
            "parents": list(record.parents),
            "runs": [_attempt(run) for run in record.history],
        }
    if json:
        print_json(fields)
        return
    error = fields.pop("error")
    runs = fields.pop("runs")
    fields["attempts"] = f"{record.attempts} of {record.max_attempts}"
    print_fields({name: value for name, value in fields.items() if name != "max_attempts"})
    for run in runs:
        say(clean(f"attempt {run['number']}: {run['error_type']}: {run['message']}"), "red")
    if error and error["traceback"]:
        say(clean(error["traceback"].rstrip(), lines=True), "dim")


@app.command()
def why(
    id: Annotated[str, typer.Argument(metavar="ID", help="The job's id")],
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Say why a job is not running."""
    with reader(settings_of(storage, address)) as found:
        answer = found.why(id)
    if json:
        print_json({"reason": answer.reason, "sentence": answer.sentence, **answer.facts})
    else:
        say(clean(answer.sentence))


@app.command("redrive")
@app.command("retry", hidden=True)
def redrive(
    *,
    ids: Ids = None,
    all: All = False,
    queue: Queue = None,
    type: Type = None,
    tag: Tag = None,
    category: Category = None,
    workflow: InWorkflow = None,
    since: Since = None,
    error: Annotated[str | None, typer.Option(help="Only those whose last error is this")] = None,
    text: Annotated[str | None, typer.Option(help="Only those with this in its message")] = None,
    to_queue: Annotated[
        str | None, typer.Option(metavar="QUEUE", help="Send them to this queue instead")
    ] = None,
    priority: Annotated[int | None, typer.Option(help="Give them this priority, 0 to 100")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Give them so many attempts")] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Give each attempt so long: 30s, 10m, 2h")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Send failed jobs again, with fresh attempts and, if you like, other options (also: retry)."""
    wanted = {
        "queue": queue, "type": type, "tag": tag, "category": category, "workflow": workflow,
        "since": since, "error": error, "text": text,
    }  # fmt: skip
    chosen = choose(REDRIVE, ids, wanted, all=all)
    named = {
        "queue": to_queue, "priority": priority, "max_attempts": max_attempts, "timeout": timeout,
    }  # fmt: skip
    options = {name: value for name, value in named.items() if value is not None}
    changes_of(options)  # refused before anybody is asked, and in a dry run too
    if dry_run:
        look(REDRIVE, chosen, settings_of(storage, address))
    else:
        carry_out(REDRIVE, chosen, settings_of(storage, address), yes=yes, options=options)


@app.command()
def cancel(
    *,
    ids: Ids = None,
    all: All = False,
    state: State = None,
    queue: Queue = None,
    type: Type = None,
    tag: Tag = None,
    category: Category = None,
    workflow: InWorkflow = None,
    since: Since = None,
    reason: Annotated[str, typer.Option(help="Kept with the job")] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Cancel jobs that have not ended; running ones are stopped."""
    wanted = {
        "state": state, "queue": queue, "type": type, "tag": tag, "category": category,
        "workflow": workflow, "since": since,
    }  # fmt: skip
    chosen = choose(CANCEL, ids, wanted, all=all)
    if dry_run:
        look(CANCEL, chosen, settings_of(storage, address))
    else:
        carry_out(CANCEL, chosen, settings_of(storage, address), yes=yes, reason=reason)


@app.command()
def delete(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of jobs")],
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Drop the records of jobs that have ended."""
    with client(settings_of(storage, address)) as (found, _):
        for one in ids:
            found.delete(one)
    say(f"deleted {jobs(len(ids))}")


@app.command()
def purge(
    state: Annotated[JobState, typer.Option(help="A final state")] = JobState.COMPLETED,
    older_than: Annotated[str, typer.Option(metavar="TIME", help="Ended before: 12h, 30d")] = "30d",
    queue: Queue = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Drop the records of jobs that ended some time ago, from the history too."""
    parse_duration(older_than, "older_than")
    if not state.final:
        raise InvalidRequest(f"a purge drops jobs that have ended; {state.value} ones have not")
    words = f"{state.value} jobs that ended more than {older_than} ago"
    if dry_run:
        with reader(settings_of(storage, address)) as found:
            say(f"would purge {jobs(_count_older(found, state, queue, older_than))}")
        return
    confirm(f"Purge all {words}" + (f" in {queue}" if queue else ""), yes=yes)
    with client(settings_of(storage, address)) as (found, _):
        say(f"purged {jobs(found.purge(state=state, older_than=older_than, queue=queue))}")


def _list(found: TaskQueue, wanted: dict[str, Any], limit: int) -> tuple[list[JobRecord], bool]:
    page = found.jobs(**wanted, limit=limit)
    records = {one.id: one for one in page}
    left = limit - len(records)
    if wanted["state"] is not None or left <= 0:
        return list(records.values()), page.complete
    # What ended and is in the Parquet history already comes only when its state is named.
    older = [
        one
        for state in _ENDED
        for one in found.jobs(**{**wanted, "state": state}, limit=limit + 1)
        if one.id not in records
    ]
    older.sort(key=lambda one: one.finished_at or _NEVER, reverse=True)
    return [*records.values(), *older[:left]], page.complete and len(older) <= left


def _attempt(run: Any) -> dict[str, Any]:
    return {
        "number": run.number, "worker": run.worker, "started_at": run.started_at,
        "seconds": run.seconds, **run.problem._asdict(),
    }  # fmt: skip


def _count_older(found: TaskQueue, state: JobState, queue: str | None, older_than: str) -> int:
    before = datetime.now(UTC) - timedelta(seconds=parse_duration(older_than))
    records = found.jobs(state=state, queue=queue, limit=BULK)
    return sum(bool(one.finished_at and one.finished_at <= before) for one in records)


_ENDED = (JobState.COMPLETED, JobState.CANCELLED, JobState.EXPIRED)
_NEVER = datetime.min.replace(tzinfo=UTC)
