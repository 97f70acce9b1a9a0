"""What may be wrong with a queue, why, and what to do: each check looks at facts, and at no more.

Facts that nobody could gather are None, or empty; what follows from them is not said then.
"""

from collections.abc import Callable, Iterator

import msgspec

from taskqueue_ray.core.demand import PoolStatus
from taskqueue_ray.core.exchange import Ping
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.nodes import NodeView
from taskqueue_ray.core.observation import Observation

NEARLY_FULL = 0.9
LATE_FOLD = 1800.0
SKEW = 2.0
"""Seconds that the clocks of two nodes may differ before timeouts and schedules look odd."""

SILENT = 15.0
UNWATCHED = 120.0
"""Seconds without a look at the alert rules: their actor is made after 30, and anew if it dies."""


class Problem(msgspec.Struct, frozen=True):
    """Something to look at. A `note` is worth knowing, and nothing is wrong."""

    what: str
    why: str
    do: str
    note: bool = False

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.do}"


class NodeFacts(msgspec.Struct, frozen=True):
    """A node of the cluster, as a probe on it says. `skew` is its clock less the one here.

    `problem` says why the probe failed.
    """

    id: str
    host: str
    skew: float = 0.0
    unsure: float = 0.0
    version: str = ""
    keys: tuple[str, ...] = ()
    problem: str = ""


class Facts(msgspec.Struct, frozen=True):
    """What is known of a queue, seen from one machine."""

    storage: str
    version: str
    protocol: int
    exists: bool = True
    storage_problem: str = ""
    keys: tuple[str, ...] = ()
    key_problem: str = ""
    key_place: str = ""
    sealed_with: tuple[str, ...] = ()
    """Keys that what is stored was sealed with; any of them opens the queue."""

    owner: str = ""
    owner_problem: str = ""
    ping: Ping | None = None
    queue_problem: str = ""
    disk_used: float | None = None
    disk_free: float | None = None
    observation: Observation | None = None
    pauses: tuple[str, ...] = ()
    nodes: tuple[NodeFacts, ...] = ()
    silent_rules: tuple[tuple[str, str], ...] = ()
    """Alert rules that cannot be judged, and why."""

    firing: tuple[tuple[str, str], ...] = ()
    undelivered: int = 0
    rules: int = 0
    """Alert rules that somebody set."""
    pools: tuple[PoolStatus, ...] = ()
    places: tuple[NodeView, ...] = ()
    """The nodes, as the queue sees them."""


class Health(msgspec.Struct, frozen=True):
    """What is wrong with a queue, and what else is worth knowing."""

    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    facts: Facts

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [str(one) for one in (*self.problems, *self.notes)]
        return "\n".join(lines) or f"nothing is wrong with {self.facts.storage}"


Check = Callable[[Facts], Iterator[Problem]]


def storage(facts: Facts) -> Iterator[Problem]:
    """Whether there is a queue, and it can be read."""
    if facts.storage_problem:
        do = "check the path, its permissions and its disk; `taskqueue storage verify` reads it all"
        yield Problem("the storage cannot be used", facts.storage_problem, do)
    elif not facts.exists:
        why = f"nothing is in {facts.storage}"
        do = "enqueue something, or name another with --storage or TASKQUEUE_STORAGE"
        yield Problem("there is no queue yet", why, do, note=True)


def keys(facts: Facts) -> Iterator[Problem]:
    """Whether the key here opens what is stored."""
    if facts.key_problem:
        do = f"mend {facts.key_place or 'TASKQUEUE_ENCRYPTION_KEYS'}"
        yield Problem("the encryption key cannot be read", facts.key_problem, do)
        return
    used = set(facts.sealed_with)
    if used and not used.intersection(facts.keys):
        held = f"here is {', '.join(facts.keys)}" if facts.keys else "here is none"
        why = f"jobs are sealed with {', '.join(sorted(used))}, and {held}"
        do = "set TASKQUEUE_ENCRYPTION_KEYS to the queue's key, or copy its key file"
        yield Problem("the queue's key is not here", why, do)


def owner(facts: Facts) -> Iterator[Problem]:
    """Whether somebody has the queue open, and can be reached."""
    if facts.owner_problem:
        do = "end that process, or `ray stop` its cluster; the next that connects takes over"
        yield Problem("the queue's cluster cannot be reached", facts.owner_problem, do)
    elif not facts.owner and facts.exists and not facts.storage_problem and facts.ping is None:
        jobs = _unfinished(facts)
        why = f"{jobs:,} jobs wait and nobody has the queue open" if jobs else "nobody has it open"
        do = "start a program that connects, `taskqueue work`, or a Ray cluster"
        yield Problem("no cluster", why, do, note=not jobs)


