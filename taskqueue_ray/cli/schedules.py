"""`taskqueue schedule …`: what is to be enqueued at which times."""

import time
from datetime import datetime
from typing import Annotated, Any, get_args

import typer

from taskqueue_ray.cli.opening import client, reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import print_fields, print_json, print_table, say
from taskqueue_ray.cli.targets import arguments_of, item_of
from taskqueue_ray.core.errors import InvalidOption, InvalidRequest
from taskqueue_ray.core.recurrence import Explanation, understand
from taskqueue_ray.core.recurrence import explain as explain_when
from taskqueue_ray.core.rules import Once
from taskqueue_ray.core.schedule import CatchUp, Overlap
from taskqueue_ray.sdk.schedule_record import ScheduleRecord

COLUMNS = (
    "id", "state", "words", "tz", "type", "queue", "next_at", "late", "last_for", "fired",
    "skipped", "missed", "running", "error",
)  # fmt: skip

Words = Annotated[str, typer.Option("--schedule", help='"every day at 2:30 AM", or cron')]
Zone = Annotated[
    str | None, typer.Option("--tz", help="IANA time zone [the setting timezone: UTC]")
]
Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="A schedule's id")]
JobId = Annotated[str | None, typer.Option("--job-id", help="The same, by the old name")]
Count = Annotated[int, typer.Option("--count", "-n", min=1, max=1000, help="How many times")]

app = typer.Typer(no_args_is_help=True, help="Enqueue jobs at times: cron, intervals, plain words.")


