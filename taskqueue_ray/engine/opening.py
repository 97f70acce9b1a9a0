"""Opening a storage: own it, fence off whoever had it, recover, and begin a new epoch."""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import msgspec

from taskqueue_ray.core.errors import Fenced, KeyMissing, StorageUnusable, Unavailable
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.clock import SteadyClock
from taskqueue_ray.engine.keyring import Keyring
from taskqueue_ray.storage.atomic import remove_leftovers
from taskqueue_ray.storage.blobs import BlobFiles, open_blobs
from taskqueue_ray.storage.filesystem import FileSystem, Lock
from taskqueue_ray.storage.journal import Journal, JournalSettings
from taskqueue_ray.storage.manifest import Fence, read_manifest, take_over
from taskqueue_ray.storage.owner import (
    Claim,
    OwnerRecord,
    acquire_lock,
    claim,
    clear_owner,
    read_owner,
    write_owner,
)
from taskqueue_ray.storage.publication import settle_files
from taskqueue_ray.storage.recovery import Replay, TornTail
from taskqueue_ray.storage.replay import load_state, replay


@dataclass(frozen=True, slots=True)
class Identity:
    """Who opens a storage: the Ray cluster and its address, as the owner record names them."""

    cluster_id: str
    address: str
    host: str = socket.gethostname()


class Insistence(Enum):
    """How far to go when another process still holds the storage's lock."""

    NONE = "none"
    SUCCEED = "succeed"
    """Follow a predecessor of the same cluster although its process still lives."""
    FORCE = "force"
    """Take the storage from anyone: an operator knows that its owner is gone."""


@dataclass(frozen=True, slots=True)
class World:
    """Where time and chance come from."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    entropy: Callable[[int], bytes] = os.urandom


REAL_WORLD = World()


@dataclass(slots=True)
class Opened:
    """A storage that this process owns."""

    fs: FileSystem
    state: State
    journal: Journal
    fence: Fence
    clock: SteadyClock
    claim: Claim
    torn: TornTail | None
    record: OwnerRecord
    lock: Lock | None
    keyring: Keyring
    blobs: BlobFiles

    def heartbeat(self) -> None:
        """Renew the owner record, unless it is another's by now: then `Fenced`.

        May be called from any thread, by one at a time.
        """
        self.fence.check()
        self.record = _stamped(self.record, self.clock.now())
        write_owner(self.fs, self.record, self.keyring.mac)

    def release(self) -> None:
        """An orderly end: the next owner finds the storage free. The journal is closed before."""
        try:
            self.fence.check()
            clear_owner(self.fs)
        except Fenced:
            pass  # the record is the successor's
        if self.lock is not None:
            self.lock.release()


def open_storage(
    fs: FileSystem,
    location: str,
    identity: Identity,
    keyring: Keyring,
    insist: Insistence = Insistence.NONE,
    *,
    settings: JournalSettings | None = None,
    known: bool = False,
    world: World = REAL_WORLD,
) -> Opened:
    """Become the owner and recover the state. A queue that is `known` to be there is not made anew.

    Raises `OwnedElsewhere`; `Unavailable` while a predecessor of the same cluster still holds the
    lock; `StorageUnusable`, `StorageCorrupt`, `KeyMissing`; or an `OSError`, which may pass.
    """
    _prepare(fs, location, known)
    lock = acquire_lock(fs)
    try:
        reason = claim(
            location=location,
            lock_free=lock is not None,
            found=read_owner(fs, keyring.mac),
            my_cluster_id=identity.cluster_id,
            force=insist is Insistence.FORCE,
        )
        if reason is Claim.SUCCESSION and insist is Insistence.NONE:
            raise Unavailable("the process that had the storage has not ended yet")
        fence = take_over(fs, world.entropy(16).hex())
        state, replayed = _recover(fs, fence)
        _check_keys(state, keyring)
        blobs = open_blobs(fs, fence, state)
        journal = Journal.open(fs, fence, replayed.end, world.entropy(8), settings)
        clock = SteadyClock(state.at, world.wall, world.monotonic)
        record = OwnerRecord(
            cluster_id=identity.cluster_id,
            address=identity.address,
            host=identity.host,
            pid=os.getpid(),
            epoch=fence.epoch,
            started_at=clock.now(),
            heartbeat=clock.now(),
        )
        write_owner(fs, record, keyring.mac)
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    return Opened(
        fs, state, journal, fence, clock, reason, replayed.torn, record, lock, keyring, blobs
    )


def _prepare(fs: FileSystem, location: str, known: bool) -> None:
    try:
        if known and read_manifest(fs) is None:
            raise StorageUnusable(
                location,
                "the queue that was there is gone: mount its disk, or move its folder back; if it "
                "was removed on purpose, restart the Ray cluster",
            )
        fs.make_directory("")
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise StorageUnusable(location, str(error)) from error


def _recover(fs: FileSystem, fence: Fence) -> tuple[State, Replay]:
    for directory in ("", "journal", "history/pending"):
        remove_leftovers(fs, directory)
    settle_files(fs, fence.manifest)
    state = load_state(fs, fence.manifest)
    journal = Replay(fs, fence.manifest)
    for frame in journal.frames():
        replay(state, frame.payload, "journal", frame.offset)
    return state, journal


def _check_keys(state: State, keyring: Keyring) -> None:
    used = sorted(state.keys - {""})
    if used and not any(key in keyring.ids for key in used):
        raise KeyMissing(used[-1], list(keyring.ids))


def _stamped(record: OwnerRecord, now: float) -> OwnerRecord:
    return msgspec.structs.replace(record, heartbeat=now)