def queue(facts: Facts) -> Iterator[Problem]:
    """Whether the queue actor answers, and has opened its storage."""
    if facts.queue_problem:
        do = "look at its log in the Ray dashboard, or under /tmp/ray/session_latest/logs"
        yield Problem("the queue does not answer", facts.queue_problem, do)
    elif facts.ping is not None and facts.ping.recovering:
        why = "its actor is opening the storage"
        yield Problem("the queue is recovering", why, "wait; its log says what hinders it")


def versions(facts: Facts) -> Iterator[Problem]:
    """Whether all speak alike."""
    ping = facts.ping
    if ping is not None and ping.protocol != facts.protocol:
        why = f"the queue speaks protocol {ping.protocol} ({ping.version}), and here is {facts.protocol} ({facts.version})"  # noqa: E501  # a sentence
        do = "install the same version on both sides, and restart the queue's actor"
        yield Problem("versions do not fit", why, do)
    elif ping is not None and ping.version != facts.version:
        why = f"the queue runs {ping.version}, and here is {facts.version}"
        do = "they understand each other; restart the queue's actor to have one version"
        yield Problem("versions differ", why, do, note=True)
    strange = [n for n in facts.nodes if n.version and n.version != facts.version]
    for node in strange:
        why = f"it has {node.version}, and here is {facts.version}"
        do = "install the same version there"
        yield Problem(f"node {node.host} has another version", why, do)


def workers(facts: Facts) -> Iterator[Problem]:
    """Whether somebody takes the jobs that wait."""
    seen = facts.observation
    if seen is None or (facts.ping is None and not facts.owner):
        return
    for line in seen.unserved:
        if line.reason == "no_workers":
            do = f"start some: `taskqueue work {line.queue}`"
        elif "key" in line.sentence:
            do = "set the queue's key on the nodes of its workers, and restart them"
        else:
            do = "start workers that have it; `taskqueue jobs why ID` tells of a single job"
        what = f"no workers for {line.jobs:,} jobs of {line.queue}"
        yield Problem(what, line.sentence, do)
    for worker in seen.workers:
        if worker.seen_ago > SILENT:
            why = f"nothing was heard of it for {worker.seen_ago:.0f} s"
            do = "look at its node; its jobs come back when its leases end"
            yield Problem(f"worker {worker.info.id} is silent", why, do)


def paused(facts: Facts) -> Iterator[Problem]:
    """Whether jobs wait because somebody paused them."""
    for name in facts.pauses:
        do = "end the pause: `taskqueue queues resume`"
        yield Problem(f"{name} is paused", "its jobs wait until it is resumed", do, note=True)


def nodes(facts: Facts) -> Iterator[Problem]:
    """Whether the other nodes answer, hold the key, and agree on the time."""
    used = set(facts.sealed_with)
    for node in facts.nodes:
        if node.problem:
            do = "look at it in the Ray dashboard; is the package installed there?"
            yield Problem(f"node {node.host} does not answer", node.problem, do)
            continue
        if used and not used.intersection(node.keys):
            held = f"it holds {', '.join(node.keys)}" if node.keys else "it holds none"
            why = f"jobs are sealed with {', '.join(sorted(used))}, and {held}"
            do = "set TASKQUEUE_ENCRYPTION_KEYS there, or copy the key file"
            yield Problem(f"the key is missing on node {node.host}", why, do)
        if abs(node.skew) - node.unsure > SKEW:
            why = f"its clock is {node.skew:+.1f} s off the one here"
            yield Problem(f"clock skew on node {node.host}", why, "run NTP (chrony) on all nodes")


def pools(facts: Facts) -> Iterator[Problem]:
    """Whether pools get the workers that they want."""
    for pool in facts.pools:
        for row in pool.staff:
            whose = f"pool {pool.name}" + (f", for {row.shape}" if row.shape else "")
            if row.impossible:
                why = "no node of the cluster could hold one, and the jobs that need it wait"
                do = "add such a node, or have the jobs ask for less"
                yield Problem(f"impossible workers of {whose}", why, do)
            elif row.problem:
                why = f"{row.problem} ({row.failures} times in a row)"
                do = f"mend that; it is tried again in {row.retry_in:.0f} s"
                yield Problem(f"workers of {whose} cannot start", why, do)
            elif row.refused:
                do = "raise the quota, or readmit a node: `taskqueue quotas`, `taskqueue nodes`"
                yield Problem(f"workers of {whose} are held back", row.refused, do, note=True)


