"""Several programs on one folder: the first owns it, the others attach, one of them inherits."""

import pytest

from taskqueue_ray.engine.keyring import make_key_file
from taskqueue_ray.storage.filesystem import LocalFileSystem
from taskqueue_ray.storage.owner import OwnerRecord, acquire_lock, write_owner
from tests.cluster.programs import Programs
from tests.cluster.witness import check_recovery

OWNER = """
    import sys, time
    import taskqueue_ray as tq
    from pathlib import Path
    from tests.cluster import trial_jobs

    if __name__ == "__main__":
        with tq.connect() as q:
            with q.workers(["default"]):
                print("owner ready", flush=True)
                while not Path("leave").exists():
                    time.sleep(0.05)
        print("owner left")
"""

ATTACHED = """
    import logging, time
    logging.basicConfig(level=logging.INFO)
    import taskqueue_ray as tq
    from pathlib import Path
    from tests.cluster import trial_jobs

    if __name__ == "__main__":
        q = tq.connect()
        print("result", q.enqueue(trial_jobs.add, 40, 2).result(60), flush=True)
        late = q.enqueue(trial_jobs.add.options(queue="nobody"), 1, 1)
        print("stored", late.id, flush=True)
        try:
            late.result(120)
        except tq.QueueClosed as error:
            print("closed", error, flush=True)
        try:
            q.enqueue(trial_jobs.add, 1)
        except tq.QueueClosed as error:
            print("refused", error, flush=True)
        q.close()
        with tq.connect() as q:
            with q.workers():
                print("inherited", q.handle(late.id).result(60), flush=True)
"""


def test_an_attached_program_inherits(programs: Programs) -> None:
    owner = programs.start(OWNER)
    owner.says("owner ready")
    attached = programs.start(ATTACHED, TASKQUEUE_MAX_LOSSES="2")
    assert attached.says("result") == "42"
    attached.says("stored")
    assert "ends with it" in attached.text(), attached.text()
    assert "max_losses is 5 in the running queue, not 2:" in attached.text(), attached.text()
    (programs.base / "leave").touch()
    owner.succeeds()
    attached.says("closed", 60)
    attached.says("refused", 60)
    assert attached.says("inherited", 60) == "2"
    assert attached.succeeds().count("max_losses") == 1, "it is its own queue now"


@pytest.mark.slow
def test_an_attached_program_survives_the_death_of_the_owner(programs: Programs) -> None:
    """The same when the owner is killed and says nothing."""
    owner = programs.start(OWNER)
    owner.says("owner ready")
    attached = programs.start(ATTACHED)
    attached.says("stored")
    owner.kill()
    attached.says("closed", 60)
    assert attached.says("inherited", 60) == "2"
    attached.succeeds()


CROWD = """
    import sys
    import taskqueue_ray as tq
    from tests.cluster import trial_jobs

    if __name__ == "__main__":
        with tq.connect() as q:
            print("stored", q.enqueue(trial_jobs.add, 1).id, flush=True)
"""

HOST = """
    import sys, time
    import ray
    from pathlib import Path

    if __name__ == "__main__":
        ray.init(include_dashboard=False, num_cpus=2, object_store_memory=80 << 20)
        print("address", ray.get_runtime_context().gcs_address, flush=True)
        while not Path("leave").exists():
            time.sleep(0.05)
"""


def test_drivers_that_connect_at_once(programs: Programs) -> None:
    """Eight programs create one queue on a cluster that runs already: one epoch, one owner."""
    host = programs.start(HOST)
    address = host.says("address")
    crowd = [programs.start(CROWD, RAY_ADDRESS=address) for _ in range(8)]
    stored = {program.says("stored", 110) for program in crowd}
    for program in crowd:
        program.succeeds()
    assert len(stored) == 8
    (programs.base / "leave").touch()
    host.succeeds()
    state = check_recovery(programs.folder, programs.key_file)
    assert len(state.jobs) == 8
    assert state.epoch == 1, "one actor after another has opened the storage"


STRANGER = """
    import taskqueue_ray as tq

    if __name__ == "__main__":
        try:
            tq.connect()
        except tq.OwnedElsewhere as error:
            print("refused", error)
"""


@pytest.mark.parametrize("genuine", [True, False])
def test_an_owner_in_another_place_is_not_followed(programs: Programs, genuine: bool) -> None:
    """Its record names another machine: unsigned it is not followed, signed it cannot be joined."""
    programs.folder.mkdir()
    keyring = make_key_file(programs.key_file)
    fs = LocalFileSystem(programs.folder)
    lock = acquire_lock(fs)
    assert lock is not None
    record = OwnerRecord(
        cluster_id="theirs", address="192.0.2.77:6379", host="elsewhere", pid=1, epoch=1,
        started_at=1.0, heartbeat=1.0,
    )  # fmt: skip
    write_owner(fs, record, keyring.mac if genuine else lambda _: b"forged")
    try:
        reason = programs.start(STRANGER, RAY_GCS_RPC_TIMEOUT_S="3").says("refused", 110)
    finally:
        lock.release()
    assert "elsewhere" in reason
    assert ("signature" in reason) is not genuine
