"""What a redrive may change of the jobs that it sends again.

That is what their payload is not sealed to, and what nobody else relies on: a job keeps its id, its
type, its key and its code, who depends on it, and its unique and fair keys.
"""

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import Options
from taskqueue_ray.core.options import JobOptions
from taskqueue_ray.core.retry import Backoff


class Changes(msgspec.Struct, frozen=True, omit_defaults=True):
    """Options that are to be other than they were; what is not named stays. Seconds throughout."""

    queue: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    max_attempts: int | UnsetType = UNSET
    backoff: Backoff | UnsetType = UNSET
    timeout: float | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    category: str | UnsetType | None = UNSET
    retry_on: tuple[str, ...] | UnsetType = UNSET
    give_up_on: tuple[str, ...] | UnsetType = UNSET

    def made_to(self, options: Options) -> Options:
        """These options with the changes.

        >>> Changes(priority=9).made_to(Options("mail", "t")).priority
        9
        """
        named = {name: value for name in CHANGEABLE if (value := getattr(self, name)) is not UNSET}
        if "backoff" in named:
            named["own_backoff"] = False  # a policy that is given goes before the type's function
        return msgspec.structs.replace(options, **named)


CHANGEABLE = Changes.__struct_fields__
UNCHANGED = Changes()
"""A redrive of jobs as they are."""


def changes_of(given: object) -> Changes:
    """The checked changes that a user names. Raises `InvalidOption`, also for what must stay.

    >>> changes_of({"queue": "slow", "timeout": "5m"})
    Changes(queue='slow', timeout=300.0)
    """
    if given is None:
        return UNCHANGED
    if not isinstance(given, Mapping):
        raise InvalidOption("options", ascii(given)[:80], 'a dict such as {"queue": "slow"}')
    for name, value in given.items():
        if name not in CHANGEABLE:
            may = f"nothing in a redrive, which may change {', '.join(CHANGEABLE)}"
            raise InvalidOption(str(name)[:80], ascii(value)[:80], may)
    checked = JobOptions().but(given)
    return Changes(**{name: getattr(checked, name) for name in given})