def places(facts: Facts) -> Iterator[Problem]:
    """Whether there is a node that gets jobs, and which get none."""
    alive = [one for one in facts.places if one.alive]
    closed = [one for one in alive if one.mode != "open" or one.draining]
    if closed and len(closed) == len(alive):
        why = "all are cordoned, draining or fenced: no worker starts, and none gets a job"
        yield Problem("no node is open", why, "`taskqueue nodes readmit NODE`")
    for node in closed:
        name = node.name or node.host or node.id[:12]
        how = "ended by Ray" if node.mode == "open" else node.mode
        do = f"`taskqueue nodes readmit {name}` when it may have jobs again"
        if node.mode == "open":
            do = "nothing: its jobs go to other nodes"
        yield Problem(f"node {name} is {how}", "it gets no jobs", do, note=True)


def disk(facts: Facts) -> Iterator[Problem]:
    """Whether there is room."""
    if facts.observation is not None and facts.observation.low_space:
        why = "new jobs are refused until there is room; running ones can finish"
        yield Problem("the disk is full", why, f"free some space for {facts.storage}")
    elif facts.disk_used is not None and facts.disk_used > NEARLY_FULL:
        free = "" if facts.disk_free is None else f", {facts.disk_free / (1 << 30):,.1f} GiB free"
        do = "free some space, or keep ended jobs for less long (the setting retention)"
        yield Problem("the disk is nearly full", f"{facts.disk_used:.0%} used{free}", do)


def compaction(facts: Facts) -> Iterator[Problem]:
    """Whether what has ended gets into the history, so that a restart stays short."""
    seen = facts.observation
    if seen is None:
        return
    behind = seen.gauges.get("compaction_behind", {}).get("", 0.0)
    if seen.fold_problem:
        yield Problem("compaction fails", seen.fold_problem, "it is tried again; mend the cause")
    elif behind > LATE_FOLD and facts.ping is not None:
        why = f"jobs that ended {behind / 60:.0f} min ago are not folded into the history"
        yield Problem("the journal is behind", why, "look at the queue's log for compaction")


def clock(facts: Facts) -> Iterator[Problem]:
    """Whether the queue's own clock jumped while it was closed."""
    jump = facts.observation.clock_jump if facts.observation else 0.0
    if jump:
        why = f"at its opening it was {jump:+.0f} s off the journal's last time"
        do = "check the date of that machine: delays and schedules go by it"
        yield Problem("the queue's clock jumped", why, do)


def alerts(facts: Facts) -> Iterator[Problem]:
    """Whether rules can be judged, and what they say."""
    for name, why in facts.silent_rules:
        do = f"mend the rule, or `taskqueue alerts delete {name}`"
        yield Problem(f"alert rule {name} cannot be judged", why, do)
    for name, detail in facts.firing:
        yield Problem(f"alert {name} fires", detail, "`taskqueue alerts list` tells more")
    if facts.undelivered:
        why = f"{facts.undelivered} notices wait for a sink that does not take them"
        do = "`taskqueue alerts history` says which, and why"
        yield Problem("alerts are not delivered", why, do)


def watch(facts: Facts) -> Iterator[Problem]:
    """Whether somebody judges the alert rules."""
    if facts.ping is None or facts.observation is None:
        return
    ago = facts.observation.watched_ago
    if facts.ping.settings.get("alerts") == "off":
        why = f"{facts.rules:,} were set, and the setting alerts was off when the queue started"
        do = "restart the queue's actor with alerts=on"
        if facts.rules:
            yield Problem("alert rules are not judged", why, do, note=True)
    elif ago is not None and ago > UNWATCHED:
        why = f"no alert rule was judged for {ago / 60:.0f} min"
        do = "look at the alert actor in the Ray dashboard: its log, or the CPU that it waits for"
        yield Problem("nobody watches over the queue", why, do)


def dead_letters(facts: Facts) -> Iterator[Problem]:
    """Jobs that have failed for good."""
    seen = facts.observation
    failed = sum(one.counts.get(JobState.FAILED, 0) for one in seen.queues) if seen else 0
    if failed:
        do = "`taskqueue jobs list --state failed`, then `taskqueue jobs redrive`"
        yield Problem(f"{failed:,} dead letters", "they have no attempt left", do, note=True)


CHECKS: tuple[Check, ...] = (
    storage, keys, owner, queue, versions, workers, pools, nodes, places, disk, compaction,
    clock, watch, alerts, paused, dead_letters,
)  # fmt: skip


def examine(facts: Facts) -> Health:
    """What follows from the facts, by all checks."""
    found = [problem for check in CHECKS for problem in check(facts)]
    wrong = tuple(one for one in found if not one.note)
    return Health(wrong, tuple(one for one in found if one.note), facts)


def _unfinished(facts: Facts) -> int:
    seen = facts.observation
    return sum(_waiting(one.counts) for one in seen.queues) if seen else 0


def _waiting(counts: dict[JobState, int]) -> int:
    return sum(count for state, count in counts.items() if not state.final)
