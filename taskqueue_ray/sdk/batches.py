"""Jobs on their way: bound, sealed and gathered into batches that the queue's journal keeps."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from taskqueue_ray.core.errors import InvalidArguments, InvalidOption
from taskqueue_ray.core.exchange import BatchRecord, EnqueueReply
from taskqueue_ray.core.model import Claim, Conditions, Input, JobId, JobSpec, Options
from taskqueue_ray.core.options import JobOptions
from taskqueue_ray.engine import code
from taskqueue_ray.engine.carrying import sent
from taskqueue_ray.engine.claiming import claim_of
from taskqueue_ray.engine.headers import attach
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.middleware import Enqueueing, announce, installed
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.engine.registry import check_reach
from taskqueue_ray.executor.inputs import answered
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.delivery import Delivery
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.ids import source
from taskqueue_ray.sdk.inputs import any_handles, bind_around, parents_of
from taskqueue_ray.sdk.job import JobItem
from taskqueue_ray.sdk.transport import Transport

if TYPE_CHECKING:
    from taskqueue_ray.sdk.client import TaskQueue

R = TypeVar("R")
MAX_JOBS = 500
MAX_BYTES = 96 * 1024
"""A larger argument of a call goes through Ray's object store, which takes longer."""

RECIPES = 4096
"""Options that are remembered by a client, each of which some hundred bytes long."""

NO_ID = JobId(bytes(16))
_LENGTH = 4
"""Bytes that say how long a payload is."""

_encode = msgspec.msgpack.Encoder().encode
_reply = msgspec.msgpack.Decoder(EnqueueReply).decode
_record = msgspec.msgpack.Decoder(BatchRecord).decode


class Parcel(NamedTuple):
    """A batch that is ready to be sent, and the handles whose jobs claim a unique key."""

    body: bytes
    claimants: dict[int, JobHandle[Any]]

    def settle(self, answer: bytes) -> None:
        """The queue has answered: tell the handles which jobs they stand for."""
        if self.claimants:
            reply = _reply(answer)
            for index, handle in self.claimants.items():
                if index in reply.existing or index in reply.dropped:
                    handle.stand_for(reply.existing.get(index))

    def count(self, queue: str) -> int:
        """How many of its jobs are for this queue."""
        record = _record(self.body)
        return sum(record.options[spec.options].queue == queue for spec in record.jobs)

    def split(self, most: int) -> "list[Parcel]":
        """The same jobs in parcels of at most so many."""
        record = _record(self.body)
        if len(record.jobs) <= most:
            return [self]
        return [
            Parcel(
                _encode(BatchRecord(record.options, record.jobs[start : start + most])),
                {
                    index - start: handle
                    for index, handle in self.claimants.items()
                    if start <= index < start + most
                },
            )
            for start in range(0, len(record.jobs), most)
        ]


class Batch:
    """Jobs that are sent in one call. Not safe among threads."""

    def __init__(self, client: "TaskQueue", preparer: "Preparer") -> None:
        self._client = client
        self._preparer = preparer
        self._sealer = preparer.sealer
        self._options: list[Options] = []
        self._indexes: dict[int, int] = {}
        self._specs: list[JobSpec] = []
        self._size = 0
        self._claimants: dict[int, JobHandle[Any]] = {}

    def __len__(self) -> int:
        return len(self._specs)

    @property
    def full(self) -> bool:
        """Whether it is time to send it."""
        return len(self._specs) >= self._preparer.max_jobs or self._size >= MAX_BYTES

    def add(self, item: JobItem[R], delivery: Delivery | None = None) -> JobHandle[R]:
        """Bind and seal one job; its handle. Raises what is wrong with it, and then adds nothing.

        `delivery` tells the handle when the batch is stored; without, it is by whoever sends it.
        """
        job_type, options = item.job_type, item.options
        headers: Mapping[str, str] = {}
        if installed.all or job_type.has_own:
            told = Enqueueing(job_type.name, options, item.args, item.kwargs)
            options, headers = announce(job_type.before, told)
        inputs: list[Input] = []
        try:
            plain = job_type.binder.bind(item.args, item.kwargs)
        except InvalidArguments:
            # Looked for only now: most arguments are no handles.
            if not any_handles(item.args, item.kwargs):
                raise
            plain, inputs = bind_around(job_type, item.args, item.kwargs)
        job_id = options.id or source.draw()
        content = attach(headers, plain) if headers else plain
        payload = self._sealer.seal(Kind.PAYLOAD, job_id, job_type.name, content)
        recipe = self._preparer.recipe(job_type, options)
        index = self._indexes.get(id(recipe.shared))
        if index is None:
            index = self._indexes[id(recipe.shared)] = len(self._options)
            self._options.append(recipe.shared)
        claim = None
        if options.unique is not None:
            claim = claim_of(options.unique, job_type, plain, inputs, self._sealer)
        if len(payload) > self._sealer.inline:
            # Last of all: a refusal would leave it for nobody.
            payload = self._preparer.put_away(job_id, payload)
        handle: JobHandle[R] = JobHandle(self._client, job_id, job_type, delivery)
        if recipe.constant and not inputs:
            spec = JobSpec(job_id, index, payload, 0.0, (), recipe.conditions)
            self._size += len(payload) + recipe.size
        else:
            if claim is not None:
                # It turns out to be another job when its key is taken.
                self._claimants[len(self._specs)] = handle
            spec = _conditioned(job_id, index, payload, options, claim, inputs)
            self._size += len(_encode(spec))
        self._specs.append(spec)
        return handle

    def pack(self) -> Parcel:
        """The batch as the journal keeps it."""
        return Parcel(_encode(BatchRecord(self._options, self._specs)), self._claimants)

    def take(self) -> Parcel:
        """The same; the batch is empty afterwards."""
        parcel = self.pack()
        self._options, self._indexes = [], {}
        self._specs, self._size, self._claimants = [], 0, {}
        return parcel


