"""Large payloads in a simulated cluster: sent before their jobs, fetched when these run.

I24: whatever happens, no job is without its blob, and no blob stays for long without its job.
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

from taskqueue_ray.core.blobs import (
    Blob,
    BlobPart,
    BlobWanted,
    make_reference,
    read_reference,
)
from taskqueue_ray.core.envelopes import decode, encode, open_reply
from taskqueue_ray.core.errors import BlobLost, TaskQueueError
from taskqueue_ray.core.exchange import Grant
from taskqueue_ray.core.model import JobId, JobSpec, Leased
from taskqueue_ray.engine.blobs import GRACE
from taskqueue_ray.storage.blobs import take_census

if TYPE_CHECKING:
    from tests.simulation.server import Server
    from tests.simulation.world import World

PATIENCE = 4.0
PAUSE = 1.0
PART = 40
SWEEPS, SETTLING = 20, 100
"""How often useless blobs are looked for, and the steps in which they are removed."""


class Sender:
    """Sends the blobs of jobs part by part, from where the queue wants it, until it has them."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.contents: dict[JobId, bytes] = {}

    def keep(self, job_id: JobId, payload: bytes) -> bytes:
        """What goes into the job instead of its payload."""
        self.contents[job_id] = payload
        return make_reference(sha256(payload).digest(), len(payload))

    def send(self, jobs: Iterable[JobSpec], then: Callable[[], None]) -> None:
        """Send what these jobs need, one after another."""
        wanted = [job.id for job in jobs if job.id in self.contents]

        def following() -> None:
            if wanted:
                self._send(wanted.pop(), 0, following)
            else:
                then()

        following()

    def _send(self, job_id: JobId, offset: int, then: Callable[[], None]) -> None:
        data = self.contents[job_id]
        blob = Blob(job_id, "payload", sha256(data).digest())

        def answer(reply: bytes | None) -> None:
            try:
                position = None if reply is None else decode(open_reply(reply), int)
            except TaskQueueError:
                position = None
            if position == len(data):
                then()
            elif position is None:
                self.world.agenda.later(PAUSE, lambda: self._send(job_id, offset, then))
            else:
                self._send(job_id, position, then)

        part = BlobPart(blob, len(data), offset, data[offset : offset + PART])
        self.world.transport.call("put_blob", encode(part), PATIENCE, answer)


def fetch(
    grant: Grant,
    call: Callable[[str, bytes, Callable[[bytes | None], None]], None],
    world: "World",
    then: Callable[[bytes | None], None],
) -> None:
    """What a worker does before it runs a job; `then` gets None when nobody answered."""
    named = read_reference(grant.payload)
    if named is None:
        then(grant.payload)
        return

    def answer(reply: bytes | None) -> None:
        data = None
        try:
            data = None if reply is None else decode(open_reply(reply), bytes)
        except BlobLost as lost:
            _check_lost(world, grant, lost)
        except TaskQueueError:
            pass
        if data is not None and sha256(data).digest() != named.digest:
            world.witness.fail("I24", f"{grant.id.hex()} gets other bytes than were sent for it")
        then(data)

    call("get_blob", encode(BlobWanted(Blob(grant.id, "payload", named.digest), 0)), answer)


def _check_lost(world: "World", grant: Grant, lost: BlobLost) -> None:
    """Only of a job that is no longer this worker's may the blob be gone."""
    server = world.server
    job = None if server is None else server.engine.state.jobs.get(grant.id)
    if job is None or world.agenda.now < world.divided_until:
        return
    if isinstance(job.phase, Leased) and job.phase.lease == grant.lease:
        world.witness.fail("I24", f"{grant.id.hex()} runs without its payload: {lost}")


def judge(world: "World", step: Callable[[], None]) -> None:
    """When all is done, compare the blobs with the jobs; then let the grace time pass.

    What an owner writes in the moment in which it is fenced off, the next opening finds.
    """
    census = take_census(world.fs, _serving(world, step).engine.state)
    if census.missing or census.damaged:
        world.witness.fail("I24", f"blobs are not there or not whole: {census}")
    if not census.orphaned:
        return
    world.restart()
    for _ in range(SWEEPS):
        engine = _serving(world, step).engine
        engine.blobs.sweep(world.agenda.now + 2 * GRACE)
        # Others may become useless meanwhile: dead letters go, jobs come into the history.
        for _ in range(SETTLING):
            step()
        if not take_census(world.fs, engine.state).orphaned:
            return
    world.witness.fail("I24", "there are blobs that nobody needs")


def _serving(world: "World", step: Callable[[], None]) -> "Server":
    while world.server is None:
        step()
    return world.server
