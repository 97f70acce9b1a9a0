"""Schedules for tests that say only what the test is about."""

from typing import Any

from taskqueue_ray.core.commands import PutSchedule
from taskqueue_ray.core.rules import Every, Rule
from taskqueue_ray.core.schedule import Plan, Template
from tests.records import job_id, options

MINUTELY = Every(60.0)


def plan(rule: Rule = MINUTELY, **given: Any) -> Plan:
    return Plan(**{"rule": rule, "when": "the rule", "words": "in words", **given})


def template(number: int = 900, **given: Any) -> Template:
    """The job of a schedule, sealed to the id of that number."""
    return Template(
        **{"options": options(), "payload": b"sealed", "origin": job_id(number),
           "fingerprint": b"arguments", **given}
    )  # fmt: skip


def put(
    id: str = "minutely",
    rule: Rule = MINUTELY,
    *,
    job: Template | None = None,
    replace: bool = False,
    **given: Any,
) -> PutSchedule:
    """Every minute, unless another rule is given; `given` is for the plan."""
    return PutSchedule(id, plan(rule, **given), job or template(), replace)
