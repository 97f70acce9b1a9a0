"""A newsletter over SMTP: urgent mail first, addresses that bounce, each mail once.

Needs `pip install aiosmtpd`: the mail goes to a server on this machine, which keeps it in memory.
"""

import smtplib
import socket
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

import taskqueue_ray as tq


class Mailbox:
    """Takes mail in, and refuses some, as mail servers do."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str]] = []
        self.asked = 0

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, server: object, session: object, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  aiosmtpd's name
        self, server: object, session: object, envelope: Envelope
    ) -> str:
        self.asked += 1
        if self.asked % 20 == 0:
            return "451 try again later"
        assert isinstance(envelope.content, bytes)
        subject = envelope.content.decode().partition("Subject: ")[2].partition("\r\n")[0]
        self.received.append((envelope.rcpt_tos[0], subject))
        return "250 accepted"


@tq.job(queue="mail", max_attempts=5, backoff=tq.Backoff.fixed("1s"), timeout=30)
def send(server: tuple[str, int], to: str, subject: str, text: str) -> None:
    """Sends one mail. What the server refuses for good is not tried again."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "news@example.org", to, subject
    message.set_content(text)
    try:
        with smtplib.SMTP(*server, timeout=10) as smtp:
            smtp.send_message(message)
    except smtplib.SMTPRecipientsRefused as refusal:
        raise tq.Fail(f"no such user: {to}") from refusal


PEOPLE = [f"reader{number}@example.org" for number in range(50)]

mailbox = Mailbox()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    server = free.getsockname()
controller = Controller(mailbox, *server)
controller.start()

with tq.connect() as q:
    news = [send.item(server, to, "News of the week", "All is well.") for to in PEOPLE]
    handles = q.enqueue_many(news)
    reset = send.options(priority=tq.Priority.URGENT)
    handles.append(reset.enqueue(server, "ada@example.org", "Reset your password", "Click here."))
    bounced = send.options(unique=True).enqueue(server, "nobody@example.org", "News", "Hello?")

    with q.workers(["mail"], concurrency=1):
        tq.gather(*handles, timeout=100)
        bounced.wait(timeout=60)

    print(f"{len(mailbox.received)} mails, the first to {mailbox.received[0][0]}")
    for job in q.failed_jobs("mail"):
        print(f"{job.id}: {job.state}, {job.error and job.error.message}")

controller.stop()
assert sorted(to for to, _ in mailbox.received) == sorted([*PEOPLE, "ada@example.org"])
