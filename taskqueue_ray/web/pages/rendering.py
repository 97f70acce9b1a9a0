"""Drawing pages: templates that escape all text, and how values look in them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode

import msgspec
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from taskqueue_ray._version import VERSION
from taskqueue_ray.web.site import principal_of, site_of

NOTHING = "\N{EN DASH}"
LONGEST = 20_000
"""Characters of one value that are shown."""


class Entry(NamedTuple):
    """A line of the menu; `key` after g is its shortcut, `icon` a name in icons.html."""

    title: str
    path: str
    key: str
    icon: str


menu: list[Entry] = []


def render(
    request: Request, template: str, *, status: int = 200, live: bool = True, **values: Any
) -> HTMLResponse:
    """A page. It refreshes itself when `live`."""
    site = site_of(request)
    root = request.scope.get("root_path", "").rstrip("/")
    path = request.scope["path"].removeprefix(root) or "/"
    context = {
        "url": lambda there, **query: root + there + _query(query),
        "path": path,
        "here": path + (f"?{request.url.query}" if request.url.query else ""),
        "principal": principal_of(request),
        "open": site.options.open,
        "menu": menu,
        "poller": site.poller,
        "look": site.poller.look,
        "now": site.clock(),
        "live": live,
        "version": VERSION,
        "notice": _notice(request),
        **values,
    }
    page = HTMLResponse(templates.get_template(template).render(context), status)
    if context["notice"]:
        page.delete_cookie(NOTICE, path=root or "/")
    return page


def back(request: Request, there: str, notice: str) -> RedirectResponse:
    """After an action: to a page of this site, with a line that says what happened."""
    root = request.scope.get("root_path", "").rstrip("/")
    answer = RedirectResponse(root + local(there), 303)
    answer.set_cookie(
        NOTICE, notice.encode("utf-8")[:600].hex(), max_age=20, httponly=True, samesite="lax",
        path=root or "/", secure=site_of(request).options.secure_cookies,
    )  # fmt: skip
    return answer


def local(there: str) -> str:
    """A path of this site; anything else is its front page."""
    is_local = there.startswith("/") and not there.startswith(("//", "/\\"))
    plain = is_local and all(c.isprintable() and c != "\\" for c in there)
    return there if plain else "/"


async def form_of(request: Request) -> dict[str, list[str]]:
    """The fields of a form that was sent. The guard has bounded its size."""
    body = (await request.body()).decode("utf-8", "replace")
    return parse_qs(body, keep_blank_values=False, max_num_fields=10_000)


def one(fields: dict[str, list[str]], name: str) -> str | None:
    """The one value of a field, if it was filled in."""
    values = [value.strip() for value in fields.get(name, ()) if value.strip()]
    return values[-1] if values else None


NOTICE = "taskqueue_notice"


def _notice(request: Request) -> str | None:
    try:
        return bytes.fromhex(request.cookies.get(NOTICE, "")).decode("utf-8", "replace") or None
    except ValueError:
        return None


def _query(query: dict[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"?{urlencode(given)}" if given else ""


# --- how values look -----------------------------------------------------------------------------


def count(value: float) -> str:
    """12,345."""
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """Per second: 0, 0.03, 1.2, 345."""
    if value <= 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 1 else f"{value:.1f}"


def duration(seconds: float | None) -> str:
    """A length of time in at most two units.

    >>> duration(0.0123), duration(3), duration(3725), duration(200000)
    ('12 ms', '3.0 s', '1 h 2 min', '2 d 7 h')
    """
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for unit, size, lower, less in _UNITS:
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole} {unit} {rest // less} {lower}" if rest // less else f"{whole} {unit}"
    raise AssertionError


_UNITS = (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1))


def ago(moment: datetime | None, now: float) -> str:
    """How long ago, or in how long."""
    if moment is None:
        return NOTHING
    seconds = now - moment.timestamp()
    if abs(seconds) < 1:
        return "now"
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def utc(moment: datetime | None) -> str:
    """The moment in full."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ""


def iso(moment: datetime | None) -> str:
    """The moment for programs."""
    return moment.isoformat() if moment else ""


def pretty(value: Any) -> str:
    """A value as indented JSON, cut when it is long."""
    try:
        text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return cut(text, LONGEST)


def cut(text: str, most: int = 200) -> str:
    """At most so many characters."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} characters more)"


def share(value: float | None) -> str:
    """A share of one as percent."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def size(value: float) -> str:
    """Bytes in the unit that fits.

    >>> size(999), size(1_500_000), size(4.2e10)
    ('999 B', '1.5 MB', '42 GB')
    """
    unit = 0
    while value >= 999.5 and unit < 5:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {('B', 'kB', 'MB', 'GB', 'TB', 'PB')[unit]}"


def spark(values: list[float | None], width: int = 96, height: int = 22) -> str:
    """The points of a small line, for SVG."""
    plain = [value or 0.0 for value in values[-120:]]
    if len(plain) < 2:
        return ""
    top = max(plain) or 1.0
    step = width / (len(plain) - 1)
    return " ".join(
        f"{n * step:.1f},{height - 1 - value / top * (height - 2):.1f}"
        for n, value in enumerate(plain)
    )


templates = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters.update(
    count=count, rate=rate, duration=duration, utc=utc, iso=iso, pretty=pretty, cut=cut,
    share=share, spark=spark, ago=ago, bytes=size,
)  # fmt: skip
