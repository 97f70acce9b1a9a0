"""`taskqueue limits …`: look at limits, set and delete them, throttle one for a time."""

from typing import Annotated, Any

import typer

from taskqueue_ray.cli.opening import client, reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import print_json, print_table, say
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.limits import LimitRecord

COLUMNS = ("limit", "kind", "n", "per", "key", "used", "keys", "until")

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="A limit")]
OfType = Annotated[str | None, typer.Option("--type", help="Instead of a name: all jobs of a type")]
WithKey = Annotated[str | None, typer.Option("--key", help="For this key alone")]

app = typer.Typer(no_args_is_help=True, help="Rates, and how many jobs run at a time.")


@app.command("list")
def list_limits(storage: Storage = None, address: Address = None, json: Json = False) -> None:
    """List all limits, what is used of them, and what is throttled."""
    with reader(settings_of(storage, address)) as found:
        rows = [_row(one) for one in found.rate_limiter.limits() + found.concurrency.limits()]
    if json:
        print_json({"limits": rows})
    else:
        print_table(rows, COLUMNS, empty="no limits are set", right=("n", "used", "keys"))


@app.command("set")
def set_limit(
    name: Name = None,
    n: Annotated[
        int | None, typer.Argument(metavar="N", help="How many; with --type the only argument")
    ] = None,
    per: Annotated[
        str | None, typer.Option(metavar="TIME", help="In so long, such as 60 or 1h: a rate")
    ] = None,
    smooth: Annotated[bool, typer.Option("--smooth", help="Spread over the time")] = False,
    key: WithKey = None,
    type: OfType = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Set a rate (with --per) or how many run at a time (without)."""
    if type is not None and n is None and name is not None:
        n, name = _number(name), None
    if n is None:
        raise InvalidOption("N", "nothing", "how many: a whole number from 1")
    if per is None and smooth:
        raise InvalidOption("smooth", "no --per", "a rate, which has --per")
    with client(settings_of(storage, address)) as (found, _):
        news = _set(found, name, n, per, smooth, key, type)
    say("set" if news else "it was so already")


@app.command()
def delete(
    name: Name = None,
    key: WithKey = None,
    type: OfType = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Delete a limit: what waits for it may start."""
    with client(settings_of(storage, address)) as (found, _):
        kinds = {one.name: one.kind for one in found.rate_limiter.limits()}
        if type is None and name is not None and kinds.get(name) == "rate":
            gone = found.rate_limiter.delete(name, key)
        else:
            gone = found.concurrency.delete(name, key, type=type)
    say("deleted" if gone else "there is no such limit")


@app.command()
def throttle(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A limit")],
    seconds: Annotated[str, typer.Argument(metavar="TIME", help="Such as 30 or 5m; 0 opens it")],
    key: WithKey = None,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Start nothing under a limit for a time."""
    with client(settings_of(storage, address)) as (found, _):
        until = found.rate_limiter.throttle(name, _time(seconds), key)
    if json:
        print_json({"limit": name, "until": until})
    else:
        say(f"throttled until {until:%Y-%m-%d %H:%M:%S %Z}" if until else "open again")


def _set(
    found: TaskQueue,
    name: str | None,
    n: int,
    per: str | None,
    smooth: bool,
    key: str | None,
    type: str | None,
) -> bool:
    if per is None:
        return found.concurrency.set_limit(name, n, key, type=type)
    if name is None or type is not None:
        raise InvalidOption("per", "no name", "a limit with a name: a type has no rate of its own")
    return found.rate_limiter.set_limit(name, n, _time(per), smooth, key)


def _time(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidOption("N", ascii(text)[:80], "a whole number from 1") from None


def _row(one: LimitRecord) -> dict[str, Any]:
    about = one.name or (f"queue {one.queue}" if one.queue else f"type {one.type}")
    return {
        "limit": about, "kind": one.kind + (" (smooth)" if one.smooth else ""), "n": one.n,
        "per": one.per or None, "key": one.key, "used": one.used, "keys": one.keys,
        "until": one.until,
    }  # fmt: skip
