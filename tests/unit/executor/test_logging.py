"""What the code of jobs logs, through std `logging`: each line names its job."""

import json
import os

from taskqueue_ray.core.model import JobId
from tests.unit.executor.lab import KEY, Lab, lab

_ENVIRONMENT = {**os.environ, "TASKQUEUE_ENCRYPTION_KEYS": KEY}
IN_JSON = {**_ENVIRONMENT, "TASKQUEUE_LOG_FORMAT": "json", "TASKQUEUE_LOG_LEVEL": "info"}
QUIET = {**_ENVIRONMENT, "TASKQUEUE_LOG_LEVEL": "warning"}


async def _lines(it: Lab, count: int) -> list[str]:
    await it.until(lambda: len(it.output) >= count, "the lines")
    return [line for _, line in it.output]


def _hex(job_id: JobId) -> str:
    return job_id.hex()


@lab()
async def test_a_line_has_the_id_and_the_type_of_its_job(it: Lab) -> None:
    job_id = it.submit("log_lines", "soup")
    await it.outcome(job_id)
    [line] = await _lines(it, 1)
    assert line.endswith(f"INFO shop.jobs: making soup job={_hex(job_id)} type=sample.log_lines")


@lab(environment=IN_JSON)
async def test_in_json(it: Lab) -> None:
    ids = [it.submit(name, "two words\nmore") for name in ("log_lines", "async_log_lines")]
    for one in ids:
        await it.outcome(one)
    found = {line["type"]: line for line in map(json.loads, await _lines(it, 2))}
    assert found["sample.log_lines"]["job"] == _hex(ids[0])
    assert found["sample.async_log_lines"]["job"] == _hex(ids[1])
    assert found["sample.log_lines"]["message"] == "making two words\nmore"
    assert found["sample.async_log_lines"]["level"] == "warning"


@lab(environment=QUIET)
async def test_the_level_is_that_of_the_setting(it: Lab) -> None:
    await it.outcome(it.submit("log_lines", "unheard"))
    await it.outcome(it.submit("async_log_lines", "heard"))
    [line] = await _lines(it, 1)
    assert "making heard" in line
