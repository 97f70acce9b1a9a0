"""Functions that no other process can import: of notebooks, of `__main__`, lambdas and locals.

They are pickled by value, sealed, and stored under the hash of the pickle. As with Ray's remote
functions, what a function uses is taken when its first job is enqueued, and not again.
"""

import hashlib
import io
import sys
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import cloudpickle

from taskqueue_ray.core.errors import SealBroken, Unserialisable
from taskqueue_ray.core.model import StoredCode
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.engine.structs import reduce_struct, travels_by_value

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The minor version whose bytecode the pickles hold; only the same one can load them."""

_captured: WeakKeyDictionary[JobType, tuple[str, bytes]] = WeakKeyDictionary()
_lock = threading.Lock()


def capture(job_type: JobType, sealer: Sealer, now: float) -> tuple[str, StoredCode]:
    """The hash (hexadecimal SHA-256) and the sealed code of a job type.

    Raises `Unserialisable` when the function holds something that cannot be pickled, and
    `PayloadTooLarge`.
    """
    code_hash, plain = _pickled(job_type)
    sealed = sealer.seal(Kind.CODE, bytes.fromhex(code_hash), job_type.name, plain)
    return code_hash, StoredCode(job_type.name, PYTHON, sealed, now)


def restore(stored: StoredCode, code_hash: str, sealer: Sealer) -> JobType:
    """The job type again. It unpickles: for executors only, which run this code anyway.

    Raises `SealBroken`, `KeyMissing`, and whatever the unpickling raises.
    """
    plain = sealer.open(Kind.CODE, bytes.fromhex(code_hash), stored.name, stored.sealed)
    if hashlib.sha256(plain).hexdigest() != code_hash:
        raise SealBroken(Kind.CODE, "its content has another hash than its name")
    name, target, along = _unpickle(plain)
    return JobType(name, target, None, **along)


def _pickled(job_type: JobType) -> tuple[str, bytes]:
    with _lock:
        if job_type not in _captured:
            _captured[job_type] = _pickle(job_type)
        return _captured[job_type]


def _pickle(job_type: JobType) -> tuple[str, bytes]:
    try:
        plain = dumps((job_type.name, job_type.target, *_along(job_type)))
    except Exception as problem:
        raise Unserialisable(
            f"the function of job {job_type.name!r}",
            f"it uses something that cannot be pickled ({type(problem).__name__}: {problem})",
        ) from problem
    return hashlib.sha256(plain).hexdigest(), plain


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no annotations
    """Knows structs, and leaves out what msgspec has noted on a dataclass: it finds that again."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type) and _NOTED in obj.__dict__:
            delattr(obj, _NOTED)
        if travels_by_value(obj):
            return reduce_struct(obj)
        return super().reducer_override(obj)


_NOTED = "__msgspec_cache__"


def dumps(value: object) -> bytes:
    """A pickle that holds by value what no other process can import."""
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


def _along(job_type: JobType) -> tuple[dict[str, Any], ...]:
    """What an executor must know of a type besides its code; of most there is nothing.

    A class says itself how many of its jobs go at once.
    """
    found = {
        "middleware": job_type.middleware,
        "carried": job_type.carried,
        "backoff": job_type.backoff,
        "batch": None if job_type.is_class else job_type.batch,
    }
    said = {name: value for name, value in found.items() if value}
    return (said,) if said else ()


def _unpickle(plain: bytes) -> tuple[str, Callable[..., Any], dict[str, Any]]:
    name, target, *along = cloudpickle.loads(plain)
    return name, target, along[0] if along else {}
