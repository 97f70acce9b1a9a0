"""Who has a storage open, and who may take it.

The lock says whether the owner lives; the record says who it is and how to reach it. The record is
advice, never the fence (that is `manifest`): a wrong one can lead a client astray, but a client
follows an address only when the MAC is right or the address is of this machine.
"""

import hmac
from collections.abc import Callable
from enum import Enum

import msgspec

from taskqueue_ray.core.errors import OwnedElsewhere, StorageUnusable
from taskqueue_ray.storage.atomic import write_atomic
from taskqueue_ray.storage.filesystem import FileSystem, Lock

Mac = Callable[[bytes], bytes]

_LOCK = "LOCK"
_RECORD = "OWNER"


class OwnerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of a storage. Times are Unix seconds; `address` is that of its Ray cluster."""

    cluster_id: str
    address: str
    host: str
    pid: int
    epoch: int
    started_at: float
    heartbeat: float

    def __str__(self) -> str:
        return (
            f"process {self.pid} on {self.host} (Ray cluster {self.cluster_id} at {self.address}, "
            f"epoch {self.epoch})"
        )


class FoundOwner(msgspec.Struct, frozen=True):
    """A record as found, and whether its MAC is right."""

    record: OwnerRecord
    genuine: bool


class Claim(Enum):
    """Why one may become the owner."""

    UNOWNED = "unowned"  # nobody has ever had it, or the last one cleaned up
    GONE = "gone"  # the lock is free, so the process in the record has ended
    SUCCESSION = "succession"  # the same cluster replaces its own actor, which may still live
    FORCED = "forced"  # an operator said so


class _Stored(msgspec.Struct):
    record: msgspec.Raw
    mac: str


def claim(
    *,
    location: str,
    lock_free: bool,
    found: FoundOwner | None,
    my_cluster_id: str,
    force: bool = False,
) -> Claim:
    """Whether taking over is right, and why; `OwnedElsewhere` when it is not.

    A record that is not genuine never counts as one of the own cluster. Whatever the answer, only
    `take_over` makes it safe.
    """
    if lock_free:
        return Claim.UNOWNED if found is None else Claim.GONE
    if found is not None and found.genuine and found.record.cluster_id == my_cluster_id:
        return Claim.SUCCESSION
    if force:
        return Claim.FORCED
    if found is None:
        raise OwnedElsewhere(location, "a process that has not said yet who it is")
    doubt = "" if found.genuine else ", as an owner record with a wrong signature says"
    raise OwnedElsewhere(location, f"{found.record}{doubt}")


def acquire_lock(fs: FileSystem) -> Lock | None:
    """Take the lock of the storage, whose folder is made if missing; None while another has it.

    It is close-on-exec; a child that was forked without an exec keeps it alive.
    `StorageUnusable` when the folder cannot be made or written.
    """
    try:
        fs.make_directory("")
        return fs.lock(_LOCK)
    except OSError as error:
        raise StorageUnusable(str(fs), error.strerror or str(error)) from error


def write_owner(fs: FileSystem, record: OwnerRecord, mac: Mac) -> None:
    """Publish the record, signed. Also for each heartbeat. Errors are `OSError`s."""
    raw = msgspec.json.encode(record)
    stored = _Stored(msgspec.Raw(raw), mac(raw).hex())
    write_atomic(fs, _RECORD, msgspec.json.encode(stored) + b"\n")


def read_owner(fs: FileSystem, mac: Mac) -> FoundOwner | None:
    """The record, or None when there is none that can be read: it is advice, and may be missing."""
    try:
        stored = msgspec.json.decode(fs.read(_RECORD), type=_Stored)
        record = msgspec.json.decode(stored.record, type=OwnerRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    genuine = hmac.compare_digest(mac(bytes(stored.record)).hex().encode(), stored.mac.encode())
    return FoundOwner(record, genuine)


def clear_owner(fs: FileSystem) -> None:
    """Remove the record at an orderly end."""
    if fs.exists(_RECORD):
        fs.remove(_RECORD)
