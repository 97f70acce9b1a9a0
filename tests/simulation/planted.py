"""Bugs put in on purpose: a harness that does not find these would not find others.

Each one is a patch of the product, switched on for one test, with the invariant by which the
outside notices. I12 compares states and sees most bugs first, so it is blind here unless it is the
invariant that the bug is about.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec

from taskqueue_ray.cluster.saving import Saving
from taskqueue_ray.core import (
    aside,
    awaiting,
    checkpointing,
    dependencies,
    firing,
    gates,
    lanes,
    leasing,
    settling,
    uniqueness,
    upkeep,
    usage,
)
from taskqueue_ray.core.commands import Checkpoint, Command, Enqueue, Settle
from taskqueue_ray.core.events import Event
from taskqueue_ray.core.exchange import OutcomeKind, Save
from taskqueue_ray.core.model import NO_CONFLICTS, Leased
from taskqueue_ray.core.state import State
from taskqueue_ray.engine import opening
from taskqueue_ray.engine.commits import Commits, Done
from taskqueue_ray.engine.engine import Engine
from taskqueue_ray.engine.fleet import Respond
from taskqueue_ray.engine.work import Work
from taskqueue_ray.storage import publication
from taskqueue_ray.storage.blobs import Upload
from taskqueue_ray.storage.journal import Journal
from taskqueue_ray.storage.manifest import Fence
from taskqueue_ray.storage.recovery import segment_name, segment_sequences
from tests import faultfs

Patch = Callable[[], AbstractContextManager[Any]]


class Planted(NamedTuple):
    """A bug, and what must give it away."""

    plant: Patch
    noticed_as: frozenset[str]
    blind: frozenset[str] = frozenset({"I12"})


def reply_before_commit() -> AbstractContextManager[Any]:
    """Answers leave as soon as what they say is in memory."""

    def then(self: Commits, done: Done) -> None:
        done(self.broken)

    return patch.object(Commits, "then", then)


def repeat_before_commit() -> AbstractContextManager[Any]:
    """Only a repeat that finds its jobs in memory is answered at once; all else waits."""
    honest = Engine._carry_out

    def enqueue(self: Engine, command: Command, respond: Respond) -> None:
        jobs = command.batch.jobs if isinstance(command, Enqueue) else []
        if jobs and all(self.state.known(job.id) for job in jobs):
            respond(self.path.execute(command))
        else:
            honest(self, command, respond)

    return patch.object(Engine, "_carry_out", enqueue)


def acknowledged_before_fsync() -> AbstractContextManager[Any]:
    """A commit forgets its fsync."""
    honest = Journal.commit

    def commit(self: Journal, payload: bytes) -> None:
        with patch.object(faultfs._FaultFile, "sync", lambda self: None):
            honest(self, payload)

    return patch.object(Journal, "commit", commit)


def completion_from_any_delivery() -> AbstractContextManager[Any]:
    """The token of an outcome is not looked at."""
    honest = settling.decide

    def decide(state: State, command: Settle, now: float) -> settling.Verdict:
        by, outcomes = command.worker, []
        for given in command.outcomes:
            outcome, job = given, state.jobs.get(given.id)
            if job is not None and isinstance(job.phase, Leased):
                by = job.phase.worker
                outcome = msgspec.structs.replace(
                    given, delivery=job.delivery, lease=job.phase.lease
                )
            outcomes.append(outcome)
        return honest(state, Settle(by, outcomes, command.chances), now)

    return patch.object(settling, "decide", decide)


@contextmanager
def _after_recovery(spoil: Callable[[State], None]) -> Iterator[None]:
    honest = opening._recover

    def recover(*args: Any) -> Any:
        state, replayed = honest(*args)
        spoil(state)
        return state, replayed

    with patch.object(opening, "_recover", recover):
        yield


def finished_ids_forgotten_at_restart() -> AbstractContextManager[Any]:
    """A new process knows only the jobs that have not ended."""
    return _after_recovery(lambda state: state.settled.clear())


def delivery_count_in_memory_only() -> AbstractContextManager[Any]:
    """A new process counts the deliveries of waiting jobs from nothing."""

    def forget(state: State) -> None:
        for job in state.jobs.values():
            if not isinstance(job.phase, Leased):
                job.delivery = 0
        state._begin()  # else everyone would stand there twice
        state.rebuild()

    return _after_recovery(forget)


def fence_not_looked_at() -> AbstractContextManager[Any]:
    """A writer never notices that another one has taken over."""
    return patch.object(Fence, "check", lambda self: None)


def leases_of_lost_workers_kept() -> AbstractContextManager[Any]:
    """A worker that does not come back keeps its jobs."""
    return patch.object(Work, "lose", lambda self, worker: self._workers.pop(worker, None))


def journal_removed_before_the_manifest() -> AbstractContextManager[Any]:
    """The fold cleans up first, and then makes its manifest true."""
    honest = publication.publish

    def publish(fs: Any, fence: Fence, result: publication.FoldResult) -> None:
        for sequence in segment_sequences(fs):
            if sequence < result.first_segment:
                fs.remove(segment_name(sequence))
        honest(fs, fence, result)

    return patch("tests.simulation.server.publish", publish)


def attempts_not_counted() -> AbstractContextManager[Any]:
    """A failed attempt is tried again for ever."""
    honest = settling._sort

    def sort(state: State, event: Any, job: Any, outcome: Any, now: float, chance: float) -> None:
        few = msgspec.structs.replace(job, attempts=0)
        honest(state, event, few, outcome, now, chance)

    return patch.object(settling, "_sort", sort)


def youngest_first() -> AbstractContextManager[Any]:
    """Of two jobs of one priority the later one is leased."""
    return patch("taskqueue_ray.core.rounds.age", lambda job: -job.ordinal)


def unique_keys_not_looked_at() -> AbstractContextManager[Any]:
    """Every job is stored, whoever has its key."""
    return patch.object(uniqueness, "find_conflicts", lambda *args: NO_CONFLICTS)


def unique_keys_kept_for_ever() -> AbstractContextManager[Any]:
    """A job that has ended still has its key."""
    return patch.object(uniqueness, "apply_ended", lambda state, job: None)


def children_not_told() -> AbstractContextManager[Any]:
    """The end of a parent means nothing to its children."""
    return patch.object(dependencies, "apply_ended", lambda state, parent, at: None)


def wishes_to_wait_ignored() -> AbstractContextManager[Any]:
    """A job that asked to wait for others is ready again at once."""
    return patch.object(awaiting, "is_awaited", lambda parent, policy: False)


def checkpoint_from_any_delivery() -> AbstractContextManager[Any]:
    """The token of a checkpoint is not looked at."""
    honest = checkpointing.decide

    def decide(state: State, command: Checkpoint, now: float) -> list[Event]:
        events = []
        for given in command.saves:
            job = state.jobs.get(given.id)
            if job is not None and isinstance(job.phase, Leased):
                save = msgspec.structs.replace(given, delivery=job.delivery, lease=job.phase.lease)
                events += honest(state, Checkpoint(job.phase.worker, [save]), now)
        return events

    return patch.object(checkpointing, "decide", decide)


def checkpoints_in_memory_only() -> AbstractContextManager[Any]:
    """A new process knows of none."""

    def forget(state: State) -> None:
        for job in state.jobs.values():
            job.checkpoint = None

    return _after_recovery(forget)


def outcomes_overtake_checkpoints() -> AbstractContextManager[Any]:
    """An outcome does not take along what is still on its way."""
    honest = Saving.take

    def take(self: Saving, sequence: int, outcomes: Any, most: int) -> list[Save]:
        return honest(self, sequence, [], most)

    return patch.object(Saving, "take", take)


def cancel_wins_over_completion() -> AbstractContextManager[Any]:
    """What completes after somebody asked to cancel it ends as cancelled."""
    honest = settling.decide

    def decide(state: State, command: Settle, now: float) -> settling.Verdict:
        outcomes = []
        for given in command.outcomes:
            job = state.jobs.get(given.id)
            stopped = job is not None and job.cancelling
            kind = OutcomeKind.CANCELLED if stopped else given.kind
            outcomes.append(msgspec.structs.replace(given, kind=kind))
        return honest(state, Settle(command.worker, outcomes, command.chances), now)

    return patch.object(settling, "decide", decide)


def suspects_with_others() -> AbstractContextManager[Any]:
    """Jobs that may have killed their worker are leased like all others."""
    return patch.object(leasing, "_apart", lambda state, worker, jobs, now: jobs)


def nobody_is_suspected() -> AbstractContextManager[Any]:
    """What a worker merely held when it vanished counts for nothing, again and again."""
    return patch.object(State, "suspect", lambda self, job: None)


def concurrency_keys_forgotten_at_restart() -> AbstractContextManager[Any]:
    """Of a job that runs a new process does not know that it has its key."""
    return patch.object(aside.Aside, "occupy", lambda self, job: None)


def pauses_do_not_hold_newcomers() -> AbstractContextManager[Any]:
    """What comes, or comes back, while its type or tag is paused stands in line."""
    return patch.object(aside.Aside, "pause_of", lambda self, options: None)


def paused_jobs_kept_aside() -> AbstractContextManager[Any]:
    """What stood aside for a pause is not let in when it is over."""
    return patch.object(aside.Aside, "resume", lambda self, pause: [])


def meters_forgotten_at_restart() -> AbstractContextManager[Any]:
    """A new process believes that nothing was started lately."""
    honest = Engine.open

    def begin(self: Engine, *given: Any) -> None:
        self.state.limits.meters.clear()
        honest(self, *given)

    return patch.object(Engine, "open", begin)


def places_never_given_back() -> AbstractContextManager[Any]:
    """The end of a lease frees nothing of a concurrency limit."""
    return patch.object(usage.Usage, "give_back", lambda self, jobs: set())


def limits_open_without_a_sign() -> AbstractContextManager[Any]:
    """Nobody hears of it when a limit opens."""
    return patch.object(gates.Gates, "reopen", lambda self, now: None)


def turns_without_end() -> AbstractContextManager[Any]:
    """The tenant whose turn it is keeps it for as long as it has jobs."""
    return patch.object(lanes.TenantLane, "took", lambda self, keys: None)


def dead_letters_purged_early() -> AbstractContextManager[Any]:
    """Dead letters go a moment after they failed, whatever their term is."""
    return patch.object(upkeep, "term_of", lambda *_: 1.0)


def cursor_moved_later() -> AbstractContextManager[Any]:
    """A schedule's job comes first, and the cursor is moved by an event of its own."""
    honest = firing.decide

    def decide(state: State, now: float, bounds: Any) -> Any:
        made, fired = honest(state, now, bounds)
        if fired is None or not fired.job:
            return made, fired
        schedule = state.schedules[fired.schedule]
        before = msgspec.structs.replace(
            fired, cursor=schedule.cursor, following=schedule.due, wake=now + 1.0
        )
        return [*made[:-1], before], before

    return patch.object(firing, "decide", decide)


