"""What is due is enqueued, once, and by what the plan says of overlaps, ends and full queues."""

from typing import Any

import pytest

from taskqueue_ray.core import commands, events
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.errors import (
    BatchTooLarge,
    DuplicateJob,
    InvalidOption,
    InvalidRequest,
    QueueFull,
    ScheduleNotFound,
)
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.firing import RETRY
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Claim, Conditions, Finished, Job
from taskqueue_ray.core.rules import Every, Once
from taskqueue_ray.core.schedule import Schedule
from tests.ledger import Ledger, count_up, facts, meaning
from tests.records import START, job_id, options, spec
from tests.schedules import MINUTELY, put, template


class Fired(Ledger):
    """A ledger with one schedule, every minute unless a test says otherwise."""

    def __init__(self, command: commands.PutSchedule | None = None, **bounds: Any) -> None:
        super().__init__(Bounds(**bounds))
        self.do(command or put())

    @property
    def schedule(self) -> Schedule:
        return self.state.schedules["minutely"]

    def fire(self) -> int:
        """Deal with all that is due; how many jobs came of that."""
        before, turns = self.schedule.fired, 0
        while self.do(commands.Fire()) is not None:
            turns += 1
            assert turns < 1000
        return self.schedule.fired - before

    def after(self, seconds: float) -> int:
        self.now += seconds
        return self.fire()

    def run(self, kind: OutcomeKind = OutcomeKind.COMPLETED) -> None:
        """One job runs, and ends so."""
        (grant,) = self.lease()
        self.end(grant, kind)

    def jobs(self) -> list[Job]:
        """Its jobs, in the order of their firing."""
        known = (*self.state.settled.values(), *self.state.jobs.values())
        found = [one for one in known if isinstance(one, Job) and one.fired]
        return sorted(found, key=lambda job: job.ordinal)

    def dues(self) -> list[int]:
        """For which minutes after the start there are jobs."""
        return [round((job.fired.due - START) / 60) for job in self.jobs() if job.fired]


def test_a_due_time_is_fired_once() -> None:
    ledger = Fired()
    assert ledger.fire() == 0, "it is not due"
    assert ledger.after(60) == 1
    assert ledger.fire() == 0
    (job,) = ledger.jobs()
    assert (job.payload, job.options, job.state) == (b"sealed", options(), JobState.PENDING)
    assert job.fired is not None
    assert (job.fired.schedule, job.fired.origin, job.fired.due) == (
        "minutely", job_id(900), START + 60,
    )  # fmt: skip
    assert (ledger.schedule.cursor, ledger.schedule.due) == (START + 60, START + 120)
    assert (ledger.schedule.last_job, ledger.schedule.last_due) == (job.id, START + 60)
    count_up(ledger.state)


def test_enqueueing_and_the_cursor_are_one_event() -> None:
    """What is journalled is either both or neither."""
    ledger = Fired()
    before = len(ledger.commits)
    ledger.after(60)
    (payload,) = ledger.commits[before:]
    (event,) = events.decode(payload)
    assert isinstance(event, events.Fired)
    assert (event.job, event.cursor) == (ledger.jobs()[0].id, START + 60)
    assert facts(ledger.replayed()) == facts(ledger.state)
    assert meaning(ledger.replayed()) == meaning(ledger.state)


def test_the_id_of_a_job_is_that_of_its_time_whoever_fires_it() -> None:
    one, other = Fired(put(overlap="allow")), Fired(put(overlap="allow"))
    one.after(61)
    other.after(60)
    one.after(59)
    other.after(63)
    assert [job.id for job in one.jobs()] == [job.id for job in other.jobs()]
    assert len({job.id for job in one.jobs()}) == 2


def test_a_job_that_is_there_already_is_not_made_again() -> None:
    """A cursor that was set back, by whatever, does no harm as long as the job is remembered."""
    ledger = Fired(put(overlap="allow"))
    ledger.after(60)
    back = ledger.schedule
    back.cursor, back.due, back.wake = START, START + 60, START + 60
    ledger.state.wake(back)
    assert ledger.fire() == 0
    assert len(ledger.jobs()) == 1


def test_a_clock_that_goes_back_fires_nothing_again() -> None:
    ledger = Fired(put(overlap="allow"))
    ledger.after(180)
    ledger.now -= 170
    assert ledger.after(100) == 0
    assert ledger.after(130) == 1
    assert ledger.dues() == [3, 4]


