"""Who may start workers: the one counter at which quotas are kept, also while workers start.

A worker that was let in counts from that moment, by the name of its actor, until it is up and
counts as itself, or its starter no longer speaks of it. One that vanished counts on for a while,
since Ray may be starting it anew.
"""

from dataclasses import dataclass

from taskqueue_ray.core.admission import QuotaView, WorkersAdmitted, WorkersWanted
from taskqueue_ray.core.errors import Recovering, UnknownCapability
from taskqueue_ray.core.exchange import WorkerInfo
from taskqueue_ray.core.model import Options, Strategy
from taskqueue_ray.core.nodes import NodeView
from taskqueue_ray.core.placement import DEFAULT, Seat, Spot, able, choose, place
from taskqueue_ray.core.quotas import (
    Holding,
    Refusal,
    admit,
    ceiling_of,
    check_amounts,
    job_holds,
)
from taskqueue_ray.engine.nodes import Nodes
from taskqueue_ray.engine.writepath import WritePath

TERM = 60.0
"""Seconds for which a worker that is not up counts without being named again."""

RETURN = 3.0
"""Seconds after the opening of the queue in which workers that ran on come back and are counted."""

REFUSED = 15.0
"""Seconds for which a refusal is the reason why jobs wait."""


@dataclass(slots=True)
class _Reservation:
    holding: Holding
    needs: dict[str, float]
    node: str
    until: float


@dataclass(slots=True)
class _HeldBack:
    queues: tuple[str, ...]
    refusal: Refusal
    until: float


