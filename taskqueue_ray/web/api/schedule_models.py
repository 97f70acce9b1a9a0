"""What programs send and get about schedules, as the API's description shows it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from taskqueue_ray.web.api.models import Id, NewJob, Sent, Timespan

Overlap = Literal["skip", "allow", "buffer_one", "cancel_running"]
CatchUp = Literal["skip", "latest", "all"]


class NewSchedule(Sent):
    """A job, and when it is to be enqueued."""

    when: str = Field(max_length=400, examples=["every day at 2:30 AM", "0 */6 * * *", "15m"])
    job: NewJob
    id: str | None = Field(default=None, description="Its name; made if none is given")
    tz: str = Field(default="UTC", description="The IANA zone in which it is meant")
    overlap: Overlap = "skip"
    catch_up: CatchUp = "latest"
    window: Timespan | None = Field(
        default=None, description="How old a missed time may be [1d]; null: however old"
    )
    jitter: Timespan = 0.0
    until: datetime | None = None
    max_runs: int | None = Field(default=None, ge=1)
    replace: bool = Field(default=False, description="In the place of another of its id")


class ScheduleChanges(Sent):
    """What is to be another; what is not named stays."""

    when: str = Field(default="", max_length=400, min_length=1)
    job: NewJob | None = None
    tz: str = ""
    overlap: Overlap = "skip"
    catch_up: CatchUp = "latest"
    window: Timespan | None = None
    jitter: Timespan = 0.0
    until: datetime | None = None
    max_runs: int | None = Field(default=None, ge=1)


class Backfill(Sent):
    """A range of time that has passed, with zones."""

    start: datetime
    end: datetime


class Ran(BaseModel):
    """The job that was enqueued."""

    job: Id


class Filled(BaseModel):
    """The jobs that were enqueued, by their times."""

    jobs: list[Id]


class Time(BaseModel):
    """One time: on the clock of its zone, in UTC, and in seconds since 1970."""

    local: str
    utc: str
    at: float


class Meaning(BaseModel):
    """What was understood; `canonical` is a text that means the same again."""

    words: str
    canonical: str
    tz: str
    next: list[Time]
