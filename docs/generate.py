"""Writes the parts of the documents that come from the code.

A part stands between the markers `<!-- generated: NAME -->` and `<!-- end of NAME -->`; `PARTS`
says what makes it. With `--check` nothing is written, and a page that is out of date is named.
"""

import inspect
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import msgspec
import pyarrow

from taskqueue_ray.core import errors, events
from taskqueue_ray.core.builtin_alerts import BUILTINS
from taskqueue_ray.core.gauges import GAUGES
from taskqueue_ray.core.lifecycle import FINAL, MOVES, JobState, Move
from taskqueue_ray.core.phrases.suggestions import CATALOGUE
from taskqueue_ray.core.recurrence import understand
from taskqueue_ray.core.settings import NAMES, ORIGINAL_NAMES, SECRET, Settings
from taskqueue_ray.storage.history import SCHEMA as HISTORY_SCHEMA
from taskqueue_ray.storage.snapshot import JOBS_SCHEMA, SETTLED_SCHEMA

DOCS = Path(__file__).parent
ROOT = DOCS.parent
TUESDAY = 1_795_539_600.0
"""24 November 2026, 18:00 in Berlin: the present of the phrases shown."""
MORE_PHRASES = (
    "every hour",
    "5m",
    "at 9:00 on weekdays",
    "mon-fri at 8:30",
    "every 2nd Tuesday of the month at 9 a.m.",
    "every month on the 31st or the last day at 10:00",
    "every hour between 9 and 17",
    "every 2 days at 9:00 from 2027-01-31",
    "every month",
    "2027-01-31T10:00:00Z",
    "0 */6 * * *",
    "*/15 9-17 * * mon-fri",
    "0 12 * * 5#2",
)
DOUBTFUL_PHRASES = (
    "every 5",
    "at 9",
    "Friday at 14:00",
    "every second Friday",
    "every month on the 31st",
    "every month at 9:00",
    "every day at 8 and 10 pm",
    "01/02/2027",
    "next month",
    "every 1.5 months",
    "every morning",
    "biweekly",
    "evry day at 9",
)
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


class Feature(NamedTuple):
    """A row of `features.toml`: tests are named as `path::name`, paths from the root."""

    group: str
    what: str
    page: str
    tests: tuple[str, ...]


def features() -> list[Feature]:
    """What `features.toml` says works."""
    groups = tomllib.loads(_text(DOCS / "features.toml"))
    return [
        Feature(group, what, page, tuple(tests))
        for group, table in groups.items()
        for what, page, *tests in table["rows"]
    ]


def feature_table() -> str:
    """The features by group, each with its page and its tests, whose names are sentences."""
    lines = ["| what | shown in | tests |", "|---|---|---|"]
    group = ""
    for feature in features():
        if feature.group != group:
            group = feature.group
            lines.append(f"| **{group}** | | |")
        tests = ", ".join(_test_link(test) for test in feature.tests)
        lines.append(f"| {feature.what} | {_page_link(feature.page)} | {tests} |")
    return "\n".join(lines)


def _page_link(page: str) -> str:
    if page == "README.md":
        return "[above](#more)"
    return f"[{Path(page).stem.lstrip('0123456789-').replace('-', ' ')}]({page})"


def _test_link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}]({path})"


