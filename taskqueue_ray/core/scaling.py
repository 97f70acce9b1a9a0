"""How many workers a backlog needs. A pure function of what is seen now."""


def desired_workers(
    *, waiting: int, processing: int, concurrency: int, current: int, minimum: int, maximum: int
) -> int:
    """Workers to have, between `minimum` and `maximum`.

    Enough executors for all that waits and runs; never fewer than now while anything waits, so
    that a backlog that shrinks does not make the fleet flap.

    >>> desired_workers(waiting=10, processing=2, concurrency=4, current=1, minimum=1, maximum=8)
    3
    """
    needed = -(-(waiting + processing) // concurrency)
    if waiting:
        needed = max(needed, current)
    return max(minimum, min(maximum, needed))
