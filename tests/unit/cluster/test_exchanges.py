"""A worker's calls to the queue: checkpoints ride along, and none is overtaken by its outcome."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from taskqueue_ray.cluster.exchanges import Exchanges
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.errors import NodeFenced, UnknownSession
from taskqueue_ray.core.exchange import Grant, Outcome, OutcomeKind, WorkReply, WorkRequest
from taskqueue_ray.core.model import JobId, Options
from tests.records import job_id, options, outcome, save, worker

PATIENCE = 10.0
GRANT = Grant(job_id(1), 1, 1, 1, 0, b"")
OTHER = Grant(job_id(2), 1, 1, 1, 0, b"")


class Hands:
    """Holds what it was given. What is cancelled ends at once, as a job that waits here does."""

    def __init__(self) -> None:
        self.given: list[JobId] = []
        self.on_cancelled: Callable[[list[Outcome]], None] = lambda _: None

    def submit(self, options: list[Options], grants: list[Grant]) -> None:
        self.given += [grant.id for grant in grants]

    def cancel(self, ids: list[JobId]) -> None:
        self.given = [one for one in self.given if one not in ids]
        if ids:
            self.on_cancelled([outcome(OTHER, OutcomeKind.CANCELLED)])

    def held(self) -> list[JobId]:
        return list(self.given)

    def running(self) -> list[JobId]:
        return []

    def room(self) -> int:
        return 0

    def rooms(self) -> dict[str, int]:
        return {}

    def full(self) -> list[str]:
        return []


class HeldQueue:
    """Takes calls, and answers each when the test says so."""

    def __init__(self) -> None:
        self.calls: dict[int, tuple[WorkRequest, asyncio.Future[bytes]]] = {}
        self._came = asyncio.Event()
        self.fenced = False
        self.refused = asyncio.Event()

    async def call(self, method: str, data: bytes) -> bytes:
        if method == "register":
            if self.fenced:
                self.refused.set()
                raise NodeFenced("node")
            return encode([])
        request = decode(data, WorkRequest)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.calls[request.sequence] = request, answer
        self._came.set()
        return await answer

    def answer(self, sequence: int, **said: Any) -> None:
        self.calls[sequence][1].set_result(encode(WorkReply(sequence, **said)))

    async def request(self, sequence: int) -> WorkRequest:
        """The call of that number, once it was made."""
        async with asyncio.timeout(PATIENCE):
            while sequence not in self.calls:
                self._came.clear()
                await self._came.wait()
        return self.calls[sequence][0]


def _run(test: Callable[[Exchanges, HeldQueue], Awaitable[None]]) -> None:
    async def scenario() -> None:
        queue = HeldQueue()
        hands = Hands()
        exchanges = Exchanges(worker(), hands, queue.call)
        hands.on_cancelled = exchanges.add_outcomes
        running = asyncio.create_task(exchanges.run())
        await queue.request(1)
        await test(exchanges, queue)
        running.cancel()

    asyncio.run(scenario())


def test_checkpoints_go_in_a_call_of_their_own_when_none_is_made_anyway() -> None:
    async def test(exchanges: Exchanges, queue: HeldQueue) -> None:
        exchanges.add_saves([save(GRANT, 1)])
        exchanges.add_saves([save(GRANT, 2)])
        assert (await queue.request(2)).saves == [save(GRANT, 2)]

    _run(test)


def test_an_outcome_takes_its_checkpoint_along_as_long_as_that_is_not_answered() -> None:
    async def test(exchanges: Exchanges, queue: HeldQueue) -> None:
        exchanges.add_saves([save(GRANT, 1)])
        await queue.request(2)
        queue.answer(1)
        exchanges.add_outcomes([outcome(GRANT, OutcomeKind.SNOOZED, due=1.0)])
        third = await queue.request(3)
        assert [one.id for one in third.outcomes] == [GRANT.id]
        assert third.saves == [save(GRANT, 1)]
        queue.answer(2)
        queue.answer(3)
        await queue.request(4)
        exchanges.add_outcomes([outcome(GRANT, OutcomeKind.SNOOZED, due=1.0)])
        assert (await queue.request(5)).saves == []

    _run(test)


def test_no_call_confirms_jobs_that_are_not_in_hand_yet() -> None:
    """The queue would take such jobs for given back, and lease them to the next."""

    async def test(exchanges: Exchanges, queue: HeldQueue) -> None:
        queue.answer(1, options=[options()], grants=[GRANT], cancel=[OTHER.id])
        second = await queue.request(2)  # made in the middle of the answer, by the cancellation
        assert [one.id for one in second.outcomes] == [OTHER.id]
        assert second.held == []
        assert second.acked == 0
        queue.answer(2)
        third = await queue.request(3)
        assert (third.held, third.acked) == ([GRANT.id], 2)

    _run(test)


def test_a_worker_whose_node_is_fenced_stops_what_it_has_and_can_leave() -> None:
    async def test(exchanges: Exchanges, queue: HeldQueue) -> None:
        queue.answer(1, options=[options()], grants=[OTHER])
        await queue.request(2)
        queue.fenced = True
        queue.calls[2][1].set_exception(UnknownSession("worker"))
        async with asyncio.timeout(PATIENCE):
            await queue.refused.wait()
            third = await queue.request(3)  # what it had has ended; the second one is repeated
            assert [one.id for one in third.outcomes] == [OTHER.id]
            queue.calls[3][1].set_exception(UnknownSession("worker"))
            leaving = asyncio.create_task(exchanges.leave())
            while not leaving.done():
                for _, answer in queue.calls.values():
                    if not answer.done():
                        answer.set_exception(UnknownSession("worker"))
                await asyncio.sleep(0)

    _run(test)


def test_a_drain_says_how_long_it_may_take() -> None:
    async def test(exchanges: Exchanges, queue: HeldQueue) -> None:
        queue.answer(1, drain=True, drain_seconds=12.0)
        async with asyncio.timeout(PATIENCE):
            await exchanges.drain_asked.wait()
        assert exchanges.drain_seconds == 12.0
        exchanges.node_memory = [5, 10]
        second = await queue.request(2)
        queue.answer(2)
        third = await queue.request(3)
        assert [5, 10] in (second.memory, third.memory)
        assert [] in (second.memory, third.memory)

    _run(test)
