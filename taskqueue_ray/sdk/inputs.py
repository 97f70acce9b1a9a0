"""Handles among the arguments of a job: it depends on those jobs and gets what they return."""

from collections.abc import Mapping, Sequence
from typing import Any

from taskqueue_ray.core.model import Input, JobId
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.sdk.handle import JobHandle


class CountsOf:
    """Stands for an argument: how far the jobs of a workflow are when the job runs."""

    def __init__(self, workflow: str) -> None:
        self.workflow = workflow


def any_handles(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether there is one among the arguments."""
    given = (*args, *kwargs.values())
    return any(isinstance(one, CountsOf) or handles_in(one) is not None for one in given)


def handles_in(value: Any) -> list[JobHandle[Any]] | None:
    """The handles that stand for an argument: one, or a list of nothing else."""
    if isinstance(value, JobHandle):
        return [value]
    if isinstance(value, list | tuple) and value:
        return list(value) if all(isinstance(one, JobHandle) for one in value) else None
    return None


def bind_around(
    job_type: JobType, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[bytes, list[Input]]:
    """The arguments as MessagePack without those that handles stand for, and these."""
    inputs: list[Input] = []

    def take(name: str, value: Any) -> bool:
        if isinstance(value, CountsOf):
            inputs.append(Input(name, (), workflow=value.workflow))
            return True
        handles = handles_in(value)
        if handles is None:
            return False
        ids = tuple(handle.raw_id for handle in handles)
        inputs.append(Input(name, ids, many=not isinstance(value, JobHandle)))
        return True

    return job_type.binder.bind(args, kwargs, take), inputs


def parents_of(inputs: Sequence[Input]) -> tuple[JobId, ...]:
    """The jobs whose results these are."""
    return tuple(dict.fromkeys(one for found in inputs for one in found.ids))
