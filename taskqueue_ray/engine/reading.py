"""A storage without an owner, read as it is: nothing is taken, written or cut."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from taskqueue_ray.core import alerting
from taskqueue_ray.core.admission import QuotaView
from taskqueue_ray.core.blobs import Blob, BlobWanted
from taskqueue_ray.core.demand import PoolStatus
from taskqueue_ray.core.errors import InvalidRequest, StorageUnusable, TaskQueueError
from taskqueue_ray.core.exchange import Cursor, JobFilter
from taskqueue_ray.core.limits import look
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.placement import DEFAULT
from taskqueue_ray.core.quotas import ceiling_of
from taskqueue_ray.core.scheduling import find, page, view
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.blobs import read_part
from taskqueue_ray.engine.fleet import Fleet
from taskqueue_ray.engine.insights import Insights
from taskqueue_ray.engine.measures import Measures
from taskqueue_ray.engine.meter import Meter
from taskqueue_ray.engine.nodes import registered
from taskqueue_ray.storage.blobs import blob_name, list_blobs
from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.frames import Frame
from taskqueue_ray.storage.manifest import Manifest, read_manifest
from taskqueue_ray.storage.recovery import Replay, TornTail, segment_name
from taskqueue_ray.storage.replay import load_state, replay

ATTEMPTS = 3
"""How often a reading is begun anew because an owner came and moved the files."""


class Commit(NamedTuple):
    """One commit and the segment that it is in."""

    file: str
    frame: Frame


class JournalReader:
    """The commits of a manifest's journal with their files, for one pass."""

    def __init__(self, fs: FileSystem, manifest: Manifest) -> None:
        self._replay = Replay(fs, manifest)
        self._ends = [(sealed.next_commit, sealed.name) for sealed in self._replay.sealed]
        last = self._replay.sealed[-1].sequence if self._replay.sealed else None
        self._newest = segment_name(manifest.first_segment or 1 if last is None else last + 1)

    def commits(self) -> Iterator[Commit]:
        """All of them in order, each checked. Raises `StorageCorrupt`."""
        ends = iter(self._ends)
        until, file = next(ends, (None, self._newest))
        for frame in self._replay.frames():
            while until is not None and frame.commit >= until:
                until, file = next(ends, (None, self._newest))
            yield Commit(file, frame)

    @property
    def torn(self) -> TornTail | None:
        """The unfinished write at the end, known after the pass."""
        return self._replay.torn


@dataclass(slots=True)
class Reading:
    """What a storage held when it was read."""

    fs: FileSystem
    manifest: Manifest
    state: State
    torn: TornTail | None


def manifest_of(fs: FileSystem) -> Manifest:
    """The manifest. Raises `StorageUnusable` where there is no queue, `StorageCorrupt`."""
    try:
        manifest = read_manifest(fs)
    except (NotADirectoryError, PermissionError) as error:
        raise StorageUnusable(str(fs), error.strerror or str(error)) from error
    if manifest is None:
        raise StorageUnusable(str(fs), "there is no queue in it yet")
    return manifest


def read_storage(fs: FileSystem) -> Reading:
    """The state as an owner would recover it. Raises `StorageUnusable` or `StorageCorrupt`."""
    for _ in range(ATTEMPTS):
        manifest = manifest_of(fs)
        try:
            return _read(fs, manifest)
        except Exception:
            if manifest_of(fs).number == manifest.number:
                raise
    raise StorageUnusable(str(fs), "its owner changes it all the time; ask the owner")


class ReadingDesk:
    """Answers the questions of `engine.desk` about a reading; everything else is refused."""

    def __init__(self, reading: Reading) -> None:
        insights = Insights(reading.state, Fleet())
        now = reading.state.at
        fleet, meter = Fleet(), Meter(reading.state, now)
        measures = Measures(reading.state, fleet, meter, lambda: now, lambda: False)
        self._fs = reading.fs
        # Programs ask from any thread, and the views keep places of jobs.
        self._one_at_a_time = threading.Lock()
        self._methods: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "job": (JobId, insights.job),
            "jobs": (tuple[JobFilter, Cursor | None, int], lambda call: insights.jobs(*call)),
            "stats": (str | None, insights.stats),
            "ended": (tuple[float, Cursor | None, int], lambda call: insights.ended(*call)),
            "workers": (None, lambda _: []),
            "controls": (None, lambda _: insights.controls()),
            "performance": (float, measures.performance),
            "metrics": (None, lambda _: measures.families()),
            "alerts": (None, lambda _: alerting.view(reading.state.alerts)),
            "pools": (
                None,
                lambda _: [PoolStatus(p.name, p.queues, p) for p in reading.state.pools.values()],
            ),
            "limits": (None, lambda _: look(reading.state, reading.state.at)),
            "why": (JobId, lambda job_id: insights.why(job_id, reading.state.at)),
            "past": (list[JobId], self._past),
            "search": (tuple[JobFilter, int], self._search),
            "history": (tuple[float, list[str] | None], self._history),
            "get_blob": (BlobWanted, self._blob),
            "schedules": (
                tuple[str, int],
                lambda call: page(reading.state, call[0], call[1], reading.state.at),
            ),
            "schedule": (
                str,
                lambda one: view(
                    reading.state, find(reading.state, one), reading.state.at, whole=True
                ),
            ),
            "nodes": (None, lambda _: registered(reading.state)),
            "strategy": (None, lambda _: reading.state.premises.strategy or DEFAULT),
            "quotas": (
                None,
                lambda _: [
                    QuotaView(one, ceiling_of(one, {}), 0.0)
                    for one in reading.state.premises.quotas.values()
                ],
            ),
            "failures": (str | None, insights.failures),
            "workflows": (int, insights.workflows),
            "tally": (tuple[float, float], lambda call: insights.tally(*call)),
        }

    def answer(self, method: str, request: bytes) -> bytes:
        """The encoded answer. Raises `InvalidRequest` for what would change the queue."""
        if method not in self._methods:
            raise InvalidRequest(f"the storage is opened for reading only: it cannot {method}")
        kind, read = self._methods[method]
        with self._one_at_a_time:
            return msgspec.msgpack.encode(read(msgspec.msgpack.decode(request, type=kind)))

    def _blob(self, wanted: BlobWanted) -> bytes:
        def read(blob: Blob, epoch: int, offset: int, size: int) -> bytes:
            return self._fs.read(blob_name(blob, epoch), offset, size)

        epochs = dict(list_blobs(self._fs))
        found = read_part(read, wanted.blob, epochs.get(wanted.blob, 0), wanted.offset)
        if isinstance(found, TaskQueueError):
            raise found
        return found

    def _past(self, ids: list[JobId]) -> Any:
        # Loaded on first use: most questions need no Parquet.
        from taskqueue_ray.storage import history

        return history.find(self._fs, ids)

    def _search(self, call: tuple[JobFilter, int]) -> Any:
        from taskqueue_ray.storage import history

        return history.search(self._fs, *call)

    def _history(self, call: tuple[float, list[str] | None]) -> bytes:
        from taskqueue_ray.storage import history

        return history.to_bytes(history.read_history(self._fs, *call))


def _read(fs: FileSystem, manifest: Manifest) -> Reading:
    state = load_state(fs, manifest)
    journal = JournalReader(fs, manifest)
    for file, frame in journal.commits():
        replay(state, frame.payload, file, frame.offset)
    return Reading(fs, manifest, state, journal.torn)
