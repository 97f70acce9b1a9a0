"""Functions of alert rules, sealed: predicates, and callables that are told.

They are pickled as the functions of notebooks are, with the places in which their modules are
found, and unpickled only in the child process that runs them.
"""

import sys
from collections.abc import Callable
from typing import Any

import cloudpickle

from taskqueue_ray.core.errors import Unserialisable
from taskqueue_ray.engine.code import dumps
from taskqueue_ray.engine.payload import Kind, Sealer


def seal_function(
    function: Callable[..., Any], search: tuple[str, ...], sealer: Sealer, kind: Kind, rule: str
) -> bytes:
    """The function, bound to its rule. Raises `Unserialisable`."""
    try:
        # Two pickles: the modules of the inner one are found in places that the outer one names.
        plain = dumps((search, dumps(function)))
    except Exception as problem:
        raise Unserialisable(
            f"the function of the alert rule {rule!r}",
            f"it uses something that cannot be pickled ({type(problem).__name__}: {problem})",
        ) from problem
    return sealer.seal(kind, rule.encode(), "function", plain)


def open_function(sealed: bytes, sealer: Sealer, kind: Kind, rule: str) -> Callable[..., Any]:
    """The function again. It unpickles: for the child process that runs it, and for no other.

    Raises `SealBroken`, `KeyMissing`, and whatever the unpickling raises.
    """
    plain = sealer.open(kind, rule.encode(), "function", sealed)
    search, pickled = _split(plain)
    sys.path.extend(folder for folder in search if folder not in sys.path)
    function: Callable[..., Any] = cloudpickle.loads(pickled)
    return function


def _split(plain: bytes) -> tuple[tuple[str, ...], bytes]:
    search, pickled = cloudpickle.loads(plain)
    return search, pickled
