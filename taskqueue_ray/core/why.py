"""Why a job is not running: the reason as a word, in a sentence, and as data."""

from collections.abc import Sequence
from typing import Any

import msgspec

from taskqueue_ray.core.aside import Pause
from taskqueue_ray.core.exchange import WorkerInfo
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.leasing import fits
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.meters import NEVER
from taskqueue_ray.core.model import (
    ASIDE,
    Blocked,
    Finished,
    Job,
    JobId,
    Leased,
    Options,
    Scheduled,
    shape_of,
)
from taskqueue_ray.core.staffing import Post, hindrance, serves
from taskqueue_ray.core.state import State

AHEAD = 1_000
"""Jobs ahead of one that are counted; beyond that it is "more than"."""

SHOWN = 5


class Why(msgspec.Struct, frozen=True):
    """Why a job is not running, or that it is.

    `reason` is one of `finished`, `running`, `resources`, `delay`, `retry`, `parents`, `paused`,
    `key`, `no_workers`, `no_fitting_worker`, `impossible`, `cannot_start`, `quota`, `starting`,
    `no_space`, `suspect`, `limit` and `turn`; `facts` depend on it. Times are seconds since the
    epoch.
    """

    reason: str
    sentence: str
    facts: dict[str, Any] = {}


def explain(
    state: State,
    job: Job,
    workers: Sequence[WorkerInfo],
    now: float,
    posts: Sequence[Post] = (),
) -> Why:
    """The first reason that keeps the job from running, given the workers and pools there are."""
    match job.phase:
        case Finished(state=end, at=at, reason=reason):
            words = f"it has ended: {end}" + (f" ({reason})" if reason else "")
            return Why("finished", words, {"state": end.value, "at": at, "because": reason})
        case Leased(worker=worker, at=at):
            facts = {"worker": worker, "since": at, "started": job.running}
            if job.options.in_ray and not job.running:
                return _placing(job.options, facts)
            began = "runs on" if job.running else "is in the hands of"
            return Why("running", f"it {began} worker {worker}, for {now - at:.0f} s", facts)
        case Scheduled(due=due):
            return _scheduled(job, due, now)
        case Blocked(parents=parents):
            return _blocked(state, job, parents)
        case _:
            return _pending(state, job, workers, posts, now)


def _placing(options: Options, facts: dict[str, Any]) -> Why:
    shape = options.shape.text if options.shape else ""
    asked = f", which asks for {shape}" if shape else ""
    words = f"worker {facts['worker']} waits for its {options.executor} to start in Ray{asked}"
    return Why("resources", words, {**facts, "executor": options.executor, "shape": shape})


def _scheduled(job: Job, due: float, now: float) -> Why:
    wait = f"in {max(0.0, due - now):.0f} s"
    if job.attempts:
        facts = {"due": due, "attempt": job.attempts, "of": job.options.max_attempts}
        words = f"attempt {job.attempts} of {job.options.max_attempts} did not complete it"
        return Why("retry", f"{words}; it is tried again {wait}", facts)
    return Why("delay", f"its time comes {wait}", {"due": due})


def _blocked(state: State, job: Job, parents: set[JobId]) -> Why:
    # Beside the parents that it came with it may wait for jobs that its code asked to wait for.
    awaited = [*(one for one in job.parents if one in parents), *parents.difference(job.parents)]
    shown = [
        {"id": to_text(one), "state": found.value if (found := state.state_of(one)) else None}
        for one in awaited[:SHOWN]
    ]
    dead = [one for one in awaited if state.state_of(one) is JobState.FAILED]
    facts = {"awaited": len(awaited), "of": len(job.parents), "parents": shown, "failed": len(dead)}
    words = f"it waits for {len(awaited)} of its {len(job.parents)} parents"
    if not parents.issubset(job.parents):
        facts["of"] = len(awaited)
        words = (
            f"it waits for {len(awaited)} jobs that it asked to wait for, or that joined a batch"
        )
    if dead:
        words += f"; {len(dead)} of them failed and wait to be redriven, such as {to_text(dead[0])}"
    return Why("parents", words, facts)


