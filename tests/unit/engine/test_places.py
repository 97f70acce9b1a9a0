"""Places of a list: found again, however jobs come and go."""

from taskqueue_ray.core.model import Job, JobId
from taskqueue_ray.engine.places import SLACK, Places
from tests.records import START, job_id, options


def _job(number: int, ordinal: int) -> Job:
    return Job(job_id(number), options(), b"", ordinal, START)


def _places() -> Places:
    return Places(lambda job: job.ordinal, lambda job: job.id, ties=True)


def _after(places: Places, place: float, key: bytes = b"") -> list[JobId]:
    return [JobId(key) for _, key in places.after(place, key)]


def test_jobs_at_one_place_are_in_the_order_of_their_keys() -> None:
    places = _places()
    jobs = [_job(3, 1), _job(2, 1), _job(1, 1)]
    places.update(reversed(jobs), 3)
    assert _after(places, 1) == [job_id(1), job_id(2), job_id(3)]
    assert _after(places, 1, job_id(2)) == [job_id(3)]


def test_a_job_may_join_those_at_the_last_place() -> None:
    places = _places()
    jobs = [_job(1, 1), _job(5, 2)]
    places.update(reversed(jobs), 2)
    jobs.append(_job(7, 2))
    places.update(reversed(jobs), 3)
    assert _after(places, 2, job_id(5)) == [job_id(7)]
    assert len(places) == 3


def test_keys_of_jobs_that_have_gone_do_not_pile_up() -> None:
    places = _places()
    jobs = [_job(n, n) for n in range(1, 4 * SLACK)]
    places.update(reversed(jobs), len(jobs))
    del jobs[:-1]
    places.update(reversed(jobs), len(jobs))
    assert len(places) == 1
