"""The options of a job as people give them: checked one by one, and put together by layers.

A decorator's options come first, then those of `.options(...)`; the later wins.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import msgspec

from taskqueue_ray.core.claims import Unique, check_unique
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.identity import from_text
from taskqueue_ray.core.limiting import check_limits
from taskqueue_ray.core.model import (
    IN_RAY,
    PLAIN,
    Claim,
    Conditions,
    ExecutorKind,
    Input,
    JobId,
    OnParentFailure,
    Options,
    Use,
)
from taskqueue_ray.core.naming import (
    check_label,
    check_name,
    check_tags,
    check_title,
    exception_name,
)
from taskqueue_ray.core.retry import DEFAULT_BACKOFF, Backoff
from taskqueue_ray.core.shape import (
    Shape,
    check_label_selector,
    check_memory,
    check_num_cpus,
    check_num_gpus,
    check_resources,
    check_runtime_env,
)
from taskqueue_ray.core.timing import parse_duration, parse_moment

MAX_PRIORITY = 100
MAX_ATTEMPTS = 1000
MAX_PARENTS = 100_000
POLICIES = get_args(OnParentFailure)


class JobOptions(msgspec.Struct, frozen=True):
    """Everything that can be said of a job apart from its arguments. Seconds throughout.

    `executor` None lets the function decide, `timeout` 0 and `cancel_grace` None the worker.
    `delay` and `at` exclude each other. A `workflow` sets its own name, a batch what its jobs end
    `before`. `own_backoff` says that the job type has a function.
    """

    id: JobId | None = None
    name: str | None = None
    queue: str = "default"
    priority: int = 5
    max_attempts: int = 3
    backoff: Backoff = DEFAULT_BACKOFF
    timeout: float = 0.0
    delay: float | None = None
    at: float | None = None
    expires: float | None = None
    unique: Unique | None = None
    tags: tuple[str, ...] = ()
    category: str | None = None
    depends_on: tuple[JobId, ...] = ()
    on_parent_failure: OnParentFailure = "cancel"
    fair_key: str = ""
    concurrency_key: str = ""
    ordered: bool = False
    executor: ExecutorKind | None = None
    retry_on: tuple[str, ...] = ()
    give_up_on: tuple[str, ...] = ()
    workflow: str = ""
    before: tuple[JobId, ...] = ()
    own_backoff: bool = False
    cancel_grace: float | None = None
    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: int | None = None
    resources: tuple[tuple[str, float], ...] | None = None
    label_selector: tuple[tuple[str, str], ...] | None = None
    runtime_env: str | None = None
    limits: tuple[Use, ...] = ()

    def but(self, given: Mapping[str, object]) -> "JobOptions":
        """These options with the checked changes of `given`. Raises `InvalidOption`.

        >>> JobOptions().but({"queue": "mail", "delay": "5m"}).delay
        300.0
        """
        if not given:
            return self
        changes = {name: _checked(name, value) for name, value in given.items()}
        if changes.get("delay") is not None and changes.get("at") is not None:
            raise InvalidOption("at", "a time beside a delay", "one of the two")
        if changes.get("delay") is not None:
            changes["at"] = None
        elif changes.get("at") is not None:
            changes["delay"] = None
        if "backoff" in changes:
            changes["own_backoff"] = False
        made = msgspec.structs.replace(self, **changes)
        if not changes.keys().isdisjoint(_SHAPED):
            made._check_shape()
        return made

    def _check_shape(self) -> None:
        """Refuse what the executor that was chosen would ignore."""
        if self.executor != "async":
            return
        for name in SHAPE:
            if getattr(self, name) is not None:
                shown = f"a value beside executor={self.executor!r}"
                accepts = "executor='process', 'actor' or 'task'; None takes it back"
                raise InvalidOption(name, shown, accepts)

    def kind(self, is_async: bool) -> ExecutorKind:
        """Where the job's code runs. With a shape and no executor named, in an actor."""
        if self.executor is not None:
            return self.executor
        if self.is_shaped:
            return "actor"
        return "async" if is_async else "process"

    @property
    def is_shaped(self) -> bool:
        """Whether anything was said of the resources that it needs."""
        return any(getattr(self, name) is not None for name in SHAPE)

    def shape(self) -> Shape:
        """What is held in Ray for the job: by its executor there, or by its worker."""
        return Shape(
            num_cpus=self.num_cpus,
            num_gpus=self.num_gpus,
            memory=self.memory,
            resources=self.resources or (),
            label_selector=self.label_selector or (),
            runtime_env=self.runtime_env or "",
        )

    def shared(
        self,
        job_type: str,
        is_async: bool,
        key: str,
        code: str | None,
        python: str | None,
        batch: int = 0,
    ) -> Options:
        """The part that jobs enqueued alike have in common, as the queue keeps it."""
        executor = self.kind(is_async)
        return Options(
            queue=self.queue,
            type=job_type,
            priority=self.priority,
            max_attempts=self.max_attempts,
            backoff=self.backoff,
            timeout=self.timeout,
            executor=executor,
            name=self.name,
            tags=self.tags,
            category=self.category,
            key=key,
            code=code,
            python=python,
            retry_on=self.retry_on,
            give_up_on=self.give_up_on,
            own_backoff=self.own_backoff,
            cancel_grace=self.cancel_grace,
            batch=batch,
            shape=self.shape() if executor in IN_RAY or self.is_shaped else None,
        )

    @property
    def is_constant(self) -> bool:
        """Whether the same is to be said of each job: no time, no parents, no key of its own."""
        return (
            self.delay is None
            and self.at is None
            and self.expires is None
            and not self.depends_on
            and self.unique is None
        )

    def conditions(
        self, now: float, claim: Claim | None = None, inputs: Sequence[Input] = ()
    ) -> Conditions | None:
        """What the job asks for beyond the plain; None: nothing."""
        found = Conditions(
            expires=0.0 if self.expires is None else now + self.expires,
            unique=claim,
            inputs=tuple(inputs),
            fair_key=self.fair_key,
            concurrency_key=self.concurrency_key,
            ordered=self.ordered,
            on_parent_failure=self.on_parent_failure,
            workflow=self.workflow,
            before=self.before,
            limits=self.limits,
        )
        return None if found == PLAIN else found

    def due(self, now: float) -> float:
        """The time before which the job must not run, or 0."""
        if self.delay:
            return now + self.delay
        return self.at or 0.0


