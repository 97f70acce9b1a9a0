"""Every byte of a storage that counts, checked; and its events, one by one."""

import base64
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from taskqueue_ray.core import events
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.errors import StorageCorrupt
from taskqueue_ray.core.exchange import BatchRecord
from taskqueue_ray.engine.reading import Commit, JournalReader, manifest_of
from taskqueue_ray.storage.blobs import take_census
from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.manifest import Manifest, read_checked
from taskqueue_ray.storage.publication import HISTORY, pending_name
from taskqueue_ray.storage.recovery import TornTail
from taskqueue_ray.storage.replay import load_state


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a sound storage holds. `torn` is an unfinished write that the next owner cuts."""

    epoch: int
    commits: int
    events: dict[str, int]
    segments: dict[str, int]
    snapshot: str | None
    jobs: dict[str, dict[str, int]]
    history_files: int
    history_rows: int
    torn: TornTail | None = None
    blobs: int = 0
    blob_bytes: int = 0
    missing_blobs: list[str] = []
    damaged_blobs: list[str] = []
    orphaned_blobs: list[str] = []

    @property
    def sound(self) -> bool:
        """Whether every job has all that is its own. Orphans harm nobody and go by themselves."""
        return not self.missing_blobs and not self.damaged_blobs


def verify(fs: FileSystem) -> Verification:
    """Read all that the manifest names, and fold it. `StorageCorrupt` names file and offset."""
    manifest = manifest_of(fs)
    state = load_state(fs, manifest)
    journal = JournalReader(fs, manifest)
    kinds: Counter[str] = Counter()
    segments: Counter[str] = Counter()
    for commit in journal.commits():
        segments[commit.file] += 1
        for event in decoded(commit):
            kinds[_name(event)] += 1
            _apply(state, event, commit)
    files = _history(fs, manifest)
    census = take_census(fs, state)
    return Verification(
        epoch=manifest.epoch,
        commits=segments.total(),
        events=dict(kinds),
        segments=dict(segments),
        snapshot=_snapshot_of(manifest),
        jobs={name: {str(s): n for s, n in t.counts.items()} for name, t in state.totals.items()},
        history_files=len(files),
        history_rows=sum(files.values()),
        torn=journal.torn,
        blobs=census.blobs,
        blob_bytes=census.size,
        missing_blobs=census.missing,
        damaged_blobs=census.damaged,
        orphaned_blobs=census.orphaned,
    )


def dump(fs: FileSystem) -> Iterator[dict[str, Any]]:
    """The events of the journal as plain data; what is sealed stays so, as base64."""
    for commit in JournalReader(fs, manifest_of(fs)).commits():
        file, frame = commit
        for event in decoded(commit):
            yield {
                "segment": file,
                "offset": frame.offset,
                "epoch": frame.epoch,
                "commit": frame.commit,
                "event": _name(event),
                **_fields(event),
            }


def decoded(commit: Commit) -> list[events.Event]:
    """The events of a commit. `StorageCorrupt` when its bytes are whole and no events."""
    try:
        return events.decode(commit.frame.payload)
    except msgspec.MsgspecError as error:
        why = f"a whole commit that cannot be read: {error}"
        raise StorageCorrupt(commit.file, commit.frame.offset, why) from error


def _apply(state: Any, event: events.Event, commit: Commit) -> None:
    try:
        apply(state, event)
    except Exception as error:
        why = f"event {_name(event)!r} does not fit what was before: {error!r}"
        raise StorageCorrupt(commit.file, commit.frame.offset, why) from error


def _history(fs: FileSystem, manifest: Manifest) -> dict[str, int]:
    """The rows of each file of the history; those that the manifest names by their checksums."""
    from taskqueue_ray.storage import history

    for ref in manifest.snapshot.files if manifest.snapshot else ():
        if ref.name.startswith(f"{HISTORY}/"):
            place = ref.name if fs.exists(ref.name) else pending_name(ref.name)
            read_checked(fs, msgspec.structs.replace(ref, name=place))
    return {name: history.count_rows(fs, name) for name in history.list_files(fs)}


def _snapshot_of(manifest: Manifest) -> str | None:
    if manifest.snapshot is None:
        return None
    names = (ref.name for ref in manifest.snapshot.files)
    return next((name.rpartition("/")[0] for name in names if not name.startswith(HISTORY)), None)


def _name(event: events.Event) -> str:
    if isinstance(event, events.Enqueued):
        return "enqueued"
    return str(event.__struct_config__.tag)


def _fields(event: events.Event) -> dict[str, Any]:
    if isinstance(event, events.Enqueued):
        batch = BatchRecord(event.batch.options, event.batch.jobs)
        fields = {"at": event.at, "known": event.known, **msgspec.structs.asdict(batch)}
    else:
        fields = msgspec.structs.asdict(event)
    return {name: plain(value) for name, value in fields.items()}


def plain(value: Any) -> Any:
    """As JSON can say it: ids in hexadecimal, other bytes in base64 with their length."""
    match value:
        case bytes():
            if len(value) == 16:
                return value.hex()
            return {"bytes": len(value), "base64": base64.b64encode(value).decode()}
        case msgspec.Struct():
            return {field: plain(getattr(value, field)) for field in value.__struct_fields__}
        case dict():
            return {str(key): plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case _:
            return value
