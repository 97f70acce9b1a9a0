"""Views of jobs that both memory and history give."""

from collections.abc import Mapping

from taskqueue_ray.core.exchange import BatchSummary, CheckpointView, Ended, JobView
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Finished, Job


def finished_view(job: Job) -> JobView:
    """All that is known of a job that ended."""
    phase = job.phase
    assert isinstance(phase, Finished)
    return JobView(
        id=job.id, options=job.options, state=phase.state, ordinal=job.ordinal,
        enqueued_at=job.enqueued_at, payload=job.payload, due=job.due, delivery=job.delivery,
        attempts=job.attempts, losses=job.losses, generation=job.generation,
        started_at=phase.started_at, finished_at=phase.at, seconds=phase.seconds,
        result=phase.result, reason=phase.reason, parents=job.parents, history=job.history,
        conditions=job.conditions, checkpoint=checkpoint_view(job),
    )  # fmt: skip


def summary_of(batch: str, counts: Mapping[JobState, int]) -> BatchSummary:
    """The counts of a batch's jobs by state, added up."""
    done = sum(count for state, count in counts.items() if state.final)
    failed = done - counts.get(JobState.COMPLETED, 0)
    return BatchSummary(batch, sum(counts.values()), done, failed, dict(counts))


def checkpoint_view(job: Job) -> CheckpointView | None:
    """What may be known of a job's checkpoint without the key."""
    kept = job.checkpoint
    return None if kept is None else CheckpointView(kept.at, len(kept.sealed))


def ended_view(job: Job) -> Ended:
    """How a job ended, from its whole record."""
    phase = job.phase
    assert isinstance(phase, Finished)
    failure = job.history[-1].failure if job.history else None
    return Ended(
        job.id, phase.state, True, phase.result, phase.reason, job.attempts, failure,
        job.options.type,
    )  # fmt: skip