def _conditioned(
    job_id: JobId,
    index: int,
    payload: bytes,
    options: JobOptions,
    claim: Claim | None,
    inputs: list[Input],
) -> JobSpec:
    now = time.time()
    parents = tuple(dict.fromkeys((*options.depends_on, *parents_of(inputs))))
    conditions = options.conditions(now, claim, inputs)
    return JobSpec(job_id, index, payload, options.due(now), parents, conditions)


class Recipe(NamedTuple):
    """How jobs of one type and the same options are told to the queue.

    `constant` says that `conditions` are all that there is to say of each single one; `size` is
    what a job takes in a batch then, in bytes, besides its payload. The type and the options are
    kept so that no others get their identity.
    """

    job_type: JobType
    options: JobOptions
    shared: Options
    constant: bool
    conditions: Conditions | None
    size: int


class Preparer:
    """What all batches of a client have in common: its key, and the code that it has sent.

    `max_batch` is how many jobs the queue takes in one call.
    """

    def __init__(self, transport: Transport, sealer: Sealer, max_batch: int = MAX_JOBS) -> None:
        self.sealer = sealer
        self.max_jobs = min(MAX_JOBS, max_batch)
        self._transport = transport
        self._hashes: dict[JobType, str] = {}
        self._recipes: dict[tuple[int, int], Recipe] = {}
        self._shared: dict[Options, Options] = {}

    def recipe(self, job_type: JobType, options: JobOptions) -> "Recipe":
        """What all jobs of these options have in common, worked out once."""
        # By identity: a comparison of all options would take as long as what it saves.
        found = self._recipes.get((id(job_type), id(options)))
        if found is None:
            if len(self._recipes) >= RECIPES:
                self._recipes, self._shared = {}, {}
            shared = self.shared(job_type, options)
            shared = self._shared.setdefault(shared, shared)
            conditions = options.conditions(0.0)
            size = len(_encode(JobSpec(NO_ID, 0, b"", 0.0, (), conditions))) + _LENGTH
            found = Recipe(job_type, options, shared, options.is_constant, conditions, size)
            self._recipes[id(job_type), id(options)] = found
        return found

    def shared(self, job_type: JobType, options: JobOptions) -> Options:
        """The options as the queue keeps them, with the code's hash when there is one."""
        check_reach(job_type)
        if job_type.batch is not None and options.executor == "async":
            raise InvalidOption("executor", "'async' for a job with a batch", "'process'")
        code_hash = self._store(job_type) if job_type.by_value else None
        return options.shared(
            job_type.name,
            job_type.is_async,
            self.sealer.key_id,
            code_hash,
            code.PYTHON if code_hash else None,
            job_type.batch.max_size if job_type.batch is not None else 0,
        )

    def put_away(self, job_id: JobId, sealed: bytes) -> bytes:
        """Have a large payload kept beside the journal, durable on return; what stands for it."""
        return answered(sent("payload", job_id, sealed), self._transport.call)

    def _store(self, job_type: JobType) -> str:
        """Send the code before the first job that needs it; the queue keeps it for good."""
        known = self._hashes.get(job_type)
        if known is not None:
            return known
        code_hash, stored = code.capture(job_type, self.sealer, time.time())
        request = requests.store_code(code_hash, stored)
        self._transport.call(request.method, request.body)
        self._hashes[job_type] = code_hash
        return code_hash