def test_overlap_skip() -> None:
    ledger = Fired()
    ledger.after(60)
    assert ledger.after(60) == 0
    assert (ledger.schedule.skipped, ledger.schedule.cursor) == (1, START + 120)
    ledger.run()
    assert ledger.after(60) == 1
    assert ledger.dues() == [1, 3]


def test_overlap_allow() -> None:
    ledger = Fired(put(overlap="allow"))
    assert [ledger.after(60) for _ in range(3)] == [1, 1, 1]
    assert ledger.schedule.skipped == 0


def test_overlap_buffer_one() -> None:
    """One time waits for the end of the run that goes on, and no more than one."""
    ledger = Fired(put(overlap="buffer_one"))
    ledger.after(60)
    assert (ledger.after(60), ledger.schedule.buffered) == (0, START + 120)
    assert (ledger.after(60), ledger.schedule.skipped) == (0, 1)
    ledger.now += 5
    ledger.run()
    assert ledger.fire() == 1
    assert (ledger.dues(), ledger.schedule.buffered) == ([1, 2], 0.0)
    ledger.run()
    assert ledger.after(55) == 1
    assert ledger.dues() == [1, 2, 4]
    assert facts(ledger.replayed()) == facts(ledger.state)


def test_the_last_time_may_be_one_that_waits() -> None:
    ledger = Fired(put(overlap="buffer_one", until=START + 120))
    ledger.after(60)
    ledger.after(60)
    assert not ledger.schedule.ended_at
    ledger.now += 500
    ledger.run()
    assert ledger.fire() == 1
    assert ledger.schedule.ended_at == ledger.now


def test_overlap_cancel_running() -> None:
    ledger = Fired(put(overlap="cancel_running"))
    ledger.after(60)
    (grant,) = ledger.lease()
    assert ledger.after(60) == 1
    first, second = ledger.jobs()
    assert (first.cancelling, second.state) == (True, JobState.PENDING)
    assert ledger.after(60) == 1, "one that waits ends at once"
    assert ledger.jobs()[1].state is JobState.CANCELLED
    assert getattr(ledger.jobs()[1].phase, "reason", "") == "overlap"
    ledger.end(grant, OutcomeKind.CANCELLED)
    assert facts(ledger.replayed()) == facts(ledger.state)


@pytest.mark.parametrize("kind", [OutcomeKind.ERRORED, OutcomeKind.CANCELLED])
def test_a_run_that_ended_in_whatever_way_is_over(kind: OutcomeKind) -> None:
    ledger = Fired(put(job=template(options=options(max_attempts=1))))
    ledger.after(60)
    ledger.run(kind)
    assert ledger.after(60) == 1


def test_a_retry_and_a_loss_are_the_same_run() -> None:
    ledger = Fired()
    ledger.after(60)
    ledger.run(OutcomeKind.ERRORED)
    assert ledger.after(60) == 0
    ledger.wait(0)
    ledger.start(*ledger.lease())
    ledger.lose()
    assert ledger.after(60) == 0


def test_a_dead_letter_that_is_redriven_runs_again() -> None:
    ledger = Fired(put(job=template(options=options(max_attempts=1))))
    ledger.after(60)
    ledger.run(OutcomeKind.ERRORED)
    ledger.do(commands.Redrive([ledger.jobs()[0].id]))
    assert ledger.after(60) == 0
    assert ledger.schedule.skipped == 1
    assert meaning(ledger.replayed()) == meaning(ledger.state)


@pytest.mark.parametrize(
    ("mode", "minutes", "missed"),
    [("skip", [5], 4), ("latest", [5], 4), ("all", [1, 2, 3, 4, 5], 0)],
)
def test_what_was_missed_is_made_up_for(mode: str, minutes: list[int], missed: int) -> None:
    ledger = Fired(put(overlap="allow", catch_up=mode))
    ledger.after(300)
    assert (ledger.dues(), ledger.schedule.missed) == (minutes, missed)


def test_all_that_was_missed_keeps_to_the_overlap() -> None:
    ledger = Fired(put(catch_up="all"))
    ledger.after(300)
    assert (ledger.dues(), ledger.schedule.skipped) == ([1], 4)


def test_jitter_puts_a_run_off_by_a_time_of_its_own() -> None:
    def delays() -> list[float]:
        ledger = Fired(put(overlap="allow", jitter=30.0))
        for _ in range(20):
            ledger.after(60)
        found = []
        for job in ledger.jobs():
            assert job.fired is not None
            found.append(job.due - job.fired.due)
        return found

    found = delays()
    assert found == delays(), "always the same for one time"
    assert all(0 <= one < 30 for one in found)
    assert len(set(found)) == 20
    assert max(found) - min(found) > 10


