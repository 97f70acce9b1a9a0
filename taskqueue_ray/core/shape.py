"""The shape of a job: the Ray resources that its executor holds, and what it is started in."""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from taskqueue_ray.core.errors import InvalidOption

LEAST = 0.0001
"""Ray counts resources in units of this size."""

MAX_NAMES = 32
MAX_RUNTIME_ENV = 16 * 1024
"""Characters of a runtime environment, as JSON."""

RUNTIME_ENV = (
    "conda", "config", "container", "env_vars", "excludes", "image_uri", "java_jars", "pip",
    "py_executable", "py_modules", "uv", "worker_process_setup_hook", "working_dir",
)  # fmt: skip
"""The fields of a runtime environment that Ray knows."""

_UNITS = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII | re.IGNORECASE)
_APART = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
_MOST = 1e9


class Shape(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the executor of a job holds in Ray. None leaves it to the kind of executor.

    `memory` is in bytes, `runtime_env` is JSON with sorted names ("" for none). Equal shapes share
    executors.

    >>> Shape(num_cpus=2, resources=(("disk", 1.0),)).text
    'num_cpus=2 disk=1'
    """

    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: int | None = None
    resources: tuple[tuple[str, float], ...] = ()
    label_selector: tuple[tuple[str, str], ...] = ()
    runtime_env: str = ""

    @property
    def text(self) -> str:
        """It in words; equal texts are equal shapes."""
        parts = [
            f"{name}={value:.12g}"
            for name in ("num_cpus", "num_gpus", "memory")
            if (value := getattr(self, name)) is not None
        ]
        parts += [f"{name}={amount:.12g}" for name, amount in self.resources]
        parts += [f"label {name}={label}" for name, label in self.label_selector]
        if self.runtime_env:
            parts.append(f"runtime_env {self.runtime_env}")
        return " ".join(parts)


def check_num_cpus(value: object) -> float:
    """CPUs, or parts of one."""
    return _amount("num_cpus", value, "0 or more CPUs, such as 1 or 0.5")


def check_num_gpus(value: object) -> float:
    """GPUs: whole ones, or a part of one."""
    accepts = "0 or more whole GPUs, or a part of one such as 0.5"
    amount = _amount("num_gpus", value, accepts)
    if amount > 1 and amount != int(amount):
        raise _refused("num_gpus", value, accepts)
    return amount


def check_memory(value: object) -> int:
    """Bytes, as a number or as text with a unit.

    >>> check_memory("1.5GB"), check_memory("2 GiB")
    (1500000000, 2147483648)
    """
    accepts = "bytes, or text such as '500MB' or '2GiB'"
    size = value
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        unit = _UNITS.get(match[2].lower()) if match else None
        if match is None or unit is None:
            raise _refused("memory", value, accepts)
        size = float(match[1]) * unit
    if isinstance(size, bool) or not isinstance(size, int | float) or not 1 <= size < 1e18:
        raise _refused("memory", value, accepts)
    return int(size)


def check_resources(value: object) -> tuple[tuple[str, float], ...]:
    """Custom resources of Ray: names and positive amounts, sorted."""
    found = []
    for name, amount in _mapping("resources", value, "a dict of names to amounts").items():
        if name in _APART:
            raise _refused("resources", value, f"no {name!r}: use the option {_APART[name]}")
        accepts = f"amounts above 0, not this one of {name!r}"
        number = _amount("resources", amount, accepts)
        if not number:
            raise _refused("resources", amount, accepts)
        found.append((name, number))
    return tuple(sorted(found))


def check_label_selector(value: object) -> tuple[tuple[str, str], ...]:
    """Labels of nodes and what each must be, sorted; see Ray's label selectors."""
    accepts = "a dict of labels to texts, such as {'ray.io/accelerator-type': 'A100'}"
    labels = _mapping("label_selector", value, accepts)
    for label in labels.values():
        if not isinstance(label, str) or not 0 < len(label) <= 200:
            raise _refused("label_selector", value, accepts)
    return tuple(sorted(labels.items()))


def check_runtime_env(value: object) -> str:
    """A runtime environment of Ray, as JSON."""
    fields = _mapping("runtime_env", value, "a dict, such as {'pip': ['numpy']}")
    if unknown := sorted(fields.keys() - set(RUNTIME_ENV)):
        raise _refused("runtime_env", unknown[0], f"the fields {', '.join(RUNTIME_ENV)}")
    try:
        text = msgspec.json.encode(fields, order="sorted").decode()
    except (TypeError, ValueError, OverflowError) as error:
        raise _refused("runtime_env", value, "what JSON can hold") from error
    if len(text) > MAX_RUNTIME_ENV:
        raise _refused("runtime_env", f"{len(text)} bytes", f"at most {MAX_RUNTIME_ENV}")
    return text


def _amount(option: str, value: object, accepts: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refused(option, value, accepts)
    if not (value == 0 or LEAST <= value <= _MOST):
        raise _refused(option, value, accepts)
    return float(value)


def _mapping(option: str, value: object, accepts: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_NAMES:
        raise _refused(option, value, accepts)
    for name in value:
        if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
            raise _refused(option, value, accepts)
    return value


def _refused(option: str, value: object, accepts: str) -> InvalidOption:
    shown = ascii(value)
    return InvalidOption(option, shown if len(shown) <= 80 else shown[:77] + "...", accepts)
