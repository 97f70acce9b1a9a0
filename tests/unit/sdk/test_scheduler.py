"""`q.scheduler`, as programs use it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.schedule import MOST_BYTES
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send

BERLIN = ZoneInfo("Europe/Berlin")
NAIVE = datetime(2100, 1, 1)  # noqa: DTZ001  # to be refused
seen: list[Any] = []


@tq.job(queue="reports", priority=7, tags=["nightly"])
def report(what: str, copies: int = 1) -> str:
    context = tq.current()
    seen.append((what, copies, context.job.schedule, context.scheduled_for))
    return what


class Backup(tq.Job):
    queue = "reports"

    def handle(self) -> str:
        self.payload["done"] = True
        return str(self.payload["path"])


@pytest.fixture(autouse=True)
def _fresh() -> None:
    seen.clear()


def test_a_schedule_enqueues_its_job_and_the_job_knows_its_time(bench: Bench) -> None:
    made = bench.q.scheduler.schedule(
        "every 10 minutes", report, "sales", payload={"copies": 3}, id="sales", tz="Europe/Berlin"
    )
    assert (made.id, made.state, made.fired, made.type) == (
        "sales",
        "active",
        0,
        report.job_type.name,
    )
    assert made.arguments is None, "what was put is not sent back"
    bench.advance(601)
    assert (bench.fire(), bench.fire()) == (1, 0)
    bench.work()
    ((what, copies, schedule, due),) = seen
    assert (what, copies, schedule) == ("sales", 3, "sales")
    assert due.tzinfo == BERLIN
    start = made.view.schedule.created_at
    assert due.timestamp() == pytest.approx(start + 600)
    record = bench.q.scheduler.get("sales")
    assert record.arguments == {"what": "sales", "copies": 3}
    assert (record.fired, record.running, record.last_for) == (1, 0, due)
    (job,) = bench.q.jobs(schedule="sales")
    assert (job.id, job.schedule, job.scheduled_for) == (record.last_job, "sales", due)
    assert (job.priority, job.tags, job.arguments["copies"]) == (7, ("nightly",), 3)
    assert bench.q.jobs(schedule="other").ids == []
    bench.fold()
    (job,) = bench.q.jobs(schedule="sales", state="completed")
    assert (job.arguments["what"], job.scheduled_for, job.result) == ("sales", due, "sales")
    row = bench.q.history().to_arrow().to_pylist()[0]
    assert (row["schedule"], row["scheduled_for"]) == ("sales", due)


def test_why_says_which_schedule_made_a_job(bench: Bench) -> None:
    bench.q.scheduler.schedule(60, report, "x", id="r")
    bench.advance(60)
    bench.fire()
    (job,) = bench.q.jobs(schedule="r")
    assert bench.q.why(job).facts["schedule"] == "r"
    assert job.scheduled_for is not None
    assert bench.q.why(job).facts["scheduled_for"] == pytest.approx(job.scheduled_for.timestamp())


@pytest.mark.parametrize(
    "job", [Backup, Backup({"path": "/data"}), Backup({"path": "/data"}).item(),
            "tests.unit.sdk.test_scheduler.Backup"],
    ids=["class", "job", "item", "name"],
)  # fmt: skip
def test_classes_and_names(bench: Bench, job: Any) -> None:
    given: dict[str, Any] = (
        {"payload": {"path": "/data"}} if job is Backup or isinstance(job, str) else {}
    )
    bench.q.scheduler.schedule(60, job, id="backup", overlap="allow", **given)
    ids = []
    for _ in range(2):
        bench.advance(60)
        bench.fire()
        bench.work()
        ids.append(bench.q.scheduler.get("backup").last_job)
    assert len(set(ids)) == 2
    assert [bench.q.job(str(one)).result for one in ids] == ["/data", "/data"]
    assert bench.q.job(str(ids[0])).payload == {"path": "/data", "done": True}


def test_a_functions_name_takes_its_arguments(bench: Bench) -> None:
    bench.q.scheduler.schedule(60, report.job_type.name, "x", payload={"copies": 2}, id="r")
    bench.advance(60)
    bench.fire()
    bench.work()
    assert seen[0][:2] == ("x", 2)


def test_it_survives_a_restart(bench: Bench) -> None:
    bench.q.scheduler.schedule("every 10 minutes", report, "a", id="r", overlap="buffer_one")
    before = bench.q.scheduler.get("r").to_dict()
    bench.restart()
    assert bench.q.scheduler.get("r").to_dict() == before
    bench.advance(600)
    bench.fire()
    bench.restart()
    bench.advance(600)
    assert bench.fire() == 1, "it waits for the end of the other"
    bench.restart()
    assert bench.q.scheduler.get("r").waiting_for is not None
    bench.work()
    assert bench.fire() == 1
    bench.work()
    assert len(seen) == 2


def test_a_late_one_can_be_seen_to_be(bench: Bench) -> None:
    bench.q.scheduler.schedule(60, report, "a", id="r")
    bench.advance(90)
    assert bench.q.scheduler.get("r").late == pytest.approx(30, abs=0.01)
    bench.fire()
    assert bench.q.scheduler.get("r").late == 0


def test_the_same_again_is_no_news_and_another_is_refused(bench: Bench) -> None:
    scheduler = bench.q.scheduler
    first = scheduler.schedule("every monday at 9:00", report, "a", id="r", until=_in(30))
    again = scheduler.schedule("0 9 * * 1", report, "a", id="r", until=_in(30))
    assert again.created_at == first.created_at
    with pytest.raises(tq.ScheduleExists, match="its arguments"):
        scheduler.schedule("every monday at 9:00", report, "b", id="r", until=_in(30))
    with pytest.raises(tq.ScheduleExists, match="when"):
        scheduler.schedule("every monday at 9:30", report, "a", id="r", until=_in(30))
    made = scheduler.schedule("every monday at 9:30", report, "b", id="r", replace=True)
    assert made.until is None
    assert scheduler.get("r").arguments == {"what": "b"}


@pytest.mark.parametrize("words", ["every month", "every 6 months", "Every  year", "every 2 weeks"])
def test_words_that_mean_the_day_they_are_said_on_are_the_same_on_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """A program says them at each of its starts."""
    scheduler = bench.q.scheduler
    first = scheduler.schedule(words, report, "a", id="r")
    later = time.time() + 3 * 86400 + 4000
    monkeypatch.setattr("taskqueue_ray.sdk.scheduler.time.time", lambda: later)
    again = scheduler.schedule(words.lower(), report, "a", id="r")
    assert (again.created_at, again.when) == (first.created_at, first.when)
    assert scheduler.get("r").next_at == first.next_at
    replaced = scheduler.schedule(words, report, "b", id="r", replace=True)
    assert replaced.next_at == first.next_at
    with pytest.raises(tq.ScheduleExists, match="when"):
        scheduler.schedule("every 2 days", report, "b", id="r")
    scheduler.update("r", when="every 2 days")
    assert scheduler.schedule("every 2 days", report, "b", id="r").words == "every 2 days"


def test_tomorrow_is_meant_anew_each_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.q.scheduler.schedule("tomorrow at 17:00", report, "a", id="r")
    later = time.time() + 86400
    monkeypatch.setattr("taskqueue_ray.sdk.scheduler.time.time", lambda: later)
    with pytest.raises(tq.ScheduleExists, match="when"):
        bench.q.scheduler.schedule("tomorrow at 17:00", report, "a", id="r")


def _in(days: float) -> datetime:
    return datetime(2100, 1, 1, tzinfo=UTC) + timedelta(days=days)


def test_update_changes_what_is_named(bench: Bench) -> None:
    scheduler = bench.q.scheduler
    scheduler.schedule("every day at 2:30 AM", report, "a", id="r", tz="Europe/Berlin")
    changed = scheduler.update("r", overlap="allow", jitter="5m", until=_in(1), max_runs=3)
    assert (changed.overlap, changed.jitter, changed.max_runs) == ("allow", 300.0, 3)
    moved = scheduler.update("r", tz="America/New_York")
    assert moved.next_at is not None
    assert (moved.next_at.hour, moved.next_at.minute) == (2, 30)
    assert moved.tz == "America/New_York"
    other = scheduler.update("r", when="every day at 4:00", job=report.options(priority=1),
                             payload={"what": "new"}, until=None)  # fmt: skip
    assert other.next_at is not None
    assert (other.next_at.hour, other.overlap, other.until) == (4, "allow", None)
    assert scheduler.get("r").arguments == {"what": "new"}
    assert scheduler.get("r").view.schedule.template.options.priority == 1
    with pytest.raises(tq.ScheduleNotFound):
        scheduler.update("none", jitter=1)


def test_an_update_looks_again_when_somebody_was_faster(bench: Bench) -> None:
    scheduler = bench.q.scheduler
    scheduler.schedule(60, report, "a", id="r")

    def meddle() -> None:
        bench.host.clock.time += 1
        scheduler.update("r", max_runs=9)

    bench.transport.after["schedule"] = meddle
    assert scheduler.update("r", jitter=5).jitter == 5
    assert scheduler.get("r").max_runs == 9


def test_pause_resume_next_and_delete(bench: Bench) -> None:
    scheduler = bench.q.scheduler
    scheduler.schedule("every hour", report, "a", id="r", max_runs=3, tz="Asia/Kolkata")
    times = scheduler.next("r")
    assert len(times) == 3, "there are no more"
    assert times[1] - times[0] == timedelta(hours=1)
    assert times[0].tzinfo == ZoneInfo("Asia/Kolkata")
    assert scheduler.pause("r").state == "paused"
    assert scheduler.next("r") == []
    bench.advance(2 * 3600 + 5)
    assert bench.fire() == 0
    assert scheduler.resume("r").state == "active"
    assert bench.fire() == 0
    assert scheduler.delete("r")
    assert not scheduler.delete("r")
    with pytest.raises(tq.ScheduleNotFound, match="'r'"):
        scheduler.get("r")


def test_run_now_and_backfill(bench: Bench) -> None:
    scheduler = bench.q.scheduler
    scheduler.schedule("0 * * * *", report, "a", id="r")
    scheduler.pause("r")
    job = scheduler.run_now("r")
    end = (datetime.now(UTC) - timedelta(minutes=5)).replace(minute=0, second=0, microsecond=0)
    jobs = scheduler.backfill("r", end - timedelta(hours=3), end)
    assert len(jobs) == 4
    bench.work()
    assert bench.q.job(job).result == "a"
    found = sorted(bench.q.job(one).scheduled_for for one in jobs)  # type: ignore[type-var]
    assert found == [end - timedelta(hours=n) for n in (3, 2, 1, 0)]
    with pytest.raises(tq.InvalidOption, match="end"):
        scheduler.backfill("r", end, end + timedelta(days=1))
    with pytest.raises(tq.InvalidOption, match="start"):
        scheduler.backfill("r", NAIVE, end)


def test_a_repeated_answer_runs_nothing_twice(bench: Bench) -> None:
    """The first answer was lost, so the call is sent again with the same bytes."""
    bench.q.scheduler.schedule(3600, report, "a", id="r")
    body = b""

    def remember(method: str, request: bytes) -> Any:
        nonlocal body
        body = request
        return honest(method, request)

    honest = bench.transport.submit
    bench.transport.submit = remember  # type: ignore[method-assign]
    bench.q.scheduler.run_now("r")
    bench.transport.submit = honest  # type: ignore[method-assign]
    bench.restart()
    bench.transport.call("run_schedule", body)
    assert bench.work() == 1


def test_lists_print_as_tables_and_come_in_pages(bench: Bench) -> None:
    for number in range(7):
        bench.q.scheduler.schedule(3600, report, "a", id=f"r{number}")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("taskqueue_ray.sdk.scheduler.PAGE", 3)
        listed = bench.q.scheduler.list()
    assert listed.ids == [f"r{number}" for number in range(7)]
    assert "r3" in repr(listed)
    assert "<td>r3</td>" in listed._repr_html_()
    assert "every hour" in str(listed[0])
    assert "r0" in repr(listed[0])
    assert listed.rows()[0]["next_at"]


def test_an_id_is_made_that_says_what_it_is_about(bench: Bench) -> None:
    made = bench.q.scheduler.schedule(3600, report, "a")
    other = bench.q.scheduler.schedule(3600, report, "a")
    assert made.id.startswith("report-")
    assert made.id != other.id


def test_a_datetime_says_its_zone(bench: Bench) -> None:
    at = datetime(2100, 7, 1, 12, tzinfo=BERLIN)
    made = bench.q.scheduler.schedule(at, report, "a", id="once")
    assert (made.next_at, made.tz, made.window) == (at, "Europe/Berlin", 0.0)


def test_a_function_of_a_notebook(bench: Bench) -> None:
    """Its code is stored before the schedule is, and is there for each of its jobs."""

    @tq.job
    def local(n: int) -> int:
        return n + 1

    bench.q.scheduler.schedule(60, local, 4, id="local")
    bench.advance(60)
    bench.fire()
    bench.restart()
    bench.work()
    assert bench.q.job(str(bench.q.scheduler.get("local").last_job)).result == 5


def test_middleware_sees_a_schedule_once_and_its_headers_go_along(bench: Bench) -> None:
    class Trace(tq.Middleware):
        def on_enqueue(self, item: tq.Enqueueing) -> None:
            item.headers["trace"] = "t1"

        def run(self, context: Any, call: Any) -> Any:
            return f"{context.headers['trace']} {call()}"

    @tq.job(middleware=[Trace()])
    def traced() -> str:
        return "ran"

    bench.q.scheduler.schedule(60, traced, id="traced")
    bench.advance(60)
    bench.fire()
    bench.work()
    assert bench.q.job(str(bench.q.scheduler.get("traced").last_job)).result == "t1 ran"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "zone": ({"tz": "Mars/Olympus"}, "tz"),
    "overlap": ({"overlap": "queue"}, "overlap"),
    "catch_up": ({"catch_up": True}, "catch_up"),
    "window": ({"window": 0}, "window"),
    "jitter": ({"jitter": -1}, "jitter"),
    "until naive": ({"until": NAIVE}, "until"),
    "until past": ({"until": datetime(2020, 1, 1, tzinfo=UTC)}, "until"),
    "max_runs": ({"max_runs": 0}, "max_runs"),
    "id": ({"id": "No Name"}, "id"),
    "payload": ({"payload": [1]}, "payload"),
}


@pytest.mark.parametrize("what", WRONG)
def test_bad_options_are_refused_by_name(bench: Bench, what: str) -> None:
    given, option = WRONG[what]
    with pytest.raises(tq.InvalidOption, match=option):
        bench.q.scheduler.schedule(3600, report, "a", **given)
    assert not bench.q.scheduler.list()


@pytest.mark.parametrize("when", ["soon", "every 5", "", "61 * * * *", "0 0 30 2 *"])
def test_what_is_not_understood_is_refused(bench: Bench, when: str) -> None:
    with pytest.raises(tq.InvalidRequest):
        bench.q.scheduler.schedule(when, report, "a")


@pytest.mark.parametrize("when", [NAIVE, datetime(2020, 1, 1, tzinfo=UTC), 0, -5, None, 0.5])
def test_times_that_are_none_are_refused(bench: Bench, when: Any) -> None:
    with pytest.raises(tq.InvalidOption, match="when"):
        bench.q.scheduler.schedule(when, report, "a")


def test_jobs_that_cannot_be_scheduled_are_refused(bench: Bench) -> None:
    schedule = bench.q.scheduler.schedule
    for options in ({"delay": "5m"}, {"at": _in(1)}, {"depends_on": [tq.new_id()]}):
        with pytest.raises(tq.InvalidOption, match=next(iter(options))):
            schedule(60, report.options(**options), "a")
    with pytest.raises(tq.InvalidArguments):
        schedule(60, report, 5)
    with pytest.raises(tq.InvalidArguments):
        schedule(60, report, bench.q.enqueue(send, "a"))
    with pytest.raises(tq.UnknownJobType):
        schedule(60, "no.such.job")
    with pytest.raises(tq.InvalidRequest, match="no job"):
        schedule(60, 17)
    with pytest.raises(tq.PayloadTooLarge, match="schedule"):
        schedule(60, report, bytes(MOST_BYTES).hex() + str(time.time()) + _noise(MOST_BYTES))
    assert not bench.q.scheduler.list()


def _noise(size: int) -> str:
    import random

    return random.Random(1).randbytes(size).hex()


def test_a_zone_of_the_setting_holds_where_none_is_named(bench: Bench) -> None:
    q = tq.TaskQueue(bench.transport, bench.sealer, is_current=False, timezone="Asia/Kolkata")
    made = q.scheduler.schedule("every day at 2:30 AM", report, "a", id="r")
    assert made.tz == "Asia/Kolkata"
    assert q.scheduler.explain("every day at 2:30 AM", n=1).next[0].local.endswith("+05:30")
    assert q.hurried(5).scheduler.explain("@daily", n=0).tz == "Asia/Kolkata"
    named = q.scheduler.schedule("every day at 2:30 AM", report, "a", id="s", tz="UTC")
    assert named.tz == "UTC"
    when = datetime(2100, 1, 1, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    assert q.scheduler.schedule(when, report, "a", id="t").tz == "Europe/Berlin"


def test_explain_asks_nobody(bench: Bench) -> None:
    after = datetime(2027, 3, 27, 12, tzinfo=BERLIN)
    told = bench.q.scheduler.explain("every day at 2:30 AM", tz="Europe/Berlin", after=after, n=2)
    assert [one.local for one in told.next] == [
        "2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00",
    ]  # fmt: skip
    assert not bench.host.asked


def test_a_disk_that_is_full_fires_nothing_and_makes_up_for_it(bench: Bench) -> None:
    bench.q.scheduler.schedule(60, report, "a", id="r")
    commits = bench.host.engine.commits
    commits.low_space = True
    with pytest.raises(tq.StorageFull):
        bench.q.scheduler.schedule(60, report, "a", id="other")
    bench.host.clock.time += 90
    assert bench.fire() == 0
    commits.low_space = False
    assert bench.fire() == 1


def test_the_twins_for_async_code(bench: Bench) -> None:
    scheduler = bench.q.scheduler

    async def use() -> None:
        await scheduler.aschedule("0 * * * *", report, "a", id="r")
        assert (await scheduler.alist()).ids == ["r"]
        assert (await scheduler.aget("r")).state == "active"
        assert len(await scheduler.anext("r", 2)) == 2
        assert (await scheduler.apause("r")).state == "paused"
        assert (await scheduler.aresume("r")).state == "active"
        assert (await scheduler.aupdate("r", jitter=1)).jitter == 1
        assert await scheduler.arun_now("r")
        now = datetime.now(UTC) - timedelta(minutes=5)
        assert len(await scheduler.abackfill("r", now - timedelta(hours=1), now)) == 1
        assert await scheduler.adelete("r")

    asyncio.run(use())


def test_every_method_that_asks_has_a_twin(bench: Bench) -> None:
    names = {name for name in dir(bench.q.scheduler) if not name.startswith("_")}
    pure = {"explain", "understand", "tz"}
    asking = {name for name in names - pure if f"a{name}" in names}
    assert names == asking | {f"a{name}" for name in asking} | pure


@tq.job(queue="reports")
def plans(id: str) -> str:
    with tq.connect() as q:
        return q.scheduler.schedule(3600, report, "a", id=id).id


def test_a_job_can_make_a_schedule(bench: Bench) -> None:
    handle = bench.q.enqueue(plans, "made")
    bench.work()
    assert handle.result(timeout=5) == "made"
    assert bench.q.scheduler.list().ids == ["made"]