class Admission:
    """Lets workers in, and says where they go."""

    def __init__(self, path: WritePath, nodes: Nodes) -> None:
        self._path = path
        self._nodes = nodes
        self._reserved: dict[str, _Reservation] = {}
        self._held_back: dict[str, _HeldBack] = {}
        self._turn = self._selections = 0
        self._counted_from = 0.0

    def begin(self, now: float) -> None:
        """The queue has opened: nobody has said yet what is held."""
        self._counted_from = now + RETURN

    def admit(self, wanted: WorkersWanted, now: float) -> WorkersAdmitted:
        """Let in as many of the names as the quotas allow. A name that was let in stays so."""
        check_amounts((*wanted.holds.items(), *wanted.needs.items()))
        self._tidy(now)
        self._renew(wanted.starting, now)
        if wanted.names and self.is_closed:
            return WorkersAdmitted([], None, is_closed=True)
        quotas = list(self._path.state.premises.quotas.values())
        if quotas and wanted.names:
            self._check_counted(now, shares=any(quota.percent for quota in quotas))
        spots: list[Spot] = []
        asked = Holding(wanted.queues, wanted.holds)
        for name in wanted.names:
            refusal = admit(quotas, self._holdings(besides=name), asked, self._nodes.total())
            if refusal is not None:
                self._held_back[wanted.starter] = _HeldBack(wanted.queues, refusal, now + REFUSED)
                return WorkersAdmitted(spots, refusal)
            spot = self._place(wanted)
            self._reserved[name] = _Reservation(asked, wanted.needs, spot.node, now + TERM)
            spots.append(spot)
        if wanted.names:
            self._held_back.pop(wanted.starter, None)
        return WorkersAdmitted(spots)

    def give_up(self, names: list[str]) -> None:
        """These were let in and will not come."""
        for name in names:
            self._reserved.pop(name, None)

    def came(self, info: WorkerInfo) -> None:
        """A worker is up: it counts as itself."""
        self._reserved.pop(info.actor, None)

    def vanished(self, info: WorkerInfo) -> None:
        """A worker is gone, not in good order: it may come again under its name."""
        if info.actor and self._path.state.premises.quotas:
            holding = Holding(info.queues, dict(info.holds))
            self._reserved[info.actor] = _Reservation(
                holding, {}, "", self._path.clock.now() + TERM
            )

    def refusal(self, queue: str, now: float) -> Refusal | None:
        """The quota that lately held back workers for a queue."""
        for one in self._held_back.values():
            if one.until > now and (not one.queues or queue in one.queues):
                return one.refusal
        return None

    def refused(self, options: Options) -> Refusal | None:
        """The quota that lets no such job start in Ray, where it takes resources of its own."""
        quotas = list(self._path.state.premises.quotas.values())
        wanted = Holding((options.queue,), job_holds(options))
        return admit(quotas, self._holdings(), wanted, self._nodes.total()) if quotas else None

    @property
    def is_closed(self) -> bool:
        """Whether there are nodes, and none of them is open for workers."""
        seats = self._nodes.seats() if self._path.state.premises.nodes else []
        return bool(seats) and not any(seat.is_open for seat in seats)

    def quotas(self) -> list[QuotaView]:
        """All quotas, and how far each is used."""
        held, total = self._holdings(), self._nodes.total()
        return [
            QuotaView(
                quota,
                ceiling_of(quota, total),
                sum(
                    one.amounts.get(quota.resource, 0.0)
                    for one in held
                    if not quota.queue or not one.queues or quota.queue in one.queues
                ),
            )
            for quota in self._path.state.premises.quotas.values()
        ]

    def select(self, capabilities: list[str]) -> NodeView:
        """An open node that has all of these, by the strategy. Raises `UnknownCapability`."""
        seats = [seat for seat in self._seats() if seat.is_open]
        chosen = choose(self._strategy(), able(seats, capabilities), {}, self._selections)
        if chosen is None:
            known = frozenset[str]().union(*(seat.abilities for seat in seats))
            lacking = [one for one in capabilities if one not in known]
            raise UnknownCapability(lacking or capabilities, sorted(known))
        self._selections += 1
        return self._nodes.view(self._nodes.find(chosen))

    # --- inside ---------------------------------------------------------------------------

    def _check_counted(self, now: float, *, shares: bool) -> None:
        if now < self._counted_from:
            raise Recovering("workers that ran on are still being counted")
        if shares and not self._nodes.are_known:
            raise Recovering("the nodes of the cluster are not known yet")

    def _place(self, wanted: WorkersWanted) -> Spot:
        self._turn += 1
        turn = self._turn - 1
        return place(self._strategy(), self._seats(), wanted.needs, turn, wanted.selector)

    def _strategy(self) -> Strategy:
        return self._path.state.premises.strategy or DEFAULT

    def _seats(self) -> list[Seat]:
        """The nodes, with those workers too that are on their way there."""
        coming: dict[str, list[_Reservation]] = {}
        for one in self._reserved.values():
            coming.setdefault(one.node, []).append(one)
        return [
            _with(seat, coming[seat.id]) if seat.id in coming else seat
            for seat in self._nodes.seats()
        ]

    def _holdings(self, besides: str = "") -> list[Holding]:
        held = [one.holding for name, one in self._reserved.items() if name != besides]
        held += [
            Holding(session.info.queues, dict(session.info.holds))
            for session in self._path.fleet.workers.values()
            if session.info is not None and session.info.actor != besides
        ]
        held += [
            Holding((job.options.queue,), job_holds(job.options))
            for jobs in self._path.state.held.values()
            for job in jobs.values()
            if job.options.in_ray
        ]
        return held

    def _renew(self, names: list[str], now: float) -> None:
        for name in names:
            if (one := self._reserved.get(name)) is not None:
                one.until = now + TERM

    def _tidy(self, now: float) -> None:
        for name in [name for name, one in self._reserved.items() if one.until <= now]:
            del self._reserved[name]
        for name in [name for name, one in self._held_back.items() if one.until <= now]:
            del self._held_back[name]


def _with(seat: Seat, coming: list[_Reservation]) -> Seat:
    free = dict(seat.free)
    for one in coming:
        for name, amount in one.needs.items():
            free[name] = free.get(name, 0.0) - amount
    return Seat(
        seat.id, free, seat.workers + len(coming), seat.connections, seat.weight, seat.is_open,
        seat.abilities, seat.labels,
    )  # fmt: skip
