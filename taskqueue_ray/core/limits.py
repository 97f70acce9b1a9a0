"""Set and delete limits, throttle them, and permit running code some units of a rate."""

from typing import Any, NamedTuple

from taskqueue_ray.core.commands import Acquire, DeleteLimit, SetLimit, Throttle
from taskqueue_ray.core.errors import InvalidOption, InvalidRequest, LimitConflict
from taskqueue_ray.core.events import Event, LimitDeleted, LimitSet, Permitted, Throttled
from taskqueue_ray.core.exchange import Batch, LimitView, Permit
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.model import MAX_LIMITS, MAX_UNITS, Use
from taskqueue_ray.core.naming import MAX_TITLE, check_name, check_type_name
from taskqueue_ray.core.state import State
from taskqueue_ray.core.usage import OF_QUEUE, OF_TYPE

SHORTEST, LONGEST = 0.001, 366 * 86_400.0
"""Seconds of a period, and of a throttle at most."""


class Said(NamedTuple):
    """Events and an answer."""

    events: list[Event]
    reply: object


def decide_set(state: State, command: SetLimit, now: float) -> Said:
    """Give a limit a rule; the answer is whether that is news."""
    name, key, rule = _check_name(command.name), _check_key(command.key), command.rule
    _check_rule(rule)
    scoped = name.startswith((OF_QUEUE, OF_TYPE))
    if scoped and (key or rule.kind == "rate"):
        shown = "a key" if key else "a rate"
        raise InvalidOption("limit", f"{shown} for {name}", "how many run at a time, of all keys")
    rules = state.limits.rules.get(name, {})
    for other in rules.values():
        if other.kind != rule.kind:
            raise LimitConflict(name, other.kind, rule.kind)
    if rules.get(key) == rule:
        return Said([], False)
    return Said([LimitSet(now, name, key, rule)], True)


def decide_delete(state: State, command: DeleteLimit, now: float) -> Said:
    """Take a rule back; False when there is none. One of another kind is a `LimitConflict`."""
    name, key = _check_name(command.name), _check_key(command.key)
    rules = state.limits.rules.get(name, {})
    found = rules.get(key) if key else next(iter(rules.values()), None)
    if found is None:
        return Said([], False)
    if found.kind != command.kind:
        raise LimitConflict(name, found.kind, command.kind)
    return Said([LimitDeleted(now, name, key)], True)


def decide_throttle(state: State, command: Throttle, now: float) -> Said:
    """Close a limit for a time; the answer is until when."""
    name, key = check_name("limit", command.name), _check_key(command.key)
    if not 0 <= command.seconds <= LONGEST:
        accepts = f"seconds from 0 to {LONGEST:.0f}"
        raise InvalidOption("seconds", f"{command.seconds}", accepts)
    until = now + command.seconds if command.seconds else 0.0
    if not until and key not in state.limits.throttled.get(name, {}):
        return Said([], until)
    return Said([Throttled(now, name, key, until)], until)


def decide_acquire(state: State, command: Acquire, now: float) -> Said:
    """Permit some units at once, or say when to ask again."""
    name, key, units = check_name("limit", command.name), _check_key(command.key), command.units
    if not 1 <= units <= MAX_UNITS:
        raise InvalidOption("units", str(units), f"a whole number from 1 to {MAX_UNITS}")
    rule = state.usage.rule(name, key)
    if rule is not None and rule.kind != "rate":
        raise LimitConflict(name, rule.kind, "rate")
    if rule is not None and units > rule.n:
        raise InvalidOption(
            "units", str(units), f"at most {rule.n}: the limit {name!r} has no more"
        )
    use = Use(name, units, key)
    if not state.usage.admits(use, now):
        return Said([], Permit(False, state.usage.opens(use, now)))
    return Said([Permitted(now, name, key, units)] if rule is not None else [], Permit(True, now))


def apply_set(state: State, event: LimitSet) -> None:
    """The rule holds from now on; what was used under the one before counts."""
    fresh = event.name not in state.limits.rules
    state.limits.rules.setdefault(event.name, {})[event.key] = event.rule
    _changed(state, event.name, scope=fresh)


def apply_deleted(state: State, event: LimitDeleted) -> None:
    """Nothing is left of the rule, nor of what was counted under it alone."""
    name, key = event.name, event.key
    if key:
        state.limits.rules[name].pop(key)
        if not state.limits.rules[name]:
            del state.limits.rules[name]
        _drop(state.limits.throttled, name, key)
        if state.usage.rule(name, key) is None:
            _drop(state.limits.meters, name, key)
    else:
        for part in (state.limits.rules, state.limits.meters, state.limits.throttled):
            part.pop(name, None)
    _changed(state, name, scope=name not in state.limits.rules)


