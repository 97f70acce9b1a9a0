"""Checkpoints on their way from a worker to the queue."""

from collections.abc import Iterable

from taskqueue_ray.core.exchange import Outcome, OutcomeKind, Save
from taskqueue_ray.core.model import JobId


class Saving:
    """What runs have saved and the queue has not confirmed yet.

    An exchange may overtake another, and the end of a run ends its lease: with an outcome goes
    all that its run has saved, also what is in a call without an answer.
    """

    def __init__(self) -> None:
        self._latest: dict[JobId, Save] = {}
        self._asked: dict[int, list[Save]] = {}

    def __bool__(self) -> bool:
        """Whether there is something that no call has taken."""
        return bool(self._latest)

    def add(self, saves: Iterable[Save]) -> None:
        """Take in what executors report; the later one of a job replaces the earlier.

        A grant that was overtaken on its way may have begun a run under a lease that is over, after
        one under a later lease: what that saves is refused, and must not replace anything.
        """
        for save in saves:
            known = self._latest.get(save.id)
            if known is None or known.delivery <= save.delivery:
                self._latest[save.id] = save

    def take(self, sequence: int, outcomes: Iterable[Outcome], most: int) -> list[Save]:
        """What goes into the call of that number with these outcomes.

        Of other runs as much as fits into `most` bytes, and at least one.
        """
        if not (self._latest or self._asked):
            return []
        ended = {outcome.id for outcome in outcomes}
        for outcome in outcomes:
            save = self._latest.get(outcome.id)
            if outcome.kind is OutcomeKind.COMPLETED and save and save.delivery == outcome.delivery:
                del self._latest[outcome.id]
        saves = [save for asked in self._asked.values() for save in asked if save.id in ended]
        size = 0
        for save in list(self._latest.values()):
            size += len(save.sealed)
            if save.id in ended or size <= most or not saves:
                saves.append(self._latest.pop(save.id))
        if saves:
            self._asked[sequence] = saves
        return saves

    def answered(self, sequence: int) -> None:
        """What went with this call is kept by the queue, or refused."""
        self._asked.pop(sequence, None)
