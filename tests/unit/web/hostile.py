"""Text that would run if a page took it for anything but text, and what sees that it would."""

from html.parser import HTMLParser

from taskqueue_ray.sdk.job import OptionArguments
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import break_down, send

_FORMS = (
    "<script>evil({n})</script>", "<img src=x onerror=evil({n})>", "\"><svg onload=evil({n})>",
    "'onmouseover='evil({n})", "</textarea><script>evil({n})</script>", "javascript:evil({n})",
    "{{{{ {n} * 7 }}}}", "${{evil({n})}}", "</title><script>evil({n})</script>",
    "<iframe srcdoc='<script>evil({n})</script>'>", "<!--{n}--><b>", "&lt;script&gt;{n}",
    "<a href=javascript:evil({n})>x</a>", "\u202e<script>{n}", "]]><x>{n}",
    "<style>*{{}}</style>{n}",
    "\" autofocus onfocus=evil({n}) x=\"", "<base href=//evil.example/{n}>", "%3Cscript%3E{n}",
    "<math><mi//xlink:href=\"data:x,{n}\">",
)  # fmt: skip
HOSTILE = [_FORMS[n % len(_FORMS)].format(n=n) for n in range(200)]


class Looker(HTMLParser):
    """What a browser would make of a page, as far as it may run or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"iframe", "img", "base", "math", "style", "textarea"}:
            self.faults.append(tag)
        if tag == "script" and not (given.get("src") or "").startswith("/static/"):
            self.faults.append("script")
        for name, value in attrs:
            text = (value or "").strip().lower()
            if name.startswith("on") or (
                name in ("style", "srcdoc", "autofocus") and tag != "input"
            ):
                self.faults.append(f"{tag} {name}")
            if name in ("href", "action", "src") and not text.startswith(("/", "#")):
                self.faults.append(f"{tag} {name}={text}")


def printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())


def enqueue_all(bench: Bench) -> list[str]:
    """A job that completes and one that fails with each text in every field; their ids."""
    ids = []
    for text in HOSTILE:
        label = printable(text)[:64]
        options: OptionArguments = {
            "name": label, "tags": [label], "category": label, "fair_key": label,
        }  # fmt: skip
        ids.append(send.options(**options).enqueue(text, subject=text).id)
        ids.append(break_down.options(**options).enqueue(text).id)
    bench.work(rounds=10)
    assert bench.q.stats("mail").completed == len(HOSTILE)
    return ids


def faults_of(page: str) -> list[str]:
    """What in a page would run, or would load something from elsewhere."""
    looker = Looker()
    looker.feed(page)
    return looker.faults
