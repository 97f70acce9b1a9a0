"""The fold: previous snapshot and sealed segments into the next snapshot and history.

It runs away from the queue, in a process of its own, with the same `apply` as the queue; each
fold therefore proves that recovery works. What it writes is nothing until `publication.publish`.
"""

from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.errors import StorageCorrupt
from taskqueue_ray.core.events import Folded
from taskqueue_ray.core.state import State
from taskqueue_ray.core.views import finished_view
from taskqueue_ray.storage.atomic import write_atomic
from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.history import history_files
from taskqueue_ray.storage.manifest import (
    FileRef,
    file_ref,
    read_manifest,
)
from taskqueue_ray.storage.publication import (
    PENDING,
    FoldRequest,
    FoldResult,
    pending_name,
    snapshot_directory,
)
from taskqueue_ray.storage.recovery import Replay, read_sealed
from taskqueue_ray.storage.replay import load_state, replay
from taskqueue_ray.storage.snapshot import write_snapshot


def fold(fs: FileSystem, request: FoldRequest) -> FoldResult:
    """Write the next snapshot and the history up to the request's mark."""
    manifest = read_manifest(fs)
    if manifest is None:
        raise StorageCorrupt("MANIFEST", 0, "it is missing")
    done = manifest.snapshot
    if done is not None and done.commit >= request.through:
        # It was published before, and what came after that failed.
        return FoldResult(done.commit, manifest.first_segment, done.files, 0)
    first = done.commit if done else 0
    state = load_state(fs, manifest)
    for sealed in Replay(fs, manifest).sealed:
        if sealed.sequence <= request.sequence:
            for frame in read_sealed(fs, sealed):
                replay(state, frame.payload, sealed.name, frame.offset)
    ended = [finished_view(job) for part in state.marked.values() for job in part.values()]
    apply(state, Folded(request.through, 0.0))
    refs = [
        *_write_history(fs, history_files(ended, first, request.through)),
        *_write_snapshot(fs, state, snapshot_directory(request.through, manifest.epoch)),
    ]
    return FoldResult(request.through, request.sequence + 1, tuple(refs), len(ended))


def _write_history(fs: FileSystem, files: dict[str, bytes]) -> list[FileRef]:
    if files:
        fs.make_directory(PENDING)
    for name, data in files.items():
        write_atomic(fs, pending_name(name), data)
    return [file_ref(name, data) for name, data in files.items()]


def _write_snapshot(fs: FileSystem, state: State, directory: str) -> list[FileRef]:
    fs.make_directory(directory)
    refs = []
    for file, data in write_snapshot(state).items():
        name = f"{directory}/{file}"
        write_atomic(fs, name, data)
        refs.append(file_ref(name, data))
    return refs
