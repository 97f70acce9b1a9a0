"""What running jobs ask of the queue goes through their worker."""

import asyncio
from collections.abc import Awaitable, Callable

from taskqueue_ray.cluster.executor_slot import ExecutorSlot
from taskqueue_ray.cluster.incidents import Incident
from taskqueue_ray.core.errors import TaskQueueError, Unavailable, to_wire
from taskqueue_ray.executor.messages import Call, Reply


class Relay:
    """Passes calls on, each in a task of its own, and brings answers and typed errors back."""

    def __init__(
        self,
        call: Callable[[str, bytes], Awaitable[bytes]],
        tell: Callable[[Incident], None],
    ) -> None:
        self._call = call
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, slot: ExecutorSlot, call: Call) -> None:
        """Pass a call on; the executor is answered when the queue has."""
        task = asyncio.get_running_loop().create_task(self._relay(slot, call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Drop the calls that are under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, slot: ExecutorSlot, call: Call) -> None:
        try:
            reply = Reply(call.number, await self._call(call.method, call.request))
        except TaskQueueError as error:
            reply = Reply(call.number, b"", to_wire(error))
        except Exception as error:
            problem = f"{call.method} of a job could not be relayed: {error!r}"
            self._tell(Incident("call", problem))
            reply = Reply(call.number, b"", to_wire(Unavailable(type(error).__name__)))
        slot.reply(reply)