def test_a_run_that_comes_late_is_put_off_no_more() -> None:
    ledger = Fired(put(jitter=10.0))
    ledger.after(90)
    assert ledger.jobs()[0].state is JobState.PENDING


def test_max_runs_and_until_end_it() -> None:
    ledger = Fired(put(overlap="allow", max_runs=2))
    assert [ledger.after(60) for _ in range(3)] == [1, 1, 0]
    assert (ledger.schedule.ended_at, ledger.schedule.due) == (START + 120, 0.0)
    ledger = Fired(put(overlap="allow", until=START + 130))
    assert [ledger.after(60) for _ in range(3)] == [1, 1, 0]


def test_a_single_time_ends_it() -> None:
    ledger = Fired(put(rule=Once(START + 5)))
    assert ledger.after(10) == 1
    assert ledger.schedule.ended_at
    assert ledger.state.firing.head() is None


def test_a_full_queue_is_tried_again_and_said() -> None:
    """The time is not lost: it is late, and can be seen to be."""
    ledger = Fired(put(), max_depth=1)
    ledger.enqueue([spec(1)])
    before = len(ledger.commits)
    assert ledger.after(60) == 0
    assert "limit" in ledger.schedule.error
    assert (ledger.schedule.due, ledger.schedule.cursor) == (START + 60, START)
    assert ledger.after(1) == 0
    assert len(ledger.commits) == before + 1, "not one event for each look"
    ledger.run()
    assert ledger.after(RETRY - 1) == 1
    assert (ledger.dues(), ledger.schedule.error) == ([1], "")
    assert facts(ledger.replayed()) == facts(ledger.state)


def test_a_full_queue_does_not_lose_what_waits_in_the_buffer() -> None:
    ledger = Fired(put(overlap="buffer_one"), max_depth=1)
    ledger.after(60)
    (grant,) = ledger.lease()
    ledger.after(60)
    ledger.enqueue([spec(1)])
    ledger.end(grant)
    assert (ledger.fire(), ledger.schedule.buffered) == (0, START + 120)
    ledger.run()
    assert ledger.after(RETRY) == 1
    assert ledger.dues() == [1, 2]


def test_conditions_of_the_job_hold_for_each() -> None:
    conditions = Conditions(fair_key="acme", concurrency_key="one")
    ledger = Fired(put(overlap="allow", job=template(conditions=conditions, expires=30.0)))
    ledger.after(60)
    ledger.after(60)
    ledger.do(commands.Promote())
    first, second = ledger.jobs()
    assert first.state is JobState.EXPIRED
    assert (second.conditions.fair_key, second.conditions.expires) == ("acme", START + 150)


@pytest.mark.parametrize("mode", ["return_existing", "drop", "raise"])
def test_a_unique_key_that_is_taken_passes_a_time_over(mode: Any) -> None:
    ledger = Fired(put(overlap="allow", job=template(conditions=Conditions(unique=Claim("k")))))
    ledger.state.schedules["minutely"].template = template(
        conditions=Conditions(unique=Claim("k", 0.0, mode))
    )
    ledger.enqueue([spec(1, unique=Claim("k"))])
    assert ledger.after(60) == 0
    assert ledger.schedule.skipped == 1
    ledger.run()
    assert ledger.after(60) == 1


def test_a_unique_key_may_take_the_place_of_one_that_waits() -> None:
    job = template(conditions=Conditions(unique=Claim("k", 0.0, "replace")))
    ledger = Fired(put(overlap="allow", job=job))
    ledger.after(60)
    assert ledger.after(60) == 1
    first, second = ledger.jobs()
    assert isinstance(first.phase, Finished)
    assert (first.phase.reason, second.state) == ("replaced", JobState.PENDING)
    ledger.lease()
    assert ledger.after(60) == 0, "one that runs stays"
    assert facts(ledger.replayed()) == facts(ledger.state)


def test_the_one_that_is_due_longest_goes_first() -> None:
    ledger = Fired(put(overlap="allow"))
    ledger.do(put("older", Every(30.0), job=template(901), overlap="allow"))
    ledger.now += 61
    first, second = ledger.do(commands.Fire()), ledger.do(commands.Fire())
    assert (first.schedule, second.schedule) == ("older", "minutely")


