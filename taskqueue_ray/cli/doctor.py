"""`taskqueue doctor`: what is wrong with a queue, why, and what to do."""

from typing import Any

import msgspec
import typer
from rich.text import Text

from taskqueue_ray.cli.failures import FAILED
from taskqueue_ray.cli.opening import quiet_ray, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import clean, console, print_json
from taskqueue_ray.core.health import Facts, Health, Problem
from taskqueue_ray.core.health import examine as conclude
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.examining import examine_folder
from taskqueue_ray.storage.owner import FoundOwner


def doctor(storage: Storage = None, address: Address = None, json: Json = False) -> None:
    """Say what is wrong with the queue, and what to do. Changes nothing; exits with 1 if so."""
    settings = settings_of(storage, address)
    facts, owner = examine_folder(settings)
    if owner is not None:
        facts = _ask_cluster(settings, facts, owner)
    health = conclude(facts)
    if json:
        print_json(_document(health))
    else:
        _print(health)
    if not health.ok:
        raise typer.Exit(FAILED)


def _ask_cluster(settings: Settings, facts: Facts, owner: FoundOwner) -> Facts:
    quiet_ray(output=False)
    from taskqueue_ray.cluster.examining import examine_owned
    from taskqueue_ray.cluster.quiet import hush

    hush()
    return examine_owned(settings, facts, owner)


def _document(health: Health) -> dict[str, Any]:
    facts = health.facts
    return {
        "healthy": health.ok,
        "problems": msgspec.to_builtins(health.problems),
        "notes": msgspec.to_builtins(health.notes),
        "facts": msgspec.to_builtins(msgspec.structs.replace(facts, observation=None)),
    }


def _print(health: Health) -> None:
    out = console()
    for line in _summary(health.facts):
        out.print(Text(clean(line), "dim"), soft_wrap=True)
    for problem in health.problems:
        out.print(_told(problem, "✗", "bold red"), soft_wrap=True)
    for note in health.notes:
        out.print(_told(note, "·", "bold yellow"), soft_wrap=True)
    if health.ok:
        out.print(Text("✓ nothing is wrong", "bold green"), soft_wrap=True)
    else:
        count = len(health.problems)
        out.print(Text(f"{count} problem{'s' * (count > 1)}", "bold red"), soft_wrap=True)


def _told(problem: Problem, mark: str, style: str) -> Text:
    return Text.assemble(
        (f"{mark} ", style), (clean(problem.what), style), "\n    ", clean(problem.why),
        "\n    ", (f"→ {clean(problem.do)}", "cyan"),
    )  # fmt: skip


def _summary(facts: Facts) -> list[str]:
    lines = [f"{facts.storage}, seen by version {facts.version}"]
    if facts.owner:
        lines.append(f"open in {facts.owner}")
    seen = facts.observation
    if seen is not None:
        jobs = sum(one.total for one in seen.queues)
        workers = f", {len(seen.workers)} workers" if facts.ping else ""
        lines.append(f"{jobs:,} jobs in {len(seen.queues)} queues{workers}")
    if facts.disk_used is not None:
        lines.append(f"disk {facts.disk_used:.0%} used")
    return lines