def _pending(
    state: State, job: Job, workers: Sequence[WorkerInfo], posts: Sequence[Post], now: float
) -> Why:
    options = job.options
    pause = Pause("queue", options.queue)
    if pause not in state.pauses:
        pause = state.ready.aside.pause_of(options) or pause
    if (since := state.pauses.get(pause)) is not None:
        facts = {"kind": pause.kind, "name": pause.name, "since": since}
        return Why("paused", f"the {pause.kind} {pause.name!r} is paused", facts)
    if job.phase is ASIDE and (holder := state.ready.aside.holder_of(job)) is not None:
        key, one = job.conditions.concurrency_key, to_text(holder.id)
        facts = {"key": key, "holder": one, "state": holder.state.value}
        return Why("key", f"job {one} goes before it: both have the key {key!r}", facts)
    lacks, held = unserved(job.options, workers, posts), explain_limits(state, job, now)
    if held is not None and lacks is not None and lacks.reason in _MAY_COME:
        # A pool has no worker for jobs that a limit holds: those come when it opens.
        lacks = None if any(serves(post, options.queue) for post in posts) else lacks
    return lacks or held or _turn(state, job, workers, now)


_MAY_COME = ("no_workers", "no_fitting_worker")


def explain_limits(state: State, job: Job, now: float) -> Why | None:
    """The limit that opens last of those that hold it."""
    usage = state.usage
    closed = [use for use in usage.gate_of(job) if not usage.admits(use, now)]
    if not closed:
        return None
    use = max(closed, key=lambda one: usage.opens(one, now))
    rule, opens = usage.rule(use.name, use.key), usage.opens(use, now)
    left = max(0, usage.left(use.name, use.key, now)[0])
    until = opens if opens < NEVER else None
    facts = {
        "limit": use.name, "key": use.key or None, "units": use.units, "left": left, "until": until,
        "kind": rule.kind if rule else "throttle", "n": rule.n if rule else None,
        "per": rule.per if rule and rule.kind == "rate" else None,
        "throttled": usage.throttled_until(use.name, use.key) > now,
    }  # fmt: skip
    of = f" for the key {use.key!r}" if use.key else ""
    when = "" if until is None else f", until in {until - now:.1f} s"
    if facts["throttled"]:
        words = f"the limit {use.name!r}{of} was throttled{when}"
    elif rule is not None and rule.kind == "rate":
        words = f"{rule.n} starts in {rule.per:g} s are allowed by the limit {use.name!r}{of}{when}"
    else:
        n = rule.n if rule else 0
        words = f"{n} at a time are allowed by the limit {use.name!r}{of}, and as many run"
    return Why("limit", words, facts)


def unserved(
    options: Options, workers: Sequence[WorkerInfo], posts: Sequence[Post] = ()
) -> Why | None:
    """Why none of these workers would take such a job; None when one would."""
    serving = [one for one in workers if not one.queues or options.queue in one.queues]
    if any(fits(one, options.lane) for one in serving):
        return None
    if (found := hindrance(options, posts)) is not None:
        return Why(*found)
    if not serving:
        others = f"; {len(workers)} serve other queues" if workers else ""
        words = f"no worker serves the queue {options.queue!r}{others}"
        return Why("no_workers", words, {"queue": options.queue, "workers": len(workers)})
    shape = shape_of(options.lane[0])
    lacks = []
    if not any(options.executor in one.executors for one in serving):
        lacks.append(f"the executor {options.executor!r}")
    if not any(shape == one.shape for one in serving):
        lacks.append(f"the resources {shape}" if shape else "no resources, as the job asks")
    if options.key and not any(options.key in one.keys for one in serving):
        lacks.append(f"the encryption key {options.key}")
    if options.python and not any(options.python == one.python for one in serving):
        lacks.append(f"Python {options.python}, which its code needs")
    words = f"no worker of the queue {options.queue!r} has {' and '.join(lacks) or 'all it needs'}"
    facts = {
        "executor": options.executor, "key": options.key, "python": options.python, "shape": shape
    }  # fmt: skip
    return Why("no_fitting_worker", words, facts)


def _turn(state: State, job: Job, workers: Sequence[WorkerInfo], now: float) -> Why:
    queue = job.options.queue
    allowance = state.ready.allowance(now)
    line = state.ready.pick((queue,), lambda lane: lane == job.options.lane, AHEAD + 1, allowance)
    ahead = next((place for place, one in enumerate(line) if one is job), None)
    count = f"more than {AHEAD:,}" if ahead is None else f"{ahead:,}"
    if job.suspect:
        words = "a worker vanished that had it: it waits for one that has nothing else to begin"
        return Why("suspect", words, {"losses": job.losses})
    words = f"its turn has not come: {count} jobs of its queue go before it"
    return Why("turn", words, {"ahead": ahead, "workers": len(workers)})
