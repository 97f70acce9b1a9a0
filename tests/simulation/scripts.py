"""What a simulated job does when it runs, as its payload says."""

from random import Random

import msgspec

from taskqueue_ray.core.exchange import Grant
from taskqueue_ray.core.identity import derive_job_id
from taskqueue_ray.core.model import JobSpec, Options
from taskqueue_ray.core.retry import Backoff


class Script(msgspec.Struct, frozen=True, omit_defaults=True):
    """`fails` is how many attempts fail; the other troubles come once, at the first attempt.

    A job that `kills` takes its worker with it, over and over: no attempt of it is ever counted.
    One that does so `at_once` leaves no time to report that it runs. One that `forks` enqueues so
    many jobs and waits for them. Each run `saves` so many checkpoints on its way, and one more at
    its end.
    """

    seconds: float
    fails: int = 0
    final: bool = False
    snoozes: bool = False
    exits: bool = False
    kills: bool = False
    at_once: bool = False
    forks: int = 0
    saves: int = 0


def make_script(chance: Random) -> Script:
    """Most jobs do well; some save what they have done."""
    script = _make_script(chance, chance.choice((0.1, 0.5, 2.0, 6.0)))
    return msgspec.structs.replace(script, saves=chance.choice((0, 0, 1, 4)))


def _make_script(chance: Random, seconds: float) -> Script:
    match chance.randrange(20):
        case 0:
            return Script(seconds, fails=9)
        case 1 | 2:
            return Script(seconds, fails=1)
        case 3:
            return Script(seconds, fails=1, final=True)
        case 4:
            return Script(seconds, snoozes=True)
        case 5:
            return Script(seconds, exits=True)
        case 6:
            luck = chance.random()
            return Script(seconds, kills=luck < 0.6, at_once=luck < 0.3)
        case 7 | 8:
            return Script(seconds, forks=chance.choice((1, 2, 3)))
        case _:
            return Script(seconds)


def fork(grant: Grant, count: int) -> tuple[list[JobSpec], Options]:
    """The jobs that a job enqueues: in each of its runs the same."""
    jobs = []
    for index in range(count):
        made = derive_job_id(grant.id, str(index))
        luck = Random(made).random()
        script = Script(0.5, fails=int(luck < 0.3), final=luck < 0.1)
        jobs.append(JobSpec(made, 0, msgspec.msgpack.encode(script)))
    return jobs, Options("mail", "t", max_attempts=3, backoff=Backoff(base=0.5, max=3.0))


def checkpoint_of(delivery: int, number: int) -> bytes:
    """A checkpoint that says which run it is from, and which of its checkpoints it is."""
    return b"%d/%d" % (delivery, number)


def result_of(grant: Grant, worker: str) -> bytes:
    """A result that says which run it is from."""
    return b"%b/%d/%b" % (grant.id.hex().encode(), grant.delivery, worker.encode())
