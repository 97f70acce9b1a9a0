"""What becomes of the jobs of an executor that has ended."""

from collections.abc import Callable

from taskqueue_ray.cluster.executor_slot import Charge, ExecutorSlot, Remains
from taskqueue_ray.cluster.incidents import Incident
from taskqueue_ray.cluster.verdicts import Ending, Verdicts, how_it_ended
from taskqueue_ray.cluster.waiting import Ticket
from taskqueue_ray.cluster.watchdog import suspects
from taskqueue_ray.core.exchange import Outcome


class Inquest:
    """Finds whom to charge with the end of an executor; the others are released."""

    def __init__(self, verdicts: Verdicts, tell: Callable[[Incident], None]) -> None:
        self._verdicts = verdicts
        self._tell = tell

    def outcomes(
        self, slot: ExecutorSlot, remains: Remains, status: int | Ending | None, now: float
    ) -> list[Outcome]:
        """The outcomes of what had begun. `status` None: it ended with its fork server."""
        charged = slot.charged or suspects(slot)
        ran = [
            self._sentence(ticket, charged.get(mark.ordinal), now - mark.began, status)
            for mark, ticket in remains.running
        ]
        return ran + [self._spared(ticket, 0.0) for ticket in remains.begun]

    def interrupted(self, remains: Remains) -> list[Outcome]:
        """The outcomes when the worker ended it for reasons of its own: nobody is charged."""
        begun = [ticket for _, ticket in remains.running] + remains.begun
        return [self._spared(ticket, 0.0) for ticket in begun]

    def _sentence(
        self, ticket: Ticket, charge: Charge | None, seconds: float, status: int | Ending | None
    ) -> Outcome:
        type_name, job_id = ticket.options.type, ticket.grant.id
        if charge is None:
            return self._spared(ticket, seconds)
        if charge == "exit":
            how = how_it_ended(status)[1]
            self._tell(Incident("exit", f"a {type_name} lost its executor: {how}", job_id))
            return self._verdicts.died(ticket, seconds, status)
        self._tell(Incident(charge, f"a {type_name} was killed after {seconds:.1f} s", job_id))
        if charge == "cancel":
            return self._verdicts.cancelled(ticket, seconds)
        if charge == "blocked":
            return self._verdicts.blocked(ticket, seconds)
        return self._verdicts.timed_out(ticket, seconds)

    def _spared(self, ticket: Ticket, seconds: float) -> Outcome:
        if ticket.cancel_by:
            return self._verdicts.cancelled(ticket, seconds)
        return self._verdicts.released(ticket)
