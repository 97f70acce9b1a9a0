"""Telling somebody of an alert: the message, and its ways by HTTP and mail.

These block, for `TIMEOUT` seconds at most per step, and raise `Undelivered` with a reason that
holds no secret.
"""

import hashlib
import hmac
import json
import logging
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

from taskqueue_ray._version import VERSION
from taskqueue_ray.core.alerts import Notice
from taskqueue_ray.core.builtin_alerts import BUILTINS
from taskqueue_ray.engine.sinks import EmailConfig, SlackConfig, WebhookConfig

TIMEOUT = 10.0
SIGNATURE = "X-TaskQueue-Signature"
TIMESTAMP = "X-TaskQueue-Timestamp"
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_MARKS = {"firing": ":rotating_light:", "resolved": ":white_check_mark:", "test": ":test_tube:"}

log = logging.getLogger(__name__)


class Undelivered(Exception):
    """A sink did not take a notice, this time."""


def message_of(notice: Notice, location: str) -> dict[str, Any]:
    """A notice as its receivers get it. `id` is the same when it comes again."""
    found = BUILTINS.get(notice.rule)
    return {
        "id": notice.id,
        "rule": notice.rule,
        "state": notice.what,
        "severity": notice.severity,
        "summary": notice.summary,
        "meaning": found.meaning if found else "",
        "value": notice.value,
        "at": datetime.fromtimestamp(notice.at, UTC).isoformat(),
        "storage": location,
    }


def write_log(message: Mapping[str, Any]) -> None:
    """Write it to this process's log."""
    level = _LEVELS[message["severity"]] if message["state"] == "firing" else logging.INFO
    log.log(level, "%s", headline(message))


def headline(message: Mapping[str, Any]) -> str:
    """It in a line.

    >>> headline({"rule": "deep", "state": "firing", "severity": "warning", "summary": "5 > 3"})
    'alert deep (warning) is firing: 5 > 3'
    """
    state = {"firing": "is firing", "resolved": "is resolved", "test": "is tested"}
    summary = " ".join(str(message["summary"]).split())
    return f"alert {message['rule']} ({message['severity']}) {state[message['state']]}: {summary}"


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature of a post: HMAC-SHA256 of `timestamp + "." + body`, in hexadecimal."""
    return hmac.digest(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hex()


def is_signed(secret: str, timestamp: str, signature: str, body: bytes) -> bool:
    """Whether that is the signature of such a post."""
    return hmac.compare_digest(f"v1={sign(secret, timestamp, body)}", signature)


def post_webhook(
    config: WebhookConfig, message: Mapping[str, Any], now: Callable[[], float] = time.time
) -> None:
    """Post it as JSON, signed when there is a secret."""
    body = json.dumps(message, ensure_ascii=False).encode()
    headers = {**config.headers, "Idempotency-Key": message["id"]}
    if config.secret:
        timestamp = str(int(now()))
        headers[TIMESTAMP] = timestamp
        headers[SIGNATURE] = f"v1={sign(config.secret, timestamp, body)}"
    _post(config.url, body, headers)


def post_slack(config: SlackConfig, message: Mapping[str, Any]) -> None:
    """Post it as Slack's incoming webhooks take it."""
    state = f"{message['rule']}* ({message['severity']}) {message['state']}"
    lines = [
        f"{_MARKS[message['state']]} *{state}",
        message["summary"],
        message["meaning"],
        f"_{message['storage']}_",
    ]
    text = "\n".join(_for_slack(line) for line in lines if line)
    _post(config.url, json.dumps({"text": text}, ensure_ascii=False).encode(), {})


def send_email(config: EmailConfig, message: Mapping[str, Any]) -> None:
    """Send it as a mail of plain text."""
    try:
        with _mail_server(config) as server:
            if config.tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if config.user:
                server.login(config.user, config.password)
            server.send_message(_mail(config, message))
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise Undelivered(f"mail by {config.host}: {type(error).__name__}: {error}") from None


def _mail_server(config: EmailConfig) -> smtplib.SMTP:
    if config.tls == "ssl":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(config.host, config.port, timeout=TIMEOUT, context=context)
    return smtplib.SMTP(config.host, config.port, timeout=TIMEOUT)


def _mail(config: EmailConfig, message: Mapping[str, Any]) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = config.sender
    mail["To"] = ", ".join(config.to)
    mail["Subject"] = headline(message)[:200]
    # Of repeats a reader shows one.
    mail["Message-ID"] = f"<{message['id']}@taskqueue-ray.invalid>"
    mail.set_content("\n".join(f"{name}: {value}" for name, value in message.items() if value))
    return mail


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What was signed for one address is not sent to another."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    told = {
        "User-Agent": f"taskqueue-ray/{VERSION}",
        **headers,
        "Content-Type": "application/json; charset=utf-8",
    }
    request = urllib.request.Request(url, data=body, headers=told, method="POST")
    try:
        with _opener.open(request, timeout=TIMEOUT) as answer:
            answer.read(64 * 1024)
    except urllib.error.HTTPError as error:
        error.close()
        raise Undelivered(f"it answered {error.code}") from None
    except urllib.error.URLError as error:
        raise Undelivered(f"it cannot be reached: {error.reason}") from None
    except (OSError, ValueError) as error:
        raise Undelivered(f"it cannot be reached: {type(error).__name__}") from None


def _for_slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
