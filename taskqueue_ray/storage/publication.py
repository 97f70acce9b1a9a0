"""The truth of a fold: the owner's part of the compaction, without Parquet.

`compaction.fold` writes files in a process of its own; `publish` makes them true. The order of
steps makes a crash harmless at any of them::

    fold     1  history files, aside in history/pending/     no effect if nothing follows
             2  snapshot files under snapshots/<commit>-<epoch>/     likewise
    publish  3  the manifest names both                       the fold is now true
             4  history files move to their places            done again at the next opening
             5  old snapshots and segments are removed        likewise
"""

import msgspec

from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.manifest import Fence, FileRef, Manifest, SnapshotRef
from taskqueue_ray.storage.recovery import segment_name, segment_sequences

HISTORY = "history"
SNAPSHOTS = "snapshots"
PENDING = f"{HISTORY}/pending"


class FoldRequest(msgspec.Struct, frozen=True):
    """Fold everything up to commit `through`, the last one of segment `sequence`."""

    through: int
    sequence: int


class FoldResult(msgspec.Struct, frozen=True):
    """What a fold has written and a publication makes true."""

    through: int
    first_segment: int
    files: tuple[FileRef, ...]
    finished: int


def publish(fs: FileSystem, fence: Fence, result: FoldResult) -> None:
    """Make a fold true and remove what it replaces. After an `OSError`, publish it again."""
    # The next manifest does not name the history of this one: it must be in its place before.
    _place_history(fs, fence.manifest)
    published = fence.manifest.snapshot
    if published is None or published.commit < result.through:
        fence.publish(
            snapshot=SnapshotRef(result.through, result.files), first_segment=result.first_segment
        )
    settle_files(fs, fence.manifest)


def settle_files(fs: FileSystem, manifest: Manifest) -> None:
    """Finish a publication that may have been cut short: move history, remove leftovers."""
    _place_history(fs, manifest)
    for entry in fs.list(PENDING):
        fs.remove(f"{PENDING}/{entry}")
    refs = manifest.snapshot.files if manifest.snapshot else ()
    kept = {ref.name.rpartition("/")[0] for ref in refs}
    for entry in fs.list(SNAPSHOTS):
        if (directory := f"{SNAPSHOTS}/{entry}") not in kept:
            _remove_directory(fs, directory)
    for sequence in segment_sequences(fs):
        if sequence < manifest.first_segment:
            fs.remove(segment_name(sequence))


def release_history(fence: Fence) -> None:
    """Name no file of the history any more, so that they may be pruned. They are in place."""
    snapshot = fence.manifest.snapshot
    if snapshot is not None:
        kept = tuple(ref for ref in snapshot.files if not ref.name.startswith(f"{HISTORY}/"))
        if kept != snapshot.files:
            fence.publish(snapshot=SnapshotRef(snapshot.commit, kept))


def snapshot_directory(commit: int, epoch: int) -> str:
    """Where a snapshot goes. The epoch keeps a stalled fold of a fenced owner out of ours."""
    return f"{SNAPSHOTS}/{commit:012d}-{epoch}"


def _place_history(fs: FileSystem, manifest: Manifest) -> None:
    refs = manifest.snapshot.files if manifest.snapshot else ()
    for ref in refs:
        if ref.name.startswith(f"{HISTORY}/"):
            _move_to_place(fs, ref.name)


def _move_to_place(fs: FileSystem, name: str) -> None:
    directory = name.rpartition("/")[0]
    if not fs.exists(name):
        fs.make_directory(directory)
        fs.move(pending_name(name), name, replace=True)
    # Also for a file that is there: an earlier attempt may have failed right here.
    fs.sync_directory(directory)
    fs.sync_directory(PENDING)


def pending_name(name: str) -> str:
    """Where a history file waits until the manifest names it."""
    _, day, file = name.split("/")
    return f"{PENDING}/{day}-{file}"


def _remove_directory(fs: FileSystem, directory: str) -> None:
    for entry in fs.list(directory):
        fs.remove(f"{directory}/{entry}")
    fs.remove(directory)