@app.command()
def create(
    *,
    schedule: Words,
    job_class: Annotated[
        str, typer.Option("--job-class", metavar="MODULE:NAME", help="A class or function of jobs")
    ],
    job_id: Annotated[str | None, typer.Option("--job-id", help="The id of the schedule")] = None,
    recurring: Annotated[
        bool | None, typer.Option("--recurring/--once", help="Again and again, or the next time")
    ] = None,
    arg: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An argument; repeatable")
    ] = None,
    tz: Zone = None,
    overlap: Annotated[str, typer.Option(help=" | ".join(get_args(Overlap)))] = "skip",
    catch_up: Annotated[str, typer.Option(help=" | ".join(get_args(CatchUp)))] = "latest",
    window: Annotated[
        str | None, typer.Option(metavar="TIME", help="How old a missed time may be")
    ] = None,
    jitter: Annotated[str, typer.Option(metavar="TIME", help="Run up to so much later")] = "0",
    until: Annotated[str | None, typer.Option(metavar="ISO", help="Nothing is due later")] = None,
    max_runs: Annotated[int | None, typer.Option(min=1, help="At most so many jobs")] = None,
    queue: Annotated[str | None, typer.Option("--queue", "-q", help="Of its jobs")] = None,
    priority: Annotated[int | None, typer.Option(help="Of its jobs, 0 to 100")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put it in another's place")] = False,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Make a schedule; the same one again is no news."""
    options = {"queue": queue, "priority": priority}
    given = {name: value for name, value in options.items() if value is not None}
    item = item_of(job_class, arguments_of(arg or []), given)
    more: dict[str, Any] = {"overlap": overlap, "catch_up": catch_up}
    if window is not None:
        more["window"] = window
    if recurring is False:
        max_runs = 1
    # What is wrong is refused before Ray is started.
    settings = settings_of(storage, address)
    zone, last = tz or settings.timezone, _moment("until", until)
    rule = understand(schedule, tz=zone, now=time.time()).rule
    if recurring and isinstance(rule, Once):
        raise InvalidOption("recurring", ascii(schedule)[:80], "a schedule of more than one time")
    with client(settings) as (found, _):
        made = found.scheduler.schedule(
            schedule, item, id=job_id, tz=zone, jitter=jitter, until=last, max_runs=max_runs,
            replace=replace, **more,
        )  # fmt: skip
        _show(made, json)


@app.command("list")
def list_schedules(storage: Storage = None, address: Address = None, json: Json = False) -> None:
    """List the schedules."""
    with reader(settings_of(storage, address)) as found:
        rows = found.scheduler.list().rows()
    if json:
        print_json({"schedules": rows})
    else:
        print_table(rows, COLUMNS, empty="no schedules", right=("fired", "skipped", "missed"))


@app.command()
def show(
    id: Id = None,
    job_id: JobId = None,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Show one schedule, with its arguments."""
    with reader(settings_of(storage, address)) as found:
        _show(found.scheduler.get(_id(id, job_id)), json)


@app.command("next")
def show_next(
    id: Id = None,
    job_id: JobId = None,
    count: Count = 5,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Show the next times of a schedule, or of all of them."""
    with reader(settings_of(storage, address)) as found:
        named = id or job_id
        names = [named] if named else found.scheduler.list().ids
        times = [(at, one) for one in names for at in found.scheduler.next(one, count)]
    rows = [{"at": at.isoformat(), "id": one} for at, one in sorted(times)[:count]]
    if json:
        print_json({"next": rows})
    else:
        print_table(rows, ("at", "id"), empty="nothing is due")


@app.command()
def explain(
    schedule: Annotated[str | None, typer.Argument(metavar="[WHEN]", help="Words, or cron")] = None,
    words: Annotated[str | None, typer.Option("--schedule", help="The same, by name")] = None,
    tz: Zone = None,
    count: Count = 5,
    json: Json = False,
) -> None:
    """Say what is understood, and the next times. Needs no queue."""
    text = schedule or words
    if text is None:
        raise InvalidRequest('say what to explain: taskqueue schedule explain "every monday at 9"')
    found = explain_when(text, tz=tz or settings_of(None).timezone, after=time.time(), n=count)
    if json:
        print_json(_plain(found))
        return
    print_fields({"understood": found.words, "canonical": found.canonical, "tz": found.tz})
    print_table(_plain(found)["next"], ("local", "utc"), empty="it is never due")


@app.command()
def pause(
    id: Id = None, job_id: JobId = None, storage: Storage = None, address: Address = None
) -> None:
    """Fire nothing until it is resumed; what is due meanwhile is not made up for."""
    with client(settings_of(storage, address)) as (found, _):
        found.scheduler.pause(_id(id, job_id))
    say("paused")


@app.command()
def resume(
    id: Id = None, job_id: JobId = None, storage: Storage = None, address: Address = None
) -> None:
    """Fire again, from the next time on."""
    with client(settings_of(storage, address)) as (found, _):
        record = found.scheduler.resume(_id(id, job_id))
    say(f"resumed; next {record.next_at.isoformat() if record.next_at else 'never'}")


@app.command()
def delete(
    id: Id = None,
    job_id: JobId = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Delete a schedule; jobs that it has made stay."""
    name = _id(id, job_id)
    with client(settings_of(storage, address)) as (found, _):
        there = found.scheduler.delete(name)
    say("deleted" if there else "there was none")


@app.command("run-now")
def run_now(
    id: Id = None,
    job_id: JobId = None,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Enqueue its job now, whatever else runs."""
    with client(settings_of(storage, address)) as (found, _):
        job = found.scheduler.run_now(_id(id, job_id))
    print_json({"job": job}) if json else say(job)


@app.command()
def backfill(
    start: Annotated[str, typer.Option("--from", metavar="ISO", help="The first time")],
    end: Annotated[str, typer.Option("--to", metavar="ISO", help="The last time, in the past")],
    id: Id = None,
    job_id: JobId = None,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Enqueue a job for each of its times in a range that has passed."""
    first, last = _moment("from", start), _moment("to", end)
    assert first is not None
    assert last is not None
    with client(settings_of(storage, address)) as (found, _):
        jobs = found.scheduler.backfill(_id(id, job_id), first, last)
    print_json({"jobs": jobs}) if json else say(f"{len(jobs):,} jobs")


def _id(argument: str | None, option: str | None) -> str:
    if (argument is None) == (option is None):
        raise InvalidRequest("name one schedule: its id, or --job-id")
    return argument or option or ""


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.utcoffset() is None:
        accepts = "a time with its offset, such as 2027-01-31T10:00+01:00, or ...Z for UTC"
        raise InvalidOption(option, ascii(text)[:80], accepts)
    return found


def _plain(found: Explanation) -> dict[str, Any]:
    times = [{"local": one.local, "utc": one.utc} for one in found.next]
    return {"words": found.words, "canonical": found.canonical, "tz": found.tz, "next": times}


def _show(record: ScheduleRecord, json: bool) -> None:
    print_json(record.to_dict()) if json else print_fields(record.to_dict())
