"""What must be true of schedules: I21 and I22 of the witness."""

from typing import TYPE_CHECKING, Any

from taskqueue_ray.core import events
from taskqueue_ray.core.exchange import Grant
from taskqueue_ray.core.model import JobId, JobSpec, Options

if TYPE_CHECKING:
    from tests.simulation.witness import Shadow

Time = tuple[bytes, float]
"""A schedule, by what its ids derive from, and a due time of it."""


class Firings:
    """Follows what is fired, by the acknowledged commits and by what workers get."""

    def __init__(self, shadow: "Shadow") -> None:
        self._shadow = shadow
        self._fired: set[Time] = set()
        self._granted: dict[tuple[str, bytes, float], JobId] = {}

    def announced(self, event: Any) -> None:
        """Jobs that a server is about to commit: from then on workers may get them."""
        if isinstance(event, events.Fired) and event.job:
            due = event.due + event.delay
            self._know(event.job, due)
        elif isinstance(event, events.Ran):
            for job, _ in event.jobs:
                self._know(job, 0.0)

    def _know(self, job: JobId, due: float) -> None:
        spec = JobSpec(job, 0, b"", due)
        self._shadow.witness.specs.setdefault(job, (spec, Options("mail", "t", max_attempts=2)))

    def check(self, event: Any) -> None:
        """Before a commit is applied to the shadow."""
        if isinstance(event, events.Ran):
            self._shadow.witness.accepted(job for job, _ in event.jobs)
        if not isinstance(event, events.Fired):
            return
        schedule = self._shadow.state.schedules[event.schedule]
        if event.due:
            time = (schedule.key, event.due)
            if time in self._fired:
                self._fail("I21", f"{event.schedule} fired twice for {event.due:.3f}")
            self._fired.add(time)
            if event.due > event.at + 1e-6:
                self._fail("I21", f"{event.schedule} fired before {event.due:.3f}")
        if event.job:
            self._shadow.witness.accepted([event.job])
            if schedule.plan.overlap in ("skip", "buffer_one") and self._goes_on(event.schedule):
                self._fail("I22", f"{event.schedule} fired while a run of it went on")

    def granted(self, grant: Grant) -> None:
        """A worker got a job: for one time, one job."""
        fired = grant.fired
        if fired is None or fired.by:
            return
        # Another schedule may have the name later; its payload is sealed to another origin.
        time = (fired.schedule, fired.origin, fired.due)
        if self._granted.setdefault(time, grant.id) != grant.id:
            self._fail("I21", f"two jobs run for {fired.due:.3f} of {fired.schedule}")

    def _goes_on(self, name: str) -> bool:
        return any(
            job.fired is not None
            and job.fired.schedule == name
            and job.fired.by != "backfill"
            and not job.state.final
            for job in self._shadow.state.jobs.values()
        )

    def _fail(self, invariant: str, what: str) -> None:
        self._shadow.witness.fail(invariant, what)
