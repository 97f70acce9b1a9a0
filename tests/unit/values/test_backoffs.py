"""Backoff functions as they are given: taken with the job's type, refused elsewhere."""

import functools
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.retry import DEFAULT_BACKOFF
from taskqueue_ray.engine import code
from taskqueue_ray.engine.backoffs import Wait, ask, options_of_type
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Sealer


def minutes(attempt: int, error: BaseException) -> str:
    return f"{attempt}m"


class Caller:
    def __call__(self, attempt: int, error: BaseException) -> None:
        return None


@pytest.mark.parametrize(
    "function", [minutes, lambda n, e: n, lambda *both: 1, Caller(), functools.partial(minutes)]
)
def test_a_callable_is_taken_with_the_type(function: Any) -> None:
    options, taken = options_of_type({"backoff": function, "queue": "mail"})
    assert taken is function
    assert (options.queue, options.own_backoff, options.backoff) == ("mail", True, DEFAULT_BACKOFF)
    shared = options.shared("t", False, "", None, None)
    assert shared.own_backoff


def test_a_policy_is_none() -> None:
    options, taken = options_of_type({"backoff": tq.Backoff.fixed("5s")})
    assert (taken, options.own_backoff, options.backoff.base) == (None, False, 5.0)
    assert options_of_type({})[1] is None


async def _async(attempt: int, error: BaseException) -> int:
    return 1


def _generator(attempt: int, error: BaseException) -> Any:
    yield 1


REFUSED = [
    (lambda attempt: 1, "too many positional arguments"),
    (lambda: 1, "too many positional arguments"),
    (lambda a, b, c: 1, "missing a required argument"),
    (_async, "async or a generator"),
    (_generator, "async or a generator"),
    (tq.Backoff.exponential, "was not called"),
    (tq.Backoff, "does not accept"),
    (Caller, "does not accept"),
    ("5s", "does not accept"),
    (5, "does not accept"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_what_could_not_be_asked_is_refused_at_once(given: Any, words: str) -> None:
    with pytest.raises(InvalidOption, match=words) as refusal:
        tq.job(backoff=given)
    assert "tq.Backoff.exponential" in str(refusal.value)


def test_single_jobs_take_policies_only() -> None:
    @tq.job(type="values.minutes", backoff=minutes)
    def work() -> None:
        pass

    class Work(tq.Job, type="values.work"):
        def handle(self) -> None:
            pass

        @staticmethod
        def backoff(attempt: int, error: BaseException) -> float:
            return 5.0

    with pytest.raises(InvalidOption, match=r"@tq\.job\(backoff=\.\.\.\)"):
        work.options(backoff=minutes)
    with pytest.raises(InvalidOption, match="attribute of the class"):
        Work({}, backoff=minutes)
    job_type = Work({}).item().job_type
    assert job_type.backoff is not None
    assert job_type.backoff(1, ValueError()) == 5.0
    for item in (work.item(), work.options(priority=9).item(), Work({}).item()):
        assert item.options.own_backoff
    policy = tq.Backoff.exponential()
    for item in (work.options(backoff=policy).item(), Work({}, backoff=policy).item()):
        assert not item.options.own_backoff, "said of this job, a policy goes before"

    class Other(Work, type="values.other"):
        backoff = policy  # type: ignore[assignment]

    assert Other({}).item().job_type.backoff is None


def test_it_travels_with_stored_code() -> None:
    sealer = Sealer(Keyring([Key(bytes(32))]))

    def work() -> int:
        return 1

    plain = code.capture(JobType("f", work), sealer, 0.0)
    with_it = JobType("f", work, backoff=lambda attempt, error: 10 * attempt)
    name, stored = code.capture(with_it, sealer, 0.0)
    assert name != plain[0]
    restored = code.restore(stored, name, sealer)
    assert restored.backoff is not None
    assert ask(restored.backoff, 3, ValueError()) == Wait(30.0)
    assert code.restore(plain[1], plain[0], sealer).backoff is None


def test_it_travels_with_a_class_that_is_sent_by_value() -> None:
    class Work(tq.Job, type="values.by_value"):
        def handle(self) -> int:
            return 1

        @staticmethod
        def backoff(attempt: int, error: BaseException) -> float:
            return 4.0 * attempt

    sealer = Sealer(Keyring([Key(bytes(32))]))
    name, stored = code.capture(Work({}).item().job_type, sealer, 0.0)
    restored = code.restore(stored, name, sealer)
    assert restored.backoff is not None
    assert ask(restored.backoff, 2, ValueError()) == Wait(8.0)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError


def test_nothing_that_it_does_is_an_error() -> None:
    def raises(attempt: int, error: BaseException) -> None:
        raise Unspeakable

    assert ask(raises, 1, ValueError()).seconds is None
    assert "Unspeakable" in ask(raises, 1, ValueError()).problem
    shown = ask(lambda attempt, error: Unshowable(), 1, ValueError())  # type: ignore[arg-type,return-value]
    assert shown.seconds is None
    assert "no duration" in shown.problem
