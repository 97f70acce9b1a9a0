"""`taskqueue storage …`: the files of a queue."""

import json as json_module
from typing import Annotated

import typer

from taskqueue_ray.cli.opening import settings_of
from taskqueue_ray.cli.options import Json, Storage, Yes
from taskqueue_ray.cli.render import plain, print_fields, print_json, say, warn
from taskqueue_ray.core.errors import InvalidRequest, KeyMissing, TaskQueueError
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.ownership import live_owner, location_of, seize
from taskqueue_ray.engine.reading import manifest_of
from taskqueue_ray.engine.verifying import Verification, dump, verify
from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.location import Location, open_filesystem

app = typer.Typer(no_args_is_help=True, help="Look after the files of a queue.")


@app.command("verify")
def verify_storage(storage: Storage = None, json: Json = False) -> None:
    """Check every byte that counts: checksums, events, their sense, the history.

    Takes and changes nothing. Ends with 1, file and offset when something is damaged.
    """
    location, fs = _folder(storage)
    if live_owner(location, settings_of(storage)) is not None:
        warn("the queue is running: what is checked is what it had written by now")
    try:
        found = verify(fs)
    except TaskQueueError as error:
        if json:
            print_json({"storage": str(location), "sound": False, "error": error.fields})
        raise
    if json:
        print_json({"storage": str(location), "sound": found.sound, **_document(found)})
    else:
        _print(location, found)
    if not found.sound:
        raise typer.Exit(1)


@app.command("dump")
def dump_storage(
    storage: Storage = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many events")] = None,
) -> None:
    """Print the events of the journal as JSON, one a line; sealed parts stay sealed."""
    _, fs = _folder(storage)
    for number, event in enumerate(dump(fs)):
        if number == limit:
            break
        print(json_module.dumps(event, default=plain, ensure_ascii=False))


@app.command()
def takeover(storage: Storage = None, yes: Yes = False) -> None:
    """Take the storage from an owner that is gone but looks alive. Never from one that works.

    The previous owner is fenced off: what it acknowledged stays, it acknowledges nothing more.
    """
    settings = settings_of(storage)
    location, fs = _folder(storage)
    manifest_of(fs)
    keyring = keyring_of(settings)
    if keyring is None:
        raise KeyMissing("any", [])
    owner = live_owner(location, settings)
    who = f"{owner.record}" if owner else "nobody that runs"
    if not yes:
        typer.confirm(f"{location} is owned by {who}. Take it over?", abort=True)
    seized = seize(fs, str(location), keyring)
    say(f"taken over: epoch {seized.epoch} has begun, and the storage is free to connect to")
    if seized.still_held and seized.previous is not None:
        warn(f"its lock is still held: end {seized.previous.record}")


def _folder(storage: str | None) -> tuple[Location, FileSystem]:
    location = location_of(settings_of(storage))
    if location.kind != "folder":
        raise InvalidRequest(f"{location} has no files: name a folder with --storage")
    return location, open_filesystem(location)


def _document(found: Verification) -> dict[str, object]:
    torn = found.torn
    return {
        **{name: getattr(found, name) for name in found.__struct_fields__},
        "torn": None if torn is None else {"file": torn.file, "at": torn.offset, "size": torn.size},
    }


def _print(location: Location, found: Verification) -> None:
    live = {
        queue: {state: count for state, count in counts.items() if count}
        for queue, counts in found.jobs.items()
    }
    print_fields(
        {
            "storage": str(location),
            "epoch": found.epoch,
            "commits": found.commits,
            "segments": len(found.segments),
            "snapshot": found.snapshot,
            "events": found.events,
            "jobs": live,
            "history": f"{found.history_rows:,} rows in {found.history_files:,} files",
            "blobs": f"{found.blobs:,} of {found.blob_bytes:,} bytes",
        }
    )
    if found.torn is not None:
        torn = found.torn
        warn(
            f"{torn.file} ends in an unfinished write ({torn.size:,} bytes from {torn.offset:,}): "
            "nothing acknowledged is in it, and the next owner cuts it off"
        )
    for name in found.orphaned_blobs:
        warn(f"{name} is named by no job that is there; it goes by itself")
    for name in found.missing_blobs:
        warn(f"{name} is missing: the job that needs it will fail")
    for name in found.damaged_blobs:
        warn(f"{name} is damaged: the job that needs it will fail")
    if found.sound:
        say("sound: every checksum fits and every event makes sense", "green")
