"""What a user does on an ordinary day, on real actors."""

import asyncio
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

import taskqueue_ray as tq
from tests.cluster import trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place
from tests.cluster.programs import Programs


def test_a_day_of_work(place: Place) -> None:
    """One session of everything that the SDK offers, in the order in which people meet it."""
    q = place.connect()
    early = q.enqueue(trial_jobs.add, 1, b=2)
    assert early.status() is tq.JobState.PENDING
    with q.workers(min=1, max=1, concurrency=2):
        assert early.result(60) == 3
        address = trial_jobs.Address("Main Street", 1)
        now = datetime.now(UTC)
        sent = q.enqueue(trial_jobs.typed, address, now, Decimal("1.50"))
        assert sent.result(60) == trial_jobs.Address("Main Street", 2)
        many = q.enqueue_many(trial_jobs.add.item(n) for n in range(1000))
        assert sum(tq.gather(*many)) == sum(n + 1 for n in range(1000))
        with q.pipeline() as p:
            piped = [p.enqueue(trial_jobs.doubled, n) for n in range(100)]
        assert all(handle.durable for handle in piped)
        assert {handle.result(60) for handle in tq.as_completed(piped)} == set(range(0, 200, 2))
        assert q.enqueue(trial_jobs.fails_until, 3).result(60) == 3
        delayed = trial_jobs.add.options(delay=0.5, priority=15).enqueue(5, 5)
        assert delayed.status() is tq.JobState.SCHEDULED
        assert delayed.result(60) == 10
        record = delayed.info()
        assert record.started_at is not None
        assert record.due_at is not None
        assert record.started_at >= record.due_at
        image = q.push(trial_jobs.Resize({"path": "cat.png"}, tags=["cat"]))
        assert image.result(60) == "cat.png"
        assert image.info().payload == {"path": "cat.png", "seen": True}
        child = q.handle(q.enqueue(trial_jobs.parent, 41).result(60))
        assert child.result(60) == 42
        with pytest.raises(tq.JobFailed, match="attempt 3"):
            q.enqueue(trial_jobs.fails_until, 9).result(60)
    assert [job.error_type for job in q.failed_jobs()] == ["ValueError"]
    stats = q.stats("default")
    assert (stats.total, stats.failed, stats.unfinished) == (1107, 1, 0)
    assert len(q.history().to_arrow()) == 1108


def test_many_jobs_in_one_call_and_something_warm(place: Place) -> None:
    q = place.connect()
    with q.workers(min=1, max=1, concurrency=2):
        many = q.enqueue_many(trial_jobs.squares.item(n) for n in range(500))
        found = tq.gather(*many)
        assert [square for square, _ in found] == [n**2 for n in range(500)]
        sizes = sorted(size for _, size in found)
        assert sizes[250] == 64, f"calls were not filled: {sizes}"
        assert len(many[13].info().history) == 1
        warm = q.enqueue_many(trial_jobs.Warm().item() for _ in range(50))
        assert all(tq.gather(*warm))


def test_async_code_waits_for_handles(place: Place) -> None:
    async def program() -> list[int]:
        q = place.connect()
        workers = await asyncio.to_thread(q.workers(concurrency=1).start)
        try:
            handles = [await q.aenqueue(trial_jobs.doubled, n, 0.01) for n in range(20)]
            first = await handles[0]
            return [first, *await tq.agather(*handles[1:])]
        finally:
            await asyncio.to_thread(workers.drain)

    assert asyncio.run(program()) == list(range(0, 40, 2))


def test_a_running_job_shows_its_progress(place: Place) -> None:
    q = place.connect()
    gate = place.base / "gate"
    with q.workers():
        handle = q.enqueue(trial_jobs.reports, str(gate))
        seen = eventually(handle.progress, "progress is seen")
        assert (seen.done, seen.total, seen.message) == (1.0, 2.0, "half")
        gate.touch()
        assert handle.result(60) == "done"


def test_urgent_jobs_overtake_the_backlog(place: Place) -> None:
    q = place.connect()
    with q.workers(concurrency=1):
        slow = q.enqueue_many(
            trial_jobs.witnessed.item(str(place.witness), 0.05) for _ in range(60)
        )
        urgent = trial_jobs.witnessed.options(priority=tq.Priority.URGENT).enqueue(
            str(place.witness)
        )
        urgent.result(60)
        done = sum(handle.status() is tq.JobState.COMPLETED for handle in slow)
        assert done < 30, f"{done} of 60 went before an urgent job"
        q.cancel(*slow)


def test_a_cancelled_job_stops(place: Place) -> None:
    q = place.connect()
    with q.workers():
        handle = q.enqueue(trial_jobs.until_cancelled, str(place.witness))
        eventually(place.witness.exists, "it runs")
        assert handle.cancel("no longer needed")
        with pytest.raises(tq.JobCancelled):
            handle.result(60)
        assert q.enqueue(trial_jobs.add, 1).result(60) == 2


def test_one_idle_job_needs_few_round_trips(place: Place) -> None:
    """Not a benchmark: a broken wake-up costs a whole hold, which is seconds."""
    q = place.connect()
    with q.workers():
        q.enqueue(trial_jobs.add, 1).result(60)
        times = []
        for n in range(20):
            began = time.perf_counter()
            q.enqueue(trial_jobs.add, n).result(60)
            times.append(time.perf_counter() - began)
    assert sorted(times)[10] < 0.5, times


def test_a_script_with_functions_of_its_own(programs: Programs) -> None:
    """Jobs of `__main__`, a class and a closure among them; the embedded Ray ends with it."""
    text = programs.start("""
        from dataclasses import dataclass
        import taskqueue_ray as tq

        FACTOR = 3

        @dataclass
        class Point:
            x: int

        @tq.job(queue="emails", tags=["mail"])
        def scale(point: Point) -> Point:
            return Point(point.x * FACTOR)

        @tq.job
        async def later(n: int) -> int:
            return n + FACTOR

        class Count(tq.Job):
            def handle(self):
                self.payload["n"] += FACTOR
                return self.payload["n"]

        if __name__ == "__main__":
            with tq.connect() as q:
                with q.workers(max=2):
                    print("point", q.enqueue(scale, Point(14)).result(60))
                    print("later", q.enqueue(later, 4).result(60))
                    print("count", q.push(Count({"n": 1})).result(60))
                print("rows", len(q.history().to_arrow()))
    """).succeeds()
    for line in ("point Point(x=42)", "later 7", "count 4", "rows 3"):
        assert line in text.splitlines(), text


def test_a_notebook(programs: Programs) -> None:
    """The cells of a notebook, run by a real kernel."""
    text = programs.start("""
        import nbclient, nbformat

        CELLS = [
            "import taskqueue_ray as tq\\nq = tq.connect()\\nworkers = q.workers().start()",
            "@tq.job\\ndef square(n: int) -> int:\\n    return n * n",
            "print('got', q.enqueue(square, 12).result(60))",
            "@tq.job\\ndef square(n: int) -> int:\\n    return n * n + 1",
            "print('then', q.enqueue(square, 12).result(60))",
            "print('awaited', await q.enqueue(square, 2))",
            "q.stats()",
            "workers.drain(); q.close()",
        ]
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
        nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
        for cell in book.cells:
            for output in cell.outputs:
                print(output.get("text") or output.get("data", {}).get("text/html", ""))
    """).succeeds(120)
    assert "got 144" in text, text
    assert "then 145" in text, text
    assert "awaited 5" in text, text
    assert "<table" in text, text
