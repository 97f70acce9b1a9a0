import subprocess
import sys

import cloudpickle
import pytest

import taskqueue_ray as tq
from taskqueue_ray.jobs import TestJob
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send

HEAVY = ("ray", "pyarrow", "pandas", "rich", "typer", "pydantic", "duckdb")


def test_importing_the_package_and_defining_a_job_stays_light() -> None:
    program = (
        "import sys, taskqueue_ray as tq\n"
        "@tq.job\ndef f(x: int) -> int: return x\n"
        "class J(tq.Job):\n    def handle(self): return 1\n"
        "tq.Priority.HIGH, tq.Backoff.fixed(1), tq.JobFailed, tq.jobs.TestJob, tq.gather\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in tq.__all__:
        assert getattr(tq, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = tq.nonsense


def test_a_job_of_a_module_is_pickled_by_its_name() -> None:
    assert cloudpickle.loads(cloudpickle.dumps(send)) is send


def test_a_recursive_local_job_survives_pickling(bench: Bench) -> None:
    @tq.job
    def countdown(n: int) -> int:
        return n if n == 0 else countdown(n - 1)

    again = cloudpickle.loads(cloudpickle.dumps(countdown))
    assert again(3) == 0
    handle = countdown.enqueue(3)
    bench.work()
    assert handle.result(timeout=30) == 0


def test_a_local_class_takes_its_code_along(bench: Bench) -> None:
    class Local(tq.Job):
        def handle(self) -> str:
            self.payload["seen"] = self.id
            return type(self).__name__

    job = Local({"a": 1})
    handle = bench.q.push(job)
    bench.work()
    assert handle.result(timeout=30) == "Local"
    assert handle.info().payload == {"a": 1, "seen": job.id}


def test_a_class_without_a_handler_is_refused() -> None:
    class Idle(tq.Job):
        pass

    with pytest.raises(tq.InvalidRequest, match="handle"):
        Idle()


def test_the_shipped_job(bench: Bench) -> None:
    assert TestJob.__test__ is False
    echo = bench.q.push(TestJob({"echo": {"n": 1}}, queue="other"))
    failing = bench.q.push(TestJob({"fail": 1, "echo": "ok"}, backoff=tq.Backoff.fixed("1s")))
    bench.work()
    assert echo.result(timeout=30) == {"n": 1}
    bench.advance(2)
    bench.work()
    assert failing.result(timeout=30) == "ok"
    assert failing.info().attempts == 2


def test_names_for_priorities_and_backoffs() -> None:
    assert [int(p) for p in tq.Priority] == [1, 5, 10, 15]
    assert tq.Backoff.exponential("2s", max="5s", jitter=False).delay(4, 0.5) == 5.0
    assert tq.Backoff.linear("2s", jitter=False).delay(3, 0.5) == 6.0
    with pytest.raises(tq.InvalidOption):
        tq.Backoff.exponential(factor=0.5)
    with pytest.raises(tq.InvalidOption):
        tq.Backoff.fixed(-1)


def test_keys_in_code_are_refused() -> None:
    with pytest.raises(tq.InvalidOption, match="TASKQUEUE_ENCRYPTION_KEYS"):
        tq.connect("/nowhere", encryption_keys=["x" * 32])


def test_misuse_of_the_decorator() -> None:
    with pytest.raises(tq.InvalidOption, match="nonsense"):
        tq.job(nonsense=1)  # type: ignore[call-overload]  # the point of it
    with pytest.raises(tq.InvalidRequest, match="already"):
        tq.job(send)
    with pytest.raises(tq.InvalidRequest, match=r"tq\.Job"):
        tq.job(TestJob)