def state_diagram() -> str:
    """The life cycle as a Mermaid state diagram, one arrow for each row of the table."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {_node(m.source)} --> {_node(m.target)}: {m.verb}" for m in MOVES]
    return "\n".join([*lines, "```"])


def move_table() -> str:
    """The life cycle as a table: for each state, what may happen next and when."""
    lines = ["| state | verb | next state | when |", "|---|---|---|---|"]
    lines += [_row(move) for move in MOVES]
    return "\n".join(lines)


def event_table() -> str:
    """The events of the journal: name, fields in their order, meaning."""
    lines = ["| event | fields | meaning |", "|---|---|---|"]
    records = sorted(get_args(events.Stored), key=lambda record: str(_tag(record)))
    lines += [f"| `{_tag(r)}` | {_fields(r)} | {_meaning(r)} |" for r in records]
    return "\n".join(lines)


def _tag(record: type[msgspec.Struct]) -> str | int | None:
    return record.__struct_config__.tag


def _fields(record: type[msgspec.Struct]) -> str:
    return ", ".join(f"`{field}`" for field in record.__struct_fields__)


def _meaning(record: type[msgspec.Struct]) -> str:
    # `Enqueued` lives in memory in another form than in the journal; its meaning is the same.
    documented = events.Enqueued if record is events.EnqueuedRecord else record
    return " ".join((documented.__doc__ or "").split())


def column_table(schema: pyarrow.Schema) -> str:
    """The columns of a Parquet file."""
    lines = ["| column | type |", "|---|---|"]
    lines += [f"| `{field.name}` | {field.type} |" for field in schema]
    return "\n".join(lines)


def settings_table() -> str:
    """Every setting: its names, its default, its limits, its meaning."""
    lines = ["| setting | variable | default | accepts | meaning |", "|---|---|---|---|---|"]
    settings = msgspec.structs.fields(Settings)
    lines += [_setting(field) for field in settings if field.name in NAMES]
    return "\n".join(lines)


def gauge_table() -> str:
    """The figures that alert rules may watch."""
    lines = ["| figure | of single queues | meaning |", "|---|---|---|"]
    lines += [f"| `{n}` | {'yes' * one.by_queue} | {one.meaning} |" for n, one in GAUGES.items()]
    return "\n".join(lines)


def builtin_table() -> str:
    """The built-in alert rules and their limits."""
    lines = ["| rule | fires when | for | severity | what it means |", "|---|---|---|---|---|"]
    lines += [
        f"| `{name}` | {one.when} | {one.lasts:g} s | {one.severity} | {one.meaning} |"
        for name, one in BUILTINS.items()
    ]
    return "\n".join(lines)


def error_tree() -> str:
    """Every error a caller can catch, under the error it derives from."""
    return "\n".join(_error_lines(errors.TaskQueueError, 0))


def phrase_table() -> str:
    """A phrase of each kind: what is understood, and the form that says the same everywhere."""
    lines = ["| phrase | is understood as | canonical form |", "|---|---|---|"]
    for phrase in (*CATALOGUE, *MORE_PHRASES):
        found = understand(phrase, tz="Europe/Berlin", now=TUESDAY)
        lines.append(f"| `{phrase}` | {found.words} | `{found.canonical}` |")
    return "\n".join(lines)


def doubt_table() -> str:
    """What is refused, and what the error suggests."""
    lines = ["| phrase | instead |", "|---|---|"]
    for phrase in DOUBTFUL_PHRASES:
        try:
            understand(phrase, tz="Europe/Berlin", now=TUESDAY)
        except (errors.AmbiguousPhrase, errors.PhraseNotUnderstood) as refusal:
            lines.append(
                f"| `{phrase}` | {', '.join(f'`{s}`' for s in refusal.fields['suggestions'])} |"
            )
    return "\n".join(lines)


def _error_lines(error: type[errors.TaskQueueError], depth: int) -> list[str]:
    meaning = " ".join((inspect.getdoc(error) or "").split())
    lines = [f"{'  ' * depth}- `{error.__name__}`: {meaning}"]
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:
            lines += _error_lines(child, depth + 1)
    return lines


def _setting(field: msgspec.structs.FieldInfo) -> str:
    meta = _meta(field.type)
    variables = [f"`TASKQUEUE_{field.name.upper()}`"]
    variables += [f"`{old}`" for old, new in ORIGINAL_NAMES.items() if new == field.name]
    default = "" if field.default in (None, ()) or field.name in SECRET else f"`{field.default}`"
    meaning = (meta.description or "").strip()
    return f"| `{field.name}` | {', '.join(variables)} | {default} | {_limits(meta)} | {meaning} |"


def _meta(annotation: object) -> msgspec.Meta:
    """The constraints and the description in an annotation, wherever in a union they stand."""
    for part in (annotation, *get_args(annotation)):
        for extra in getattr(part, "__metadata__", ()):
            if isinstance(extra, msgspec.Meta):
                return extra
    return msgspec.Meta()


def _limits(meta: msgspec.Meta) -> str:
    bounds = {"at least": meta.ge, "above": meta.gt, "at most": meta.le, "below": meta.lt}
    return ", ".join(f"{word} {bound}" for word, bound in bounds.items() if bound is not None)


def _node(state: JobState | None) -> str:
    return state.value if state else "[*]"


def _row(move: Move) -> str:
    source = _cell(move.source, "(none)")
    target = _cell(move.target, "(gone)")
    return f"| {source} | {move.verb} | {target} | {move.when} |"


def _cell(state: JobState | None, absent: str) -> str:
    if state is None:
        return absent
    return f"`{state}` (final)" if state in FINAL else f"`{state}`"


PARTS: dict[str, Callable[[], str]] = {
    "features": feature_table,
    "states": state_diagram,
    "moves": move_table,
    "events": event_table,
    "jobs-columns": lambda: column_table(JOBS_SCHEMA),
    "settled-columns": lambda: column_table(SETTLED_SCHEMA),
    "history-columns": lambda: column_table(HISTORY_SCHEMA),
    "settings": settings_table,
    "errors": error_tree,
    "phrases": phrase_table,
    "doubtful-phrases": doubt_table,
    "gauges": gauge_table,
    "builtin-alerts": builtin_table,
}


def regenerate(text: str) -> str:
    """The page with each of its generated parts written anew."""

    def fill(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- generated: {name} -->\n{PARTS[name]()}\n<!-- end of {name} -->"

    marked = r"<!-- generated: (?P<name>[\w-]+) -->\n.*?<!-- end of (?P=name) -->"
    return re.sub(marked, fill, text, flags=re.DOTALL)


def outdated() -> list[Path]:
    """The pages whose generated parts differ from what the code says now."""
    return [page for page in PAGES if regenerate(_text(page)) != _text(page)]


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Brings the pages up to date; with `--check`, only says which are not."""
    pages = outdated()
    if "--check" in arguments:
        print(*(f"out of date: {page}; run `make docs`" for page in pages), sep="\n", end="")
        return 1 if pages else 0
    for page in pages:
        page.write_text(regenerate(_text(page)), encoding="utf-8")
        print(f"wrote {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
