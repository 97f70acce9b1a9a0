"""Set and delete pools: facts of the queue, carried out by whoever starts workers."""

from taskqueue_ray.core.commands import DeletePool, SetPool
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.events import Event, PoolDeleted, PoolSet
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.pool import Pool, check_pool
from taskqueue_ray.core.state import State

MOST_POOLS = 1_000


def decide_set(state: State, command: SetPool, now: float) -> tuple[list[Event], Pool]:
    """Make a pool, or change it; the answer is what holds then."""
    pool = check_pool(command.pool)
    known = state.pools.get(pool.name)
    if known is None and len(state.pools) >= MOST_POOLS:
        raise InvalidOption("pool", "one more", f"at most {MOST_POOLS:,} of them")
    return ([] if known == pool else [PoolSet(now, pool)]), pool


def decide_delete(state: State, command: DeletePool, now: float) -> tuple[list[Event], bool]:
    """Drop a pool, whose workers finish what they run; False when there is none."""
    name = check_name("pool", command.name)
    return ([PoolDeleted(now, name)], True) if name in state.pools else ([], False)


def apply_set(state: State, event: PoolSet) -> None:
    """From now on it is as said."""
    state.pools[event.pool.name] = event.pool


def apply_deleted(state: State, event: PoolDeleted) -> None:
    """From now on it is to have no workers."""
    state.pools.pop(event.name, None)