def check_priority(value: object) -> int:
    """A priority; a higher number runs sooner. A bool is no priority."""
    return _whole("priority", value, 0, MAX_PRIORITY)


def _whole(option: str, value: object, low: int, high: int) -> int:
    # An IntEnum such as Priority is a number; True is a mistake.
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidOption(option, _shown(value), f"a whole number from {low} to {high}")
    return int(value)


def _timeout(value: object) -> float:
    seconds = parse_duration(value, "timeout")
    if seconds <= 0.0:
        raise InvalidOption("timeout", _shown(value), "more than 0 seconds")
    return seconds


def _backoff(value: object) -> Backoff:
    if callable(value) and not isinstance(value, type):
        raise InvalidOption(
            "backoff",
            _shown(value),
            "tq.Backoff here: a function lives where its job runs, so it is given to the job's "
            "type, as @tq.job(backoff=...) or as an attribute of the class",
        )
    if not isinstance(value, Backoff):
        raise InvalidOption(
            "backoff", _shown(value), "tq.Backoff.exponential(...), .linear(...) or .fixed(...)"
        )
    return value


def _executor(value: object) -> str:
    if not isinstance(value, str) or value not in ("process", "async", *IN_RAY):
        raise InvalidOption("executor", _shown(value), "'process', 'async', 'actor' or 'task'")
    return value


def _parents(value: object) -> tuple[JobId, ...]:
    given = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    if len(given) > MAX_PARENTS:
        raise InvalidOption("depends_on", f"{len(given)} jobs", f"at most {MAX_PARENTS}")
    return tuple(dict.fromkeys(_job_id("depends_on", parent) for parent in given))


