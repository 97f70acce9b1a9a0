"""Limits on real actors: over `kill -9` of the queue, and for code that runs."""

import time
from itertools import pairwise

from taskqueue_ray.core.events import Leased, decode
from taskqueue_ray.engine.reading import manifest_of, read_storage
from taskqueue_ray.storage.filesystem import LocalFileSystem
from taskqueue_ray.storage.recovery import Replay
from tests.cluster import processes, trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place

N, PER, JOBS = 40, 2.0, 130


def test_a_rate_holds_over_kill_9_of_the_queue(place: Place) -> None:
    q = place.connect()
    q.rate_limiter.set_limit("api", N, per=PER)
    q.enqueue_many(trial_jobs.limited.item(n) for n in range(JOBS))
    with q.workers(["trial"], max=1, concurrency=2):
        eventually(lambda: q.stats("trial").completed >= N, "the first are through")
        processes.kill(place.ping().pid)
        eventually(lambda: q.stats("trial").completed == JOBS, "all are through", within=60.0)
    place.shut_down()
    times = _leases(place)
    assert all(b - a >= PER for a, b in zip(times, times[N:], strict=False))
    gaps = [b - a for a, b in zip(times[N:], times[2 * N :], strict=False)]
    assert min(gaps) < PER * 1.1, "a worker was woken when the window let more through"
    assert all(a <= b for a, b in pairwise(times))


def _leases(place: Place) -> list[float]:
    """When each start was, as the journal has it."""
    fs = LocalFileSystem(place.folder)
    assert not read_storage(fs).state.held
    events = [e for f in Replay(fs, manifest_of(fs)).frames() for e in decode(f.payload)]
    return [one.at for one in events if isinstance(one, Leased) for _ in one.ids]


def test_running_code_waits_for_its_permit(place: Place) -> None:
    q = place.connect()
    q.rate_limiter.set_limit("permits", 1, per=1.5)
    began = time.monotonic()
    with q.workers(["trial"], max=1, concurrency=2):
        handles = [q.enqueue(trial_jobs.permitted) for _ in range(2)]
        assert [one.result(timeout=60) for one in handles] == ["permitted"] * 2
        q.rate_limiter.acquire("permits", timeout=30)
    assert time.monotonic() - began >= 3.0
