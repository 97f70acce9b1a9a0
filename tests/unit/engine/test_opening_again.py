"""An opening that fails, at whatever operation, leaves the storage free for the next one."""

import pytest

from taskqueue_ray.core.errors import StorageUnusable, TaskQueueError
from taskqueue_ray.core.lifecycle import JobState
from tests.faultfs import Fault, FaultFileSystem, PowerCut
from tests.records import job_id
from tests.unit.engine.folded_trial import Stored, reopen


def _used() -> FaultFileSystem:
    """The disk of a queue with a snapshot, history, and a journal on top."""
    stored = Stored(FaultFileSystem())
    stored.run_jobs(1, 5)
    stored.fold()
    stored.run_jobs(5, 7)
    stored.fs.crash_process()
    return stored.fs


def _steps(fs: FaultFileSystem) -> int:
    twin = fs.copy()
    reopen(twin)
    return twin.operations


@pytest.mark.parametrize("effect", ["none", "half", "whole"])
def test_an_error_at_each_operation(effect: str) -> None:
    disk = _used()
    for at in range(1, _steps(disk) + 1):
        fs = disk.copy()
        fault = fs.fail(Fault(at, effect=effect))
        try:
            opened = reopen(fs)
        except (OSError, TaskQueueError):
            fs.heal()
            opened = reopen(fs)  # in the same process: no lock may be left
        ended = {opened.state.state_of(job_id(n)) for n in range(1, 7)}
        assert ended == {JobState.COMPLETED}, at
        if not fault.fired:
            return


def test_a_power_cut_at_each_operation() -> None:
    disk = _used()
    for at in range(1, _steps(disk) + 1):
        fs = disk.copy()
        fs.cut_power_at(at)
        try:
            reopen(fs)
        except PowerCut:
            fs.reboot()
            opened = reopen(fs)
            ended = {opened.state.state_of(job_id(n)) for n in range(1, 7)}
            assert ended == {JobState.COMPLETED}, at


def test_a_queue_that_is_known_to_be_there_is_not_made_anew() -> None:
    """As when the disk is not mounted on which the actor of a running cluster had it."""
    empty = FaultFileSystem()
    with pytest.raises(StorageUnusable, match="mount its disk"):
        reopen(empty, known=True)
    assert empty.contents() == {}
    opened = reopen(_used(), known=True)
    assert opened.state.state_of(job_id(1)) is JobState.COMPLETED
