import hashlib
import hmac
from pathlib import Path

import msgspec
import pytest

from taskqueue_ray.core.errors import OwnedElsewhere, StorageUnusable
from taskqueue_ray.storage.filesystem import LocalFileSystem
from taskqueue_ray.storage.memory import MemoryFileSystem
from taskqueue_ray.storage.owner import (
    Claim,
    FoundOwner,
    OwnerRecord,
    acquire_lock,
    claim,
    clear_owner,
    read_owner,
    write_owner,
)

RECORD = OwnerRecord(
    cluster_id="cluster-a",
    address="10.0.0.1:6379",
    host="node-1",
    pid=42,
    epoch=3,
    started_at=1.0,
    heartbeat=2.0,
)
MINE = FoundOwner(RECORD, True)
FORGED = FoundOwner(RECORD, False)


def _mac(data: bytes) -> bytes:
    return hmac.digest(b"key", data, hashlib.sha256)


@pytest.mark.parametrize(
    ("lock_free", "found", "cluster", "force", "expected"),
    [
        (True, None, "cluster-a", False, Claim.UNOWNED),
        (True, MINE, "cluster-b", False, Claim.GONE),
        (True, FORGED, "cluster-b", False, Claim.GONE),
        (False, MINE, "cluster-a", False, Claim.SUCCESSION),
        (False, MINE, "cluster-a", True, Claim.SUCCESSION),
        (False, MINE, "cluster-b", True, Claim.FORCED),
        (False, FORGED, "cluster-a", True, Claim.FORCED),
        (False, None, "cluster-a", True, Claim.FORCED),
    ],
)
def test_who_may_take_over(
    lock_free: bool, found: FoundOwner | None, cluster: str, force: bool, expected: Claim
) -> None:
    assert (
        claim(location="/q", lock_free=lock_free, found=found, my_cluster_id=cluster, force=force)
        is expected
    )


@pytest.mark.parametrize(
    ("found", "cluster", "says"),
    [
        (MINE, "cluster-b", r"process 42 on node-1 .*10\.0\.0\.1:6379"),
        (FORGED, "cluster-a", "wrong signature"),
        (None, "cluster-a", "not said yet who it is"),
    ],
)
def test_who_may_not(found: FoundOwner | None, cluster: str, says: str) -> None:
    with pytest.raises(OwnedElsewhere, match=says):
        claim(location="/q", lock_free=False, found=found, my_cluster_id=cluster)


def test_the_record_comes_back_and_is_genuine() -> None:
    fs = MemoryFileSystem()
    assert read_owner(fs, _mac) is None
    write_owner(fs, RECORD, _mac)
    assert read_owner(fs, _mac) == MINE
    later = msgspec.structs.replace(RECORD, heartbeat=9.0)
    write_owner(fs, later, _mac)
    assert read_owner(fs, _mac) == FoundOwner(later, True)
    clear_owner(fs)
    clear_owner(fs)
    assert read_owner(fs, _mac) is None


def test_an_altered_record_is_not_genuine() -> None:
    fs = MemoryFileSystem()
    write_owner(fs, RECORD, _mac)
    altered = fs.read("OWNER").replace(b"10.0.0.1", b"10.6.6.6")
    fs.remove("OWNER")
    fs.create("OWNER").write(altered)
    found = read_owner(fs, _mac)
    assert found is not None
    assert not found.genuine
    assert found.record.address == "10.6.6.6:6379"


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b'{"record":1,"mac":""}', b"\xff"])
def test_an_unreadable_record_is_none(rubbish: bytes) -> None:
    fs = MemoryFileSystem()
    fs.create("OWNER").write(rubbish)
    assert read_owner(fs, _mac) is None


def test_a_place_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnusable, match="file"):
        acquire_lock(LocalFileSystem(tmp_path / "file" / "queue"))
