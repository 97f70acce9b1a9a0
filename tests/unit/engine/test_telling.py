"""Telling others of alerts: by a real HTTP server and a real mail server on this machine."""

import hashlib
import hmac
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from taskqueue_ray.core.alerts import Notice, Sink
from taskqueue_ray.core.errors import SealBroken
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.engine.sinks import (
    EmailConfig,
    SlackConfig,
    WebhookConfig,
    open_config,
    seal_config,
)
from taskqueue_ray.engine.telling import (
    Undelivered,
    is_signed,
    message_of,
    post_slack,
    post_webhook,
    send_email,
    write_log,
)
from tests.receivers import Mailbox, Receiver, http_server, mail_server

NOTICE = Notice(
    3, "queue_depth", "firing", 1e9, "critical", "pending of <a> is 5 & more", 5.0, (), ()
)
MESSAGE = message_of(NOTICE, "/data/queue")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_server() as made:
        yield made


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as made:
        yield made


def test_a_message_says_all_that_there_is_to_say() -> None:
    assert MESSAGE["id"] == NOTICE.id == "queue_depth.3.1000000000"
    assert MESSAGE["at"] == "2001-09-09T01:46:40+00:00"
    assert (MESSAGE["state"], MESSAGE["severity"], MESSAGE["value"]) == ("firing", "critical", 5.0)
    assert "add workers" in MESSAGE["meaning"]


def test_a_webhook_is_signed_as_documented(receiver: Receiver) -> None:
    config = WebhookConfig(receiver.url + "/hook?x=1", "our secret", {"X-Team": "blue"})
    post_webhook(config, MESSAGE, lambda: 1234.5)
    (post,) = receiver.posts
    assert json.loads(post.body) == MESSAGE
    assert post.path == "/hook?x=1"
    headers = {name.lower(): value for name, value in post.headers.items()}
    assert headers["x-team"] == "blue"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["idempotency-key"] == MESSAGE["id"]
    assert headers["x-taskqueue-timestamp"] == "1234"
    wanted = hmac.new(b"our secret", b"1234." + post.body, hashlib.sha256).hexdigest()
    assert headers["x-taskqueue-signature"] == f"v1={wanted}"
    assert is_signed("our secret", "1234", f"v1={wanted}", post.body)
    assert not is_signed("our secret", "1235", f"v1={wanted}", post.body)
    assert not is_signed("another", "1234", f"v1={wanted}", post.body)
    assert not is_signed("our secret", "1234", f"v1={wanted}", post.body + b" ")


def test_without_a_secret_it_is_not_signed(receiver: Receiver) -> None:
    post_webhook(WebhookConfig(receiver.url), MESSAGE)
    assert not any("signature" in name.lower() for name in receiver.posts[0].headers)


@pytest.mark.parametrize("code", [302, 307, 400, 404, 429, 500, 503])
def test_what_is_not_taken_is_not_delivered(receiver: Receiver, code: int) -> None:
    receiver.answers.append(code)
    with pytest.raises(Undelivered, match=f"it answered {code}"):
        post_webhook(WebhookConfig(receiver.url, "s"), MESSAGE)
    assert len(receiver.posts) == 1, "a redirection is not followed with what was signed"


def test_nobody_there(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Undelivered, match="cannot be reached") as problem:
        post_slack(SlackConfig(f"http://127.0.0.1:{port}/T0/B0/token"), MESSAGE)
    assert "token" not in str(problem.value), "an address may be a secret"


def test_slack_gets_text_without_markup_of_others(receiver: Receiver) -> None:
    post_slack(SlackConfig(receiver.url + "/T/B/x"), MESSAGE)
    text = json.loads(receiver.posts[0].body)["text"]
    assert text.startswith(":rotating_light: *queue_depth* (critical) firing\n")
    assert "pending of &lt;a&gt; is 5 &amp; more" in text


def test_a_mail_over_smtp(mailbox: Mailbox) -> None:
    to = ("ops@example.org", "boss@example.org")
    config = EmailConfig(to, "queue@example.org", "127.0.0.1", mailbox.port, "me", "secret", "none")
    send_email(config, MESSAGE)
    (mail,) = mailbox.mails
    assert mailbox.logins == [("me", "secret")]
    assert mail["Subject"] == "alert queue_depth (critical) is firing: pending of <a> is 5 & more"
    assert (mail["From"], mail["To"]) == ("queue@example.org", ", ".join(to))
    assert mail["Message-ID"].startswith(f"<{MESSAGE['id']}@")
    assert "storage: /data/queue" in mail.get_content()


def test_a_mail_that_is_refused_is_not_delivered(mailbox: Mailbox) -> None:
    mailbox.refusals.append("451 try later")
    config = EmailConfig(("a@b.c",), "q@b.c", "127.0.0.1", mailbox.port, tls="none")
    with pytest.raises(Undelivered, match="try later"):
        send_email(config, MESSAGE)
    wrong = EmailConfig(("a@b.c",), "q@b.c", "127.0.0.1", mailbox.port, "me", "guess", "none")
    with pytest.raises(Undelivered, match="Authentication") as problem:
        send_email(wrong, MESSAGE)
    assert "guess" not in str(problem.value)
    strict = EmailConfig(("a@b.c",), "q@b.c", "127.0.0.1", mailbox.port)
    with pytest.raises(Undelivered, match="STARTTLS"):
        send_email(strict, MESSAGE)
    send_email(config, MESSAGE)
    assert len(mailbox.mails) == 1


def test_the_log_gets_it_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[int, str]] = []

    def note(level: int, form: str, *words: object) -> None:
        lines.append((level, form % words))

    monkeypatch.setattr("taskqueue_ray.engine.telling.log.log", note)
    write_log({**MESSAGE, "summary": "two\nlines"})
    write_log({**MESSAGE, "state": "resolved"})
    assert lines == [
        (logging.ERROR, "alert queue_depth (critical) is firing: two lines"),
        (logging.INFO, "alert queue_depth (critical) is resolved: pending of <a> is 5 & more"),
    ]


def test_what_a_sink_knows_is_sealed_for_its_rule() -> None:
    sealer = Sealer(Keyring([Key(bytes(32))]))
    config: Any = WebhookConfig("https://example.org/hidden", "secret")
    sealed = seal_config(config, "webhook", sealer, "deep")
    assert b"hidden" not in sealed
    assert open_config(Sink("webhook", "", sealed), sealer, "deep") == config
    for kind, rule in (("webhook", "other"), ("slack", "deep")):
        with pytest.raises(SealBroken):
            open_config(Sink(kind, "", sealed), sealer, rule)  # type: ignore[arg-type]  # a kind
