"""A pool as it is stored: which workers there may be, for whom, and how they run jobs."""

from collections.abc import Mapping, Sequence

import msgspec

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.shape import (
    Shape,
    check_label_selector,
    check_memory,
    check_num_cpus,
    check_num_gpus,
    check_resources,
    check_runtime_env,
)
from taskqueue_ray.core.timing import parse_duration

MOST = 10_000
MOST_EXECUTORS = 1024
MOST_SHAPES = 64
PLAIN = Shape()
"""The shape of workers that hold nothing in particular; its text is empty."""


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the workers of a pool run jobs. Sizes in bytes, times in seconds; None: without limit."""

    app: tuple[str, ...] = ()
    import_paths: tuple[str, ...] = ()
    timeout: float = 3600.0
    memory_limit: int | None = None
    max_jobs: int | None = None
    max_age: float | None = None
    key_file: str | None = None
    max_result: int = 64 << 20
    inline: int = 128 << 10
    max_batch: int = 10_000
    log_level: str = "info"
    log_format: str = "text"
    cancel_grace: float = 5.0


class Pool(msgspec.Struct, frozen=True, omit_defaults=True):
    """The workers of some queues (none named: of all), as many as their jobs need.

    From `minimum` (of the first shape) to `maximum` (of all shapes together), each with
    `concurrency` executors. Jobs are to wait no longer than `target_wait`; a worker that is not
    needed stays for `cool_down`. `shapes` None: whatever shapes the jobs have. A `suspended` pool
    has no workers.
    """

    name: str
    queues: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = 10
    concurrency: int = 1
    target_wait: float = 30.0
    cool_down: float = 60.0
    shapes: tuple[Shape, ...] | None = None
    suspended: bool = False
    terms: Terms = Terms()


def check_pool(pool: Pool) -> Pool:
    """The same, if it is one. Raises `InvalidOption`."""
    check_name("pool", pool.name)
    for queue in pool.queues:
        check_name("queue", queue)
    if not 0 <= pool.minimum <= pool.maximum <= MOST or pool.maximum < 1:
        given = f"min={pool.minimum}, max={pool.maximum}"
        raise InvalidOption("pool", given, f"0 <= min <= max, and max from 1 to {MOST:,}")
    if not 1 <= pool.concurrency <= MOST_EXECUTORS:
        accepts = f"a whole number from 1 to {MOST_EXECUTORS}"
        raise InvalidOption("concurrency", str(pool.concurrency), accepts)
    for name, seconds in (("target_wait", pool.target_wait), ("cool_down", pool.cool_down)):
        parse_duration(seconds, name)
    if pool.target_wait <= 0:
        raise InvalidOption("target_wait", f"{pool.target_wait:g}", "more than 0 seconds")
    if pool.shapes is not None and not 1 <= len(pool.shapes) <= MOST_SHAPES:
        raise InvalidOption("shapes", f"{len(pool.shapes)} of them", f"1 to {MOST_SHAPES}")
    for shape in pool.shapes or ():
        _check_shape(shape)
    _check_terms(pool.terms)
    return pool


def _check_shape(shape: Shape) -> None:
    """Refuse what nobody can ask for, whatever way it came here."""
    given = {
        name: value for name in _CHECKS if (value := getattr(shape, name)) not in (None, (), "")
    }
    for name in given.keys() & {"resources", "label_selector"}:
        given[name] = dict(given[name])
    if shape.runtime_env:
        try:
            given["runtime_env"] = msgspec.json.decode(shape.runtime_env)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise InvalidOption("runtime_env", ascii(shape.runtime_env)[:80], "JSON") from None
    if parse_shape(given) != shape:
        raise InvalidOption("shapes", ascii(shape.text)[:80], "shapes with their names sorted")


def _check_terms(terms: Terms) -> None:
    for name in ("timeout", "max_age", "cancel_grace"):
        if (seconds := getattr(terms, name)) is not None:
            parse_duration(seconds, name)
    if terms.timeout <= 0 or terms.max_age == 0:
        raise InvalidOption("timeout and max_age", "0", "more than 0 seconds")
    for name, (least, most) in _WHOLE.items():
        if (value := getattr(terms, name)) is not None and not least <= value <= most:
            raise InvalidOption(name, str(value), f"whole numbers from {least:,} to {most:,}")
    for name, words in _WORDS.items():
        if getattr(terms, name) not in words:
            raise InvalidOption(name, ascii(getattr(terms, name))[:80], ", ".join(words))


_WHOLE = {
    "memory_limit": (1, 1 << 59), "max_jobs": (1, 1 << 53), "max_result": (1, 1 << 30),
    "inline": (0, 1 << 30), "max_batch": (1, 100_000),
}  # fmt: skip
_WORDS = {"log_level": ("debug", "info", "warning", "error"), "log_format": ("text", "json")}


def parse_shapes(value: object) -> tuple[Shape, ...] | None:
    """The shapes of a pool out of what people write: "auto", or a list of resources by name.

    >>> parse_shapes([{}, {"num_gpus": 0.5}])[1].text
    'num_gpus=0.5'
    """
    if value is None or value == "auto":
        return None
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise InvalidOption("shapes", ascii(value)[:80], "'auto', or a list such as [{}]")
    return tuple(dict.fromkeys(parse_shape(one) for one in value))


def parse_shape(value: object) -> Shape:
    """One shape; `{}` is that of jobs that ask for nothing."""
    if isinstance(value, Shape):
        return value
    if not isinstance(value, Mapping):
        raise InvalidOption("shapes", ascii(value)[:80], "dicts such as {'num_gpus': 0.5}")
    found: dict[str, object] = {}
    for name, amount in value.items():
        if name not in _CHECKS:
            raise InvalidOption("shapes", ascii(name)[:80], f"only {', '.join(_CHECKS)}")
        found[name] = _CHECKS[name](amount)
    return msgspec.convert(found, Shape)


_CHECKS = {
    "num_cpus": check_num_cpus,
    "num_gpus": check_num_gpus,
    "memory": check_memory,
    "resources": check_resources,
    "label_selector": check_label_selector,
    "runtime_env": check_runtime_env,
}


def executors_of(shape: Shape, concurrency: int) -> int:
    """How many executors one worker of a shape has.

    Those of a worker see the same GPUs, so they share one GPU, or there is only one of them.

    >>> executors_of(Shape(num_gpus=0.25), 8), executors_of(Shape(num_gpus=2), 8)
    (4, 1)
    """
    gpus = shape.num_gpus or 0.0
    if gpus <= 0.0:
        return concurrency
    return max(1, min(concurrency, int(1.0 / gpus + 1e-6)))


def footprint(shape: Shape, executors: int) -> Shape:
    """What a worker with so many executors holds: that of each, times their number.

    >>> footprint(Shape(num_cpus=1.5, resources=(("disk", 1.0),)), 2).text
    'num_cpus=3 disk=2'
    """
    return msgspec.structs.replace(
        shape,
        num_cpus=None if shape.num_cpus is None else shape.num_cpus * executors,
        num_gpus=None if shape.num_gpus is None else shape.num_gpus * executors,
        memory=None if shape.memory is None else shape.memory * executors,
        resources=tuple((name, amount * executors) for name, amount in shape.resources),
    )
