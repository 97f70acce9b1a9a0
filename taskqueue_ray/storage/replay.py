"""From files to state: the snapshot that a manifest names, and commits on top of it."""

import msgspec

from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.errors import StorageCorrupt
from taskqueue_ray.core.events import decode
from taskqueue_ray.core.state import State
from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.manifest import Manifest, read_checked
from taskqueue_ray.storage.publication import SNAPSHOTS


def load_state(fs: FileSystem, manifest: Manifest) -> State:
    """The state of the manifest's snapshot, or an empty one. Checksums come before parsing."""
    if manifest.snapshot is None:
        return State()
    # Loaded on first use: a queue that was never folded needs no Parquet in memory.
    from taskqueue_ray.storage.snapshot import read_snapshot

    files = {
        ref.name.rpartition("/")[2]: read_checked(fs, ref)
        for ref in manifest.snapshot.files
        if ref.name.startswith(f"{SNAPSHOTS}/")
    }
    return read_snapshot(files)


def replay(state: State, payload: bytes, file: str, offset: int) -> None:
    """Apply one commit. `StorageCorrupt` when its bytes are whole and no events."""
    try:
        events = decode(payload)
    except msgspec.MsgspecError as error:
        why = f"a whole commit that cannot be read: {error}"
        raise StorageCorrupt(file, offset, why) from error
    for event in events:
        apply(state, event)