def runs_forgotten_at_restart() -> AbstractContextManager[Any]:
    """A new process does not know which runs of a schedule go on."""
    return _after_recovery(lambda state: state.runs.clear())


def blobs_not_synced() -> AbstractContextManager[Any]:
    """A blob counts as durable as soon as it has its name."""

    def finish(self: Upload) -> None:
        self._file.close()
        self._fs.move(self._temporary, self._name, replace=True)

    return patch.object(Upload, "finish", finish)


PLANTED: dict[str, Planted] = {
    "reply before commit": Planted(reply_before_commit, frozenset({"I1", "I2", "I4", "I5", "I14"})),
    "a repeat is answered before the commit": Planted(
        repeat_before_commit, frozenset({"I1", "I14"})
    ),
    "acknowledged before fsync": Planted(
        acknowledged_before_fsync, frozenset({"I1", "I4", "I5", "I6", "I13", "I14"})
    ),
    "completion accepted from any delivery": Planted(
        completion_from_any_delivery, frozenset({"I4", "I6"})
    ),
    "ids of finished jobs forgotten at restart": Planted(
        finished_ids_forgotten_at_restart, frozenset({"I1", "I4", "I5", "I6"})
    ),
    "delivery count kept in memory only": Planted(
        delivery_count_in_memory_only, frozenset({"I4", "I5", "I6"})
    ),
    "fence check skipped": Planted(fence_not_looked_at, frozenset({"I4", "I7"})),
    "leases of lost workers kept": Planted(leases_of_lost_workers_kept, frozenset({"I14"})),
    "journal removed before the manifest": Planted(
        journal_removed_before_the_manifest, frozenset({"I12", "I13"}), frozenset()
    ),
    "attempts not counted": Planted(attempts_not_counted, frozenset({"I10"})),
    "recovered state lacks a fact": Planted(
        finished_ids_forgotten_at_restart, frozenset({"I12"}), frozenset()
    ),
    "unique keys are not looked at": Planted(unique_keys_not_looked_at, frozenset({"I15"})),
    "unique keys are kept for ever": Planted(unique_keys_kept_for_ever, frozenset({"I15"})),
    "children are not told": Planted(children_not_told, frozenset({"I14"})),
    "nobody waits for others": Planted(wishes_to_wait_ignored, frozenset({"I16"})),
    "a checkpoint is accepted from any delivery": Planted(
        checkpoint_from_any_delivery, frozenset({"I20"})
    ),
    "checkpoints are kept in memory only": Planted(
        checkpoints_in_memory_only, frozenset({"I12"}), frozenset()
    ),
    "outcomes overtake checkpoints": Planted(outcomes_overtake_checkpoints, frozenset({"I20"})),
    "a cancellation wins over a completion": Planted(
        cancel_wins_over_completion, frozenset({"I1", "I6"})
    ),
    "suspects are leased with others": Planted(suspects_with_others, frozenset({"I8", "I10"})),
    "nobody is suspected": Planted(nobody_is_suspected, frozenset({"I8", "I10"})),
    "dead letters are purged early": Planted(dead_letters_purged_early, frozenset({"I1"})),
    "youngest first": Planted(youngest_first, frozenset({"I8"})),
    "concurrency keys are forgotten at restart": Planted(
        concurrency_keys_forgotten_at_restart, frozenset({"I17"})
    ),
    "pauses do not hold newcomers": Planted(pauses_do_not_hold_newcomers, frozenset({"I18"})),
    "paused jobs are kept aside": Planted(paused_jobs_kept_aside, frozenset({"I8", "I14"})),
    "meters are forgotten at restart": Planted(meters_forgotten_at_restart, frozenset({"I23"})),
    "places of a limit are not given back": Planted(places_never_given_back, frozenset({"I14"})),
    "limits open without a sign": Planted(limits_open_without_a_sign, frozenset({"I14"})),
    "turns without end": Planted(turns_without_end, frozenset({"I19"})),
    "a cursor is moved after its job was made": Planted(cursor_moved_later, frozenset({"I21"})),
    "blobs are not synced": Planted(blobs_not_synced, frozenset({"I24"})),
    "runs are forgotten at restart": Planted(runs_forgotten_at_restart, frozenset({"I22"})),
}
