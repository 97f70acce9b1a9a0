"""Dead letters by the time at which they failed, so that old ones are found without a search."""

from collections.abc import Iterator, Mapping
from itertools import takewhile

from taskqueue_ray.core.heaps import Heap
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Finished, Job, JobId

Entry = tuple[float, int, JobId]


class DeadLetters:
    """Those of each queue, the oldest first. Derived, never stored."""

    __slots__ = ("_by_queue", "_jobs")

    def __init__(self, jobs: Mapping[JobId, Job]) -> None:
        self._jobs = jobs
        self._by_queue: dict[str, Heap[Entry]] = {}

    def add(self, job: Job) -> None:
        """A job has failed for good."""
        heap = self._by_queue.get(job.options.queue)
        if heap is None:
            heap = self._by_queue[job.options.queue] = Heap(self._is_dead)
        heap.push((_ended_at(job), job.ordinal, job.id))

    def queues(self) -> list[str]:
        """Where there may be some."""
        return list(self._by_queue)

    def jobs(self, queue: str | None = None) -> Iterator[Job]:
        """Those of a queue or of all, each queue's the oldest first."""
        heaps = self._by_queue
        for name in list(heaps) if queue is None else [queue] if queue in heaps else []:
            for _, _, job_id in heaps[name]:
                job = self._jobs[job_id]
                if job.options.queue == name:
                    yield job

    def count(self) -> int:
        """How many there are at most."""
        return sum(map(len, self._by_queue.values()))

    def until(self, queue: str, before: float) -> Iterator[JobId]:
        """Those of a queue that failed up to this time, the oldest first."""
        heap = self._by_queue[queue]
        if heap.head() is None:
            del self._by_queue[queue]
            return
        for _, _, job_id in takewhile(lambda entry: entry[0] <= before, heap):
            if self._jobs[job_id].options.queue == queue:  # it may have failed again, elsewhere
                yield job_id

    def _is_dead(self, entry: Entry) -> bool:
        at, _, job_id = entry
        job = self._jobs.get(job_id)
        return job is not None and job.state is JobState.FAILED and _ended_at(job) == at


def _ended_at(job: Job) -> float:
    return job.phase.at if isinstance(job.phase, Finished) else 0.0
