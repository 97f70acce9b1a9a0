"""`tq.sinks`: where the news of alert rules go.

Addresses, secrets and functions are sealed before they leave this process; only the alert actor,
which holds the queue's key, can read them.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from taskqueue_ray.core.alerts import Sink
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import Options
from taskqueue_ray.engine import telling
from taskqueue_ray.engine.functions import seal_function
from taskqueue_ray.engine.payload import Kind, decode_value, encode_value
from taskqueue_ray.engine.sinks import (
    EmailConfig,
    JobConfig,
    SlackConfig,
    Tls,
    WebhookConfig,
    seal_config,
)
from taskqueue_ray.sdk.batches import Preparer
from taskqueue_ray.sdk.job import as_item
from taskqueue_ray.sdk.workforce import import_paths

SAMPLE: dict[str, Any] = {
    "id": "sample.1.0",
    "rule": "sample",
    "state": "test",
    "severity": "info",
    "summary": "",
    "meaning": "",
    "value": None,
    "at": "2026-01-01T00:00:00+00:00",
    "storage": "",
}
"""What a job or a callable is told, by its fields."""


class Destination(Protocol):
    """One of the classes below."""

    def seal(self, rule: str, preparer: Preparer) -> Sink:
        """What the queue keeps of it, for a rule."""


@dataclass(frozen=True)
class Log:
    """The log of the alert actor."""

    def seal(self, rule: str, preparer: Preparer) -> Sink:
        return Sink("log", "log")


@dataclass(frozen=True)
class Webhook:
    """A POST of JSON, answered by 2xx. With `secret` it is signed; see `verify`.

    `Idempotency-Key` is the alert's id: equal when the same comes again.
    """

    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def seal(self, rule: str, preparer: Preparer) -> Sink:
        config = WebhookConfig(check_url(self.url), self.secret, _headers(self.headers))
        sealed = seal_config(config, "webhook", preparer.sealer, rule)
        return Sink("webhook", f"webhook {_host(self.url)}", sealed)


@dataclass(frozen=True)
class Slack:
    """An incoming webhook of Slack, or of what takes the same (Mattermost, Rocket.Chat)."""

    url: str = field(repr=False)

    def seal(self, rule: str, preparer: Preparer) -> Sink:
        sealed = seal_config(SlackConfig(check_url(self.url)), "slack", preparer.sealer, rule)
        return Sink("slack", f"slack {_host(self.url)}", sealed)


@dataclass(frozen=True)
class Email:
    """A mail over SMTP. `tls` is `"starttls"`, `"ssl"` or `"none"`."""

    to: str | Sequence[str]
    host: str = "localhost"
    port: int = 587
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Tls = "starttls"
    sender: str = ""

    def seal(self, rule: str, preparer: Preparer) -> Sink:
        to = (self.to,) if isinstance(self.to, str) else tuple(self.to)
        sender = self.sender or (self.user if "@" in self.user else f"taskqueue@{socket.getfqdn()}")
        for one in (*to, sender):
            if "@" not in one or not one.isprintable() or " " in one:
                raise InvalidOption("to", ascii(one)[:80], "addresses such as ops@example.org")
        if not to:
            raise InvalidOption("to", "nobody", "an address, or several")
        if self.tls not in ("starttls", "ssl", "none"):
            raise InvalidOption("tls", ascii(self.tls)[:80], "'starttls', 'ssl' or 'none'")
        if not 0 < self.port < 65536:
            raise InvalidOption("port", f"{self.port}", "a port")
        if self.password and self.tls == "none" and self.host not in ("localhost", "127.0.0.1"):
            raise InvalidOption("tls", "'none' with a password", "'starttls' or 'ssl'")
        config = EmailConfig(to, sender, self.host, self.port, self.user, self.password, self.tls)
        sealed = seal_config(config, "email", preparer.sealer, rule)
        return Sink("email", f"email {', '.join(to)}"[:200], sealed)


class EnqueueJob:
    """A job, enqueued with the alert as its first argument: a dict with the fields of `SAMPLE`.

    `job` is a function with `@tq.job`, with options if need be; `more` are its other arguments.
    """

    def __init__(self, job: Any, **more: Any) -> None:
        self._job = job
        self._more = more

    def seal(self, rule: str, preparer: Preparer) -> Sink:
        item = as_item(self._job, (dict(SAMPLE),), self._more)
        if not item.options.is_constant or item.options.id:
            accepts = "a job without id, time, expiry, parents or unique key"
            raise InvalidOption("job", item.job_type.name, accepts)
        bound = item.job_type.binder.bind(item.args, item.kwargs)
        values: dict[str, Any] = decode_value(bound)
        parameter = next((name for name, value in values.items() if value == SAMPLE), None)
        if parameter is None:
            accepts = "a job whose first parameter takes a dict, such as alert: dict"
            raise InvalidOption("job", item.job_type.name, accepts)
        del values[parameter]
        recipe = preparer.recipe(item.job_type, item.options)
        config = JobConfig(parameter, encode_value(values), recipe.conditions)
        options: Options = recipe.shared
        sealed = seal_config(config, "job", preparer.sealer, rule)
        return Sink("job", f"job {item.job_type.name}", sealed, options)

    def __repr__(self) -> str:
        return f"EnqueueJob({self._job!r})"


@dataclass(frozen=True)
class Call:
    """A function, called with the alert as a dict: in a process of its own, for 30 s at most."""

    function: Callable[[dict[str, Any]], Any]

    def seal(self, rule: str, preparer: Preparer) -> Sink:
        if not callable(self.function):
            raise InvalidOption("function", ascii(self.function)[:80], "a function of one alert")
        sealed = seal_function(self.function, import_paths(), preparer.sealer, Kind.SINK, rule)
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        return Sink("call", f"call {name}"[:200], sealed)


def verify(secret: str, timestamp: str, signature: str, body: bytes) -> bool:
    """Whether a post was signed with the secret: for receivers.

    `timestamp` and `signature` are the headers `X-TaskQueue-Timestamp` and
    `X-TaskQueue-Signature`. Refuse posts whose timestamp is old, and compare ids.
    """
    return telling.is_signed(secret, timestamp, signature, body)


def seal_all(
    sinks: Sequence[Destination] | None, rule: str, preparer: Preparer
) -> tuple[Sink, ...]:
    """The sinks of a rule; none named: the log."""
    chosen: Sequence[Destination] = (Log(),) if sinks is None else sinks
    if not isinstance(chosen, list | tuple) or not all(hasattr(one, "seal") for one in chosen):
        raise InvalidOption("sinks", ascii(sinks)[:80], "a list of tq.sinks.Log() and the like")
    return tuple(one.seal(rule, preparer) for one in chosen)


def check_url(url: str) -> str:
    """An address of HTTP. The refusal does not repeat it: it may hold a secret."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError):
        good = False
    if not good or not url.isprintable() or " " in url:
        raise InvalidOption("url", "what was given", "http://… or https://…")
    return url


def _host(url: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.hostname}{port}"


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if not (name.isascii() and name.isprintable() and value.isprintable() and name):
            raise InvalidOption("headers", ascii(name)[:80], "printable names and values")
    return dict(given)