def _expires(value: object) -> float:
    seconds = parse_duration(value, "expires")
    if seconds <= 0.0:
        raise InvalidOption("expires", _shown(value), "more than 0 seconds, from enqueueing on")
    return seconds


def _on_parent_failure(value: object) -> str:
    if not isinstance(value, str) or value not in POLICIES:
        raise InvalidOption("on_parent_failure", _shown(value), ", ".join(map(repr, POLICIES)))
    return value


def _exceptions(option: str, value: object) -> tuple[str, ...]:
    """Names of exception types, which may be given as such."""
    given = value if isinstance(value, list | tuple) else (value,)
    if not all(_is_exception(one) for one in given):
        raise InvalidOption(option, _shown(value), "exception types, or their dotted names")
    return tuple(
        dict.fromkeys(one if isinstance(one, str) else exception_name(one) for one in given)
    )


def _is_exception(value: object) -> bool:
    if isinstance(value, str):
        return bool(value) and value.replace(".", "_").isidentifier()
    return isinstance(value, type) and issubclass(value, BaseException)


def _flag(option: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidOption(option, _shown(value), "True or False")
    return value


def _key(option: str, value: object) -> str:
    """A key of the user's own, in the clear: a tenant, a customer, a model."""
    if value is None:
        return ""
    return check_title(option, str(value) if type(value) is int else value)


def _job_id(option: str, value: object) -> JobId:
    """An id given as such, as its text, or as something that has one (a handle, a `tq.Job`)."""
    try:
        return from_text(getattr(value, "id", value))
    except InvalidOption as refusal:
        raise InvalidOption(option, refusal.fields["value"], refusal.fields["accepts"]) from None


_CHECKS: dict[str, Callable[[Any], object]] = {
    "id": lambda value: _job_id("id", value),
    "name": lambda value: check_title("name", value),
    "queue": lambda value: check_name("queue", value),
    "priority": check_priority,
    "max_attempts": lambda value: _whole("max_attempts", value, 1, MAX_ATTEMPTS),
    "backoff": _backoff,
    "timeout": _timeout,
    "delay": lambda value: parse_duration(value, "delay"),
    "at": parse_moment,
    "expires": _expires,
    "unique": check_unique,
    "tags": lambda value: check_tags("tags", value),
    "category": lambda value: check_label("category", value),
    "depends_on": _parents,
    "on_parent_failure": _on_parent_failure,
    "fair_key": lambda value: _key("fair_key", value),
    "concurrency_key": lambda value: _key("concurrency_key", value),
    "ordered": lambda value: _flag("ordered", value),
    "executor": _executor,
    "retry_on": lambda value: _exceptions("retry_on", value),
    "give_up_on": lambda value: _exceptions("give_up_on", value),
    "cancel_grace": lambda value: parse_duration(value, "cancel_grace"),
    "num_cpus": check_num_cpus,
    "num_gpus": check_num_gpus,
    "memory": check_memory,
    "resources": check_resources,
    "label_selector": check_label_selector,
    "runtime_env": check_runtime_env,
    "limits": check_limits,
}
SHAPE = ("num_cpus", "num_gpus", "memory", "resources", "label_selector", "runtime_env")
"""The options that say what is held in Ray for a job."""

_SHAPED = frozenset((*SHAPE, "executor"))
_MAY_BE_NONE = frozenset(
    ("id", "name", "category", "delay", "at", "expires", "executor", "cancel_grace", *SHAPE)
)
NAMES = tuple(_CHECKS)


def _checked(name: str, value: object) -> object:
    check = _CHECKS.get(name)
    if name == "batch":
        accepts = "nothing here: it belongs to the handler, so give it to @tq.job or to the class"
        raise InvalidOption(name, _shown(value), accepts)
    if check is None:
        raise InvalidOption(name, _shown(value), f"nothing: the options are {', '.join(NAMES)}")
    return None if value is None and name in _MAY_BE_NONE else check(value)


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."
