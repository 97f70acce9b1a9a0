"""What whoever starts workers asks the queue first, and what it is told."""

import msgspec

from taskqueue_ray.core.model import Quota
from taskqueue_ray.core.placement import Spot
from taskqueue_ray.core.quotas import Refusal


class WorkersWanted(msgspec.Struct, frozen=True):
    """May these be started? `names` are those of the actors to be, new with each.

    `holds` is what each counts as, `needs` what its actor asks of Ray, `selector` what it asks of a
    node's labels. `starting` are names that were let in before and are not up yet: what is not
    named again, nor comes up, is forgotten after a time.
    """

    starter: str
    queues: tuple[str, ...]
    names: list[str]
    holds: dict[str, float] = {}
    needs: dict[str, float] = {}
    starting: list[str] = []
    selector: tuple[tuple[str, str], ...] = ()


class WorkersAdmitted(msgspec.Struct, frozen=True):
    """Where the first of the names go; the others may not start now.

    That is for the quota of the `refusal`, or since no node is open for workers (`is_closed`).
    """

    spots: list[Spot]
    refusal: Refusal | None = None
    is_closed: bool = False

    @property
    def words(self) -> str:
        """Why no more of them may start; "" when all may."""
        if self.is_closed:
            return "every node is cordoned, draining or fenced"
        return "" if self.refusal is None else self.refusal.words


class QuotaView(msgspec.Struct, frozen=True):
    """A quota, what it comes to in this cluster, and how much of that is held."""

    quota: Quota
    ceiling: float
    held: float
