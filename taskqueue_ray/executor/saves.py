"""Checkpoints on their way out of an executor: of each job at most one a second, the latest."""

from taskqueue_ray.core.exchange import Outcome, OutcomeKind, Save
from taskqueue_ray.core.model import JobId

APART = 1.0
"""Seconds between two checkpoints of one job that are sent."""

_MANY = 1000


class Saves:
    """Which checkpoint goes out when. Not safe among threads: the outbox has a lock."""

    def __init__(self) -> None:
        self._latest: dict[JobId, Save] = {}
        self._due: dict[JobId, float] = {}
        self._parting: list[Save] = []

    def add(self, save: Save, now: float) -> float | None:
        """Take in a checkpoint; the seconds until it is due. None: after one that waits already."""
        waiting = self._latest.get(save.id)
        if waiting is None or waiting.number < save.number:
            self._latest[save.id] = save
        if len(self._due) > _MANY:
            self._due = {job_id: due for job_id, due in self._due.items() if due > now}
        return None if waiting else max(0.0, self._due.get(save.id, 0.0) - now)

    def ended(self, outcome: Outcome) -> None:
        """A run ended. What it saved last goes out before its outcome, unless it has completed."""
        self._due.pop(outcome.id, None)
        save = self._latest.pop(outcome.id, None)
        if save is not None and outcome.kind is not OutcomeKind.COMPLETED:
            self._parting.append(save)

    def wait(self, now: float) -> float | None:
        """Seconds until something is to be sent; None when there is nothing."""
        if self._parting:
            return 0.0
        if not self._latest:
            return None
        return max(0.0, min(self._due.get(job_id, 0.0) for job_id in self._latest) - now)

    def take(self, now: float) -> list[Save]:
        """What is to be sent now."""
        due = [job_id for job_id in self._latest if self._due.get(job_id, 0.0) <= now]
        taken, self._parting = self._parting, []
        for job_id in due:
            self._due[job_id] = now + APART
            taken.append(self._latest.pop(job_id))
        return taken