def test_a_client_cannot_say_that_a_schedule_made_its_job() -> None:
    ledger = Fired()
    ledger.after(60)
    fired = ledger.jobs()[0].fired
    with pytest.raises(InvalidRequest, match="only a schedule"):
        ledger.enqueue([spec(1, fired=fired)])


# --- beside its times -----------------------------------------------------------------------


def test_run_now_runs_beside_its_times() -> None:
    ledger = Fired()
    ledger.now += 10
    first = ledger.do(commands.RunSchedule("minutely", "c1"))
    assert ledger.do(commands.RunSchedule("minutely", "c1")) == first, "a repeat is the same"
    assert ledger.do(commands.RunSchedule("minutely", "c2")) != first
    assert [(job.fired.by, job.fired.due) for job in ledger.jobs() if job.fired] == [
        ("now", START + 10), ("now", START + 10),
    ]  # fmt: skip
    assert (ledger.schedule.cursor, ledger.schedule.fired) == (START, 0)
    assert ledger.after(50) == 0, "it is a run that goes on"
    with pytest.raises(ScheduleNotFound, match="other"):
        ledger.do(commands.RunSchedule("other", "c"))
    assert facts(ledger.replayed()) == facts(ledger.state)


def test_run_now_is_refused_when_it_cannot_be() -> None:
    ledger = Fired(put(job=template(conditions=Conditions(unique=Claim("k")))), max_depth=1)
    ledger.enqueue([spec(1, unique=Claim("k"))])
    with pytest.raises(DuplicateJob, match="k"):
        ledger.do(commands.RunSchedule("minutely", "c"))
    other = Fired(put(), max_depth=1)
    other.enqueue([spec(1)])
    with pytest.raises(QueueFull):
        other.do(commands.RunSchedule("minutely", "c"))


def test_backfill_has_a_job_for_each_time_of_a_range() -> None:
    ledger = Fired(put(until=START + 3600))
    ledger.now += 600
    call = commands.Backfill("minutely", "c1", START + 120, START + 300)
    ids = ledger.do(call)
    assert ledger.dues() == [2, 3, 4, 5], "both ends are included"
    assert ids == [job.id for job in ledger.jobs()]
    assert ledger.do(call) == ids, "a repeat is the same"
    assert len(ledger.jobs()) == 4
    assert ledger.fire() == 1, "it is nothing to the times that are due, nor to their overlap"
    assert facts(ledger.replayed()) == facts(ledger.state)
    count_up(ledger.state)


@pytest.mark.parametrize(
    ("start", "end", "error"),
    [(0, -1, InvalidOption), (0, 601, InvalidOption), (-1e7, 0, BatchTooLarge)],
)
def test_a_backfill_that_makes_no_sense(start: float, end: float, error: type[Exception]) -> None:
    ledger = Fired(put(rule=Every(60.0, START - 1e8)))
    ledger.now += 600
    before = facts(ledger.state)
    with pytest.raises(error):
        ledger.do(commands.Backfill("minutely", "c", START + start, START + end))
    assert facts(ledger.state) == before


def test_a_backfill_of_one_unique_key_is_refused() -> None:
    ledger = Fired(put(job=template(conditions=Conditions(unique=Claim("k")))))
    with pytest.raises(InvalidRequest, match="unique"):
        ledger.do(commands.Backfill("minutely", "c", START, START))


def test_a_backfill_that_does_not_fit_enqueues_nothing() -> None:
    ledger = Fired(put(rule=Every(60.0, START - 1e6)), max_depth=3)
    with pytest.raises(QueueFull):
        ledger.do(commands.Backfill("minutely", "c", START - 600, START))
    assert not ledger.jobs()


# --- what is forgotten -----------------------------------------------------------------------


def test_what_has_ended_is_forgotten_some_day() -> None:
    ledger = Fired(put(rule=Once(START + 5)))
    ledger.do(put("other"))
    ledger.after(10)
    apply(ledger.state, events.Marked(9))
    apply(ledger.state, events.Folded(9, ledger.now + 1))
    assert "minutely" in ledger.state.schedules, "its run has not ended"
    ledger.run()
    apply(ledger.state, events.Marked(10))
    apply(ledger.state, events.Folded(10, ledger.now + 1))
    assert list(ledger.state.schedules) == ["other"]


def test_a_run_outlives_its_schedule() -> None:
    ledger = Fired(put(overlap="buffer_one"))
    ledger.after(60)
    ledger.after(60)
    ledger.do(commands.DropSchedule("minutely"))
    ledger.run()
    assert not ledger.state.runs
    assert ledger.state.firing.head() is None
    assert MINUTELY.anchor == 0