def apply_throttled(state: State, event: Throttled) -> None:
    """Closed until then; or open again."""
    state.limits.throttled.setdefault(event.name, {})[event.key] = event.until
    state.usage.unthrottle(event.at)
    state.ready.gates.stir_all(event.name)


def apply_permitted(state: State, event: Permitted) -> None:
    """They count as starts do."""
    state.usage.spend(event.name, event.key, event.units, event.at)
    state.ready.gates.stir(((event.name, event.key),))


def set_of_queue(state: State, queue: str, concurrency: int | None) -> None:
    """What `configure` says of a queue is a limit too."""
    name = OF_QUEUE + queue
    known = state.limits.rules.get(name, {}).get("")
    rule = None if concurrency is None else LimitRule("concurrency", concurrency)
    if known == rule:
        return
    if rule is None:
        del state.limits.rules[name]
    else:
        state.limits.rules[name] = {"": rule}
    _changed(state, name, scope=known is None or rule is None)


def _changed(state: State, name: str, *, scope: bool) -> None:
    state.usage.rebuild()
    if scope and name.startswith((OF_QUEUE, OF_TYPE)):
        state.ready.stand_anew()  # its jobs have a gate now, or have none any more
    state.usage.count(name, state.held)
    state.ready.gates.stir_all(name)


def _drop(part: dict[str, dict[str, Any]], name: str, key: str) -> None:
    found = part.get(name)
    if found is not None:
        found.pop(key, None)
        if not found:
            del part[name]


def look(state: State, now: float) -> list[LimitView]:
    """All limits, with what is used of those without keys, or of the key they are for."""
    names = dict.fromkeys([*state.limits.rules, *state.limits.throttled])
    return [
        _view(state, name, key, now)
        for name in names
        for key in dict.fromkeys(
            [*state.limits.rules.get(name, ()), *state.limits.throttled.get(name, ())]
        )
    ]


def _view(state: State, name: str, key: str, now: float) -> LimitView:
    rule = state.limits.rules.get(name, {}).get(key)
    until = state.limits.throttled.get(name, {}).get(key, 0.0)
    kind = "throttle" if rule is None else rule.kind
    if rule is None:
        return LimitView(name, key, kind, until=until if until > now else 0.0)
    if rule.kind == "concurrency":
        used = state.usage.held.get((name, key), 0)
        keys = sum(mid[0] == name for mid in state.usage.held)
    else:
        used = rule.n - state.usage.meter(name, key).left(rule, now)
        keys = len(state.limits.meters.get(name, ()))
    until = until if until > now else 0.0
    return LimitView(name, key, kind, rule.n, rule.per, rule.smooth, used, keys, until)


def check_units(state: State, batch: Batch, known: list[int]) -> None:
    """Refuse new jobs that ask for more of a limit than there ever is."""
    repeats = set(known)
    for index in batch.special:
        conditions = batch.jobs[index].conditions
        if conditions is None or not conditions.limits or index in repeats:
            continue
        for use in conditions.limits:
            rule = state.usage.rule(use.name, use.key)
            if rule is not None and use.units > rule.n:
                accepts = f"at most {rule.n} units: the limit {use.name!r} never has more"
                raise InvalidOption("limits", f"{use.units} units of {use.name!r}", accepts)


def check_uses(uses: tuple[Use, ...]) -> None:
    """Refuse what no client of ours sends."""
    if len(uses) > MAX_LIMITS or len({(use.name) for use in uses}) < len(uses):
        raise InvalidRequest(f"a job has over {MAX_LIMITS} limits, or one of them twice")
    for use in uses:
        check_name("limit", use.name)
        _check_key(use.key)
        if not 1 <= use.units <= MAX_UNITS:
            raise InvalidOption("units", str(use.units), f"a whole number from 1 to {MAX_UNITS:,}")


def _check_name(name: str) -> str:
    if name.startswith(OF_TYPE):
        return OF_TYPE + check_type_name("type", name[len(OF_TYPE) :])
    if name.startswith(OF_QUEUE):
        raise InvalidOption("name", repr(name), "a name; for a queue: q.queues.configure")
    return check_name("limit", name)


def _check_key(key: str) -> str:
    if len(key) > MAX_TITLE or (key and not key.isprintable()):
        raise InvalidOption("key", ascii(key)[:80], f"1 to {MAX_TITLE} printable characters")
    return key


def _check_rule(rule: LimitRule) -> None:
    if not 1 <= rule.n <= MAX_UNITS:
        accepts = f"a whole number from 1 to {MAX_UNITS:,}; to start nothing, pause or throttle"
        raise InvalidOption("n", str(rule.n), accepts)
    if rule.kind == "rate" and not SHORTEST <= rule.per <= LONGEST:
        raise InvalidOption("per", f"{rule.per:g}", f"from {SHORTEST} to {LONGEST:.0f} seconds")
