"""A storage that cannot be opened: said clearly, healed when it heals, and no actor left behind."""

import pytest
import ray

import taskqueue_ray as tq
from taskqueue_ray.cluster.config import NAMESPACE
from tests.cluster import processes, trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place


def _no_actor(place: Place) -> bool:
    try:
        ray.get_actor(place.actor_name, NAMESPACE)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("instead", ["a file", "an empty folder", "nothing"])
def test_the_folder_goes_away_and_comes_back(place: Place, instead: str) -> None:
    """The actor starts while its folder is away: calls wait, and go on when it is there again.

    An empty folder is what a disk leaves that is not mounted: no new queue must be made there.
    """
    q = place.connect()
    kept = q.enqueue(trial_jobs.add, 1)
    away = place.base / "away"
    pid = place.ping().pid
    place.folder.rename(away)
    if instead == "a file":
        place.folder.write_text("it is in the way")
    elif instead == "an empty folder":
        place.folder.mkdir()
    processes.kill(pid)
    eventually(place.is_recovering, "it says that it is recovering")
    with pytest.raises(tq.Recovering):
        place.call("stats")
    if instead == "a file":
        place.folder.unlink()
    away.rename(place.folder)
    assert kept.status() is tq.JobState.PENDING
    with q.workers():
        assert kept.result(60) == 2


def test_a_new_actor_makes_no_queue_where_one_was_served(place: Place) -> None:
    """Its predecessor was killed for good; after an orderly end the place is free for another."""
    kept = place.connect().enqueue(trial_jobs.add, 1)
    waiting = kept.future()
    away = place.base / "away"
    place.folder.rename(away)
    ray.kill(place.actor(), no_restart=True)
    eventually(lambda: not _no_actor(place), "whoever waits has made another")
    eventually(place.is_recovering, "it says that it is recovering")
    with pytest.raises(tq.Recovering, match="mount its disk"):
        place.call("stats")
    assert not place.folder.exists()
    away.rename(place.folder)
    assert kept.status() is tq.JobState.PENDING
    assert not waiting.done()
    place.shut_down()
    eventually(lambda: _no_actor(place), "it has ended")
    place.folder.rename(away)
    assert len(place.connect().jobs()) == 0


def test_a_key_that_does_not_fit(place: Place) -> None:
    q = place.connect()
    _ = q.enqueue(trial_jobs.add, 1)
    q.close()
    place.shut_down()
    eventually(lambda: _no_actor(place), "it has ended")
    with pytest.raises(tq.KeyMissing):
        tq.connect(place.folder, key_file=str(place.base / "other-key"))
    assert eventually(lambda: _no_actor(place), "no actor is left")
    with place.connect() as q:
        assert q.stats("default").pending == 1


def test_a_damaged_journal(place: Place) -> None:
    q = place.connect()
    for number in range(20):
        _ = q.enqueue(trial_jobs.add, number)
    q.close()
    place.shut_down()
    eventually(lambda: _no_actor(place), "it has ended")
    segment = max((place.folder / "journal").glob("*.log"), key=lambda path: path.stat().st_size)
    whole = segment.read_bytes()
    middle = whole.find(b"trial_jobs.add")
    segment.write_bytes(whole[:middle] + b"#" + whole[middle + 1 :])
    with pytest.raises(tq.StorageCorrupt, match=segment.name):
        place.connect()
    assert eventually(lambda: _no_actor(place), "no actor is left")
    segment.write_bytes(whole)
    with place.connect() as q:
        assert q.stats("default").pending == 20


def test_a_place_that_is_no_folder(place: Place) -> None:
    place.folder.write_text("a file")
    with pytest.raises(tq.StorageUnusable):
        place.connect()
    assert eventually(lambda: _no_actor(place), "no actor is left")
    place.folder.unlink()
