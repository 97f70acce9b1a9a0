"""`taskqueue alerts …`: rules that watch over the queue, where they stand, and what was told."""

import os
from typing import Annotated, Any

import typer

from taskqueue_ray.cli.failures import fail
from taskqueue_ray.cli.opening import client, reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import duration, print_json, print_table, say
from taskqueue_ray.cli.targets import function_of
from taskqueue_ray.core.alerting import parse_threshold
from taskqueue_ray.core.alerts import Severity
from taskqueue_ray.core.builtin_alerts import BUILTINS
from taskqueue_ray.core.errors import AlertNotFound, InvalidOption
from taskqueue_ray.sdk import sinks
from taskqueue_ray.sdk.alerts import UNCHANGED, AlertRecord

COLUMNS = ("name", "state", "when", "for", "severity", "sinks", "since", "muted_until", "detail")
EVENTS = ("at", "rule", "what", "text")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The rule's name")]
For = Annotated[str | None, typer.Option("--for", metavar="TIME", help="Hold so long first: 2m")]
Cooldown = Annotated[
    str | None, typer.Option(metavar="TIME", help="Tell nothing new for so long: 10m")
]
Level = Annotated[str | None, typer.Option(metavar="LEVEL", help="info, warning or critical")]
ToLog = Annotated[bool, typer.Option("--log", help="Tell the log (the default)")]
ToWebhook = Annotated[
    list[str] | None, typer.Option("--webhook", metavar="URL", help="Post JSON; repeatable")
]
SecretEnv = Annotated[
    str | None,
    typer.Option(metavar="VAR", help="The variable, here, with the secret that signs the posts"),
]
ToSlack = Annotated[
    str | None,
    typer.Option("--slack-env", metavar="VAR", help="The variable, here, with Slack's webhook URL"),
]
ToEmail = Annotated[
    list[str] | None, typer.Option("--email", metavar="ADDRESS", help="Mail to; repeatable")
]
Smtp = Annotated[str, typer.Option(metavar="HOST:PORT", help="The mail server")]
SmtpUser = Annotated[str, typer.Option(metavar="USER", help="Who signs on there")]
SmtpPasswordEnv = Annotated[
    str | None, typer.Option(metavar="VAR", help="The variable, here, with the password")
]
SmtpTls = Annotated[str, typer.Option(metavar="HOW", help="starttls, ssl or none")]
ToJob = Annotated[
    list[str] | None,
    typer.Option("--job", metavar="MODULE:NAME", help="Enqueue a job with the alert; repeatable"),
]
Sender = Annotated[str, typer.Option("--from", metavar="ADDRESS", help="The mail's sender")]

app = typer.Typer(no_args_is_help=True, help="Rules that watch over the queue and tell somebody.")


