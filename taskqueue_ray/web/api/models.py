"""What programs send and get, as the API's description shows it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from taskqueue_ray.core.lifecycle import JobState

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="32 hexadecimal digits")]
Timespan = Annotated[
    float | str, Field(description="Seconds, or text such as 30s, 5m, 2h, 7d", examples=["10m"])
]


class Sent(BaseModel):
    """A body of a request: what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid")


class NewJob(Sent):
    """A job to enqueue. With an `id` of your own the same request may be repeated safely."""

    type: str = Field(description="The registered name of the job type", examples=["app.send"])
    args: list[Any] = Field(default_factory=list, description="Arguments in order")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="Arguments by name")
    id: Id | None = None
    name: str | None = None
    queue: str | None = None
    priority: int | None = Field(
        default=None, ge=0, le=100, description="A higher number runs sooner"
    )
    max_attempts: int | None = Field(default=None, ge=1, le=1000)
    timeout: Timespan | None = None
    delay: Timespan | None = None
    at: datetime | None = Field(default=None, description="With a zone: 2026-01-31T09:00:00Z")
    expires: Timespan | None = None
    unique: bool | str | None = None
    tags: list[str] | None = None
    category: str | None = None
    depends_on: list[Id] | None = None
    on_parent_failure: Literal["cancel", "continue", "wait"] | None = None
    fair_key: str | None = None
    concurrency_key: str | None = None
    ordered: bool | None = None


class NewJobs(Sent):
    """Several jobs, in one request."""

    jobs: list[NewJob] = Field(min_length=1, max_length=10_000)


class Enqueued(BaseModel):
    """A job that is stored. `duplicate`: another one has its unique key, which this names."""

    id: Id
    duplicate: bool = False


class EnqueuedMany(BaseModel):
    """Jobs that are stored, in the order of the request."""

    jobs: list[Enqueued]


class Wanted(Sent):
    """Which jobs are meant: all that is given must fit."""

    state: JobState | None = None
    queue: str | None = None
    type: str | None = None
    tag: str | None = None
    category: str | None = None
    workflow: str | None = None
    since: Timespan | datetime | None = Field(
        default=None, description="Enqueued since, or how long ago"
    )

    def given(self) -> dict[str, Any]:
        """What is given, for the SDK."""
        return self.model_dump(exclude_none=True)


class CancelMany(Sent):
    """Cancel all jobs that fit. `dry_run` only says which."""

    filter: Wanted = Wanted()
    reason: str = Field(default="", max_length=200)
    dry_run: bool = False


class DeadWanted(Sent):
    """Which dead letters are meant."""

    queue: str | None = None
    type: str | None = None
    tag: str | None = None
    category: str | None = None
    workflow: str | None = None
    since: Timespan | datetime | None = None
    error: str | None = Field(default=None, description="The type of the last error")
    text: str | None = Field(default=None, description="In the message of the last error")


class RedriveMany(Sent):
    """Send all dead letters that fit again. `dry_run` only says which."""

    filter: DeadWanted = DeadWanted()
    dry_run: bool = False


class Changed(Sent):
    """Options that a dead letter gets for its new life."""

    queue: str | None = None
    priority: int | None = Field(default=None, ge=0, le=100)
    max_attempts: int | None = Field(default=None, ge=1, le=1000)
    timeout: Timespan | None = None


class Because(Sent):
    """Why, for the record."""

    reason: str = Field(default="", max_length=200)


class Moved(BaseModel):
    """Ids of the jobs that moved, or would move."""

    count: int
    ids: list[Id]
    dry_run: bool = False


class QueueChanges(Sent):
    """Settings of a queue; null takes one back, what is not named stays."""

    max_depth: int | None = None
    concurrency: int | None = None
    weights: dict[str, float] | None = None
    retention: Timespan | dict[str, Timespan | None] | None = None


class Purge(Sent):
    """Which records of ended jobs to drop."""

    state: JobState
    older_than: Timespan = 0


class ErrorInfo(BaseModel):
    """What went wrong in a run."""

    cause: str
    error_type: str
    message: str
    traceback: str


class JobInfo(BaseModel):
    """One job. Arguments and result are null where the server has no key for them."""

    id: Id
    type: str
    queue: str
    state: JobState
    priority: int
    attempts: int
    max_attempts: int
    name: str | None
    tags: list[str]
    category: str | None
    enqueued_at: datetime | None
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float
    worker: str | None
    error_type: str | None
    reason: str | None
    arguments: dict[str, Any] | None = None
    result: Any = None
    error: ErrorInfo | None = None


class JobRow(BaseModel):
    """One job as a list has it."""

    id: Id
    type: str
    queue: str
    state: JobState


class JobPage(BaseModel):
    """A page of jobs. `cursor` gives the next one; null: there is none."""

    jobs: list[JobRow]
    cursor: str | None


class Result(BaseModel):
    """How a job ended; `state` is that of now when it has not."""

    id: Id
    state: JobState
    result: Any = None
    error: ErrorInfo | None = None
    reason: str | None = None


class Reason(BaseModel):
    """Why a job is not running."""

    reason: str
    sentence: str
    facts: dict[str, Any]


class QueueInfo(BaseModel):
    """Counts of one queue, its rates of late in jobs per second, and whether it is paused."""

    queue: str
    total: int
    counts: dict[JobState, int]
    oldest_waiting: datetime | None
    paused: bool
    enqueued_per_second: float
    ended_per_second: float


class Queues(BaseModel):
    """All queues."""

    queues: list[QueueInfo]


class Toggled(BaseModel):
    """Whether that changed anything."""

    changed: bool


class Dropped(BaseModel):
    """How many records are gone."""

    count: int


class Health(BaseModel):
    """Whether the queue answers."""

    status: Literal["ok", "unavailable"]


class Problem(BaseModel):
    """What went wrong (RFC 9457). `type` names the kind of error."""

    type: str
    title: str
    status: int
    detail: str
