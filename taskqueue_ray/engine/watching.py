"""Clients wait for jobs to end: one held call for each client, whatever it waits for."""

from collections.abc import Iterable
from itertools import accumulate

from taskqueue_ray.core.errors import UnknownSession
from taskqueue_ray.core.exchange import Ended, WatchReply, WatchRequest
from taskqueue_ray.core.model import Job, JobId
from taskqueue_ray.core.state import State
from taskqueue_ray.core.views import ended_view
from taskqueue_ray.engine.commits import Commits
from taskqueue_ray.engine.fleet import CLIENT_TERM, ClientSession, Fleet, Poll, Respond, hold

REPLY_BYTES = 4 << 20
"""Results that one reply carries, about."""


class Watching:
    """Who waits for which job."""

    def __init__(self, state: State, commits: Commits, fleet: Fleet) -> None:
        self._state = state
        self._commits = commits
        self._fleet = fleet
        self._watchers: dict[JobId, set[str]] = {}

    @property
    def any(self) -> bool:
        """Whether anyone waits for anything."""
        return bool(self._watchers)

    def watch(self, request: WatchRequest, now: float, respond: Respond) -> None:
        """Answer with what has ended, or hold the call until something does.

        A client that is not known (the queue restarted, or the client was away too long) must
        begin anew with `reset`: nobody watches for it what it asked for before.
        """
        if request.client not in self._fleet.clients and not request.reset:
            self._commits.then(lambda error: respond(error or UnknownSession(request.client)))
            return
        client = self._fleet.clients.get(request.client)
        if client is not None and request.sequence <= client.latest:
            # Overtaken by a newer one, which did not repeat what this one adds.
            self._add_all(request, client)
            self._flush(client, request.sequence, respond)
            return
        client = self._session(request, now)
        client.latest = request.sequence
        self._end_poll(client)
        self._add_all(request, client)
        wait = hold(request.wait)
        if client.ended or not wait:
            self._flush(client, request.sequence, respond)
        else:
            client.poll = Poll(request.sequence, now + wait, respond)

    def adopt(self, name: str, ids: list[JobId]) -> None:
        """Watch for a client that has a session, as if it had asked; but not for refused jobs."""
        client = self._fleet.clients.get(name)
        if client is not None:
            for job_id in ids:
                if self._state.known(job_id):
                    self._add(name, client, job_id)

    def notify(self, jobs: Iterable[Job]) -> None:
        """These jobs have just ended."""
        touched: dict[str, ClientSession] = {}
        for job in jobs:
            for name in self._watchers.pop(job.id, ()):
                client = touched[name] = self._fleet.clients[name]
                client.watched.discard(job.id)
                client.ended.append(ended_view(job))
        for client in touched.values():
            if client.poll is not None:
                poll, client.poll = client.poll, None
                self._flush(client, poll.sequence, poll.respond)

    def tick(self, now: float) -> None:
        """Let go of calls that were held long enough and of clients that went away."""
        for name, client in list(self._fleet.clients.items()):
            if client.poll is not None and client.poll.deadline <= now:
                self._end_poll(client)
            if client.deadline <= now and client.poll is None:
                self._forget(name, client)

    def _session(self, request: WatchRequest, now: float) -> ClientSession:
        client = self._fleet.clients.get(request.client)
        if client is not None and request.reset:
            self._end_poll(client)
            self._forget(request.client, client)
            client = None
        if client is None:
            client = self._fleet.clients[request.client] = ClientSession(0.0)
        client.deadline = now + hold(request.wait) + CLIENT_TERM
        return client

    def _add_all(self, request: WatchRequest, client: ClientSession) -> None:
        for job_id in request.add:
            self._add(request.client, client, job_id)

    def _add(self, name: str, client: ClientSession, job_id: JobId) -> None:
        state = self._state
        found = state.jobs.get(job_id) or state.settled.get(job_id)
        if isinstance(found, Job) and not found.state.final:
            client.watched.add(job_id)
            self._watchers.setdefault(job_id, set()).add(name)
        elif isinstance(found, Job):
            client.ended.append(ended_view(found))
        else:
            client.ended.append(Ended(job_id, found.state if found else None, known=False))

    def _end_poll(self, client: ClientSession) -> None:
        if client.poll is not None:
            poll, client.poll = client.poll, None
            self._answer(poll.sequence, poll.respond, [])

    def _flush(self, client: ClientSession, sequence: int, respond: Respond) -> None:
        sizes = accumulate(len(end.result) for end in client.ended)
        count = max(1, sum(1 for size in sizes if size <= REPLY_BYTES))
        # What does not fit comes with the next call, which is then not held.
        ended, client.ended = client.ended[:count], client.ended[count:]
        self._answer(sequence, respond, ended)

    def _answer(self, sequence: int, respond: Respond, ended: list[Ended]) -> None:
        reply = WatchReply(sequence, ended)
        self._commits.then(lambda error: respond(error or reply))

    def _forget(self, name: str, client: ClientSession) -> None:
        for job_id in client.watched:
            watchers = self._watchers.get(job_id)
            if watchers is not None:
                watchers.discard(name)
                if not watchers:
                    del self._watchers[job_id]
        del self._fleet.clients[name]