@app.command("list")
def list_rules(
    firing: Annotated[bool, typer.Option("--firing", help="Only those that fire")] = False,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """List the rules, and where each stands."""
    with reader(settings_of(storage, address)) as found:
        rules = found.alerts.firing() if firing else found.alerts.list()
        location = found.location
    if json:
        print_json({"storage": location, "alerts": [_fields(one) for one in rules]})
        return
    print_table([_row(one) for one in rules], COLUMNS, empty="nothing fires", right=("for",))


@app.command()
def add(
    name: Name,
    *,
    when: Annotated[
        str, typer.Option(metavar="RULE", help="A figure and its limit: 'pending > 1000'")
    ],
    queue: Annotated[
        str | None, typer.Option("--queue", "-q", help="Of this queue; '*': of any one")
    ] = None,
    for_: For = "2m",
    cooldown: Cooldown = "10m",
    severity: Level = "warning",
    log: ToLog = False,
    webhook: ToWebhook = None,
    secret_env: SecretEnv = None,
    slack_env: ToSlack = None,
    email: ToEmail = None,
    smtp: Smtp = "localhost:587",
    smtp_user: SmtpUser = "",
    smtp_password_env: SmtpPasswordEnv = None,
    smtp_tls: SmtpTls = "starttls",
    sender: Sender = "",
    job: ToJob = None,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Keep a rule that needs no code, in place of the one of its name."""
    threshold, level = parse_threshold(when, queue), _level(severity)
    hook = _webhooks(webhook, secret_env)
    mail = _mail(email, smtp, smtp_user, smtp_password_env, smtp_tls, sender)
    chosen = [*_chosen(log, hook, slack_env, mail), *_jobs(job)]
    with client(settings_of(storage, address)) as (found, _):
        made = found.alerts.add(
            name, threshold, for_=for_ or 0, cooldown=cooldown or 0, severity=level,
            sinks=chosen or None,
        )  # fmt: skip
    if json:
        print_json(_fields(made))
    else:
        say(f"{made.name}: {made.when}, tells {', '.join(made.sinks)}")


@app.command()
def builtin(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A built-in rule")] = None,
    *,
    limit: Annotated[float | None, typer.Option(help="Its limit")] = None,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Switch it on or off")] = None,
    for_: For = None,
    cooldown: Cooldown = None,
    severity: Level = None,
    log: ToLog = False,
    webhook: ToWebhook = None,
    secret_env: SecretEnv = None,
    slack_env: ToSlack = None,
    email: ToEmail = None,
    smtp: Smtp = "localhost:587",
    smtp_user: SmtpUser = "",
    smtp_password_env: SmtpPasswordEnv = None,
    smtp_tls: SmtpTls = "starttls",
    sender: Sender = "",
    job: ToJob = None,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Show the built-in rules, or change one; `alerts delete NAME` takes the changes back."""
    if name is None:
        rows = [
            {"name": one, "when": str(rule.when), "for": f"{rule.lasts:g} s",
             "severity": rule.severity, "meaning": rule.meaning}
            for one, rule in BUILTINS.items()
        ]  # fmt: skip
        if json:
            print_json({"builtin": rows})
        else:
            print_table(rows, ("name", "when", "for", "severity", "meaning"), empty="none")
        return
    hook = _webhooks(webhook, secret_env)
    mail = _mail(email, smtp, smtp_user, smtp_password_env, smtp_tls, sender)
    chosen = [*_chosen(log, hook, slack_env, mail), *_jobs(job)]
    given: dict[str, Any] = {
        "limit": limit, "enabled": on, "for_": for_, "cooldown": cooldown,
        "severity": None if severity is None else _level(severity),
        "sinks": chosen or None,
    }  # fmt: skip
    changes = {key: UNCHANGED if value is None else value for key, value in given.items()}
    with client(settings_of(storage, address)) as (found, _):
        made = found.alerts.configure_builtin(name, **changes)
    if json:
        print_json(_fields(made))
    else:
        say(f"{made.name}: {made.when}, {made.state}, tells {', '.join(made.sinks)}")


@app.command()
def delete(name: Name, storage: Storage = None, address: Address = None) -> None:
    """Drop a rule, or what was changed of a built-in one."""
    with client(settings_of(storage, address)) as (found, _):
        if not found.alerts.delete(name):
            raise AlertNotFound(name, sorted(one.name for one in found.alerts.list()))
    say("deleted")


@app.command("test")
def send_test(
    name: Name, storage: Storage = None, address: Address = None, json: Json = False
) -> None:
    """Send a test to each sink of a rule, and say what became of it."""
    with client(settings_of(storage, address)) as (found, _):
        results = found.alerts.test(name)
    if json:
        print_json({"results": results.rows()})
    else:
        print_table(results.rows(), ("what", "text"), empty="it has no sinks")
    if any(one.what != "delivered" for one in results):
        raise fail("not every sink has it")


@app.command()
def mute(
    name: Name,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="For so long; else until unmuted")
    ] = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Tell no firing of a rule for a while; it is judged all the same."""
    with client(settings_of(storage, address)) as (found, _):
        found.alerts.mute(name, for_)
    say("muted")


@app.command()
def unmute(name: Name, storage: Storage = None, address: Address = None) -> None:
    """Tell it again."""
    with client(settings_of(storage, address)) as (found, _):
        found.alerts.unmute(name)
    say("unmuted")


@app.command()
def history(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only of this rule")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Lines at most")] = 50,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Show what fired, ended and was told lately, the newest first."""
    with reader(settings_of(storage, address)) as found:
        events = found.alerts.history(name, limit=limit)
    if json:
        print_json({"history": events.rows()})
    else:
        print_table(events.rows(), EVENTS, empty="nothing happened yet")


def _fields(rule: AlertRecord) -> dict[str, Any]:
    names = AlertRecord.__dataclass_fields__
    fields = {name: getattr(rule, name) for name in names}
    return {**fields, "for": fields.pop("for_")}


def _row(rule: AlertRecord) -> dict[str, Any]:
    return {**rule.row(), "for": duration(rule.for_)}


def _level(text: str | None) -> Severity:
    for level in ("info", "warning", "critical"):
        if text == level:
            return level
    raise InvalidOption("severity", ascii(text)[:80], "info, warning or critical")


def _variable(option: str, name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise InvalidOption(option, f"{ascii(name)[:80]}, which is not set", "a variable's name")
    return value


def _webhooks(urls: list[str] | None, secret_env: str | None) -> list[sinks.Destination]:
    secret = _variable("secret-env", secret_env) if secret_env else ""
    return [sinks.Webhook(url, secret) for url in urls or ()]


def _mail(
    to: list[str] | None, smtp: str, user: str, password_env: str | None, tls: str, sender: str
) -> list[sinks.Destination]:
    if not to:
        return []
    host, colon, port = smtp.rpartition(":")
    if not colon or not port.isdecimal():
        raise InvalidOption("smtp", ascii(smtp)[:80], "a host and a port: mail.example.org:587")
    password = _variable("smtp-password-env", password_env) if password_env else ""
    return [sinks.Email(to, host, int(port), user, password, tls, sender)]  # type: ignore[arg-type]  # it is checked when it is sealed


def _jobs(named: list[str] | None) -> list[sinks.Destination]:
    return [sinks.EnqueueJob(function_of("job", text)) for text in named or ()]


def _chosen(
    log: bool,
    hooks: list[sinks.Destination],
    slack_env: str | None,
    mail: list[sinks.Destination],
) -> list[sinks.Destination]:
    slack = [sinks.Slack(_variable("slack-env", slack_env))] if slack_env else []
    return [*([sinks.Log()] if log else []), *hooks, *slack, *mail]
