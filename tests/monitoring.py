"""What the examples for Grafana and Prometheus ask for."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

EXAMPLES = Path(__file__).parents[1] / "examples" / "monitoring"
_NAME = re.compile(r"taskqueue_[a-z_]+")
_LABELS = re.compile(r"([a-z_]+)(?:=~|!=|!~|=)\"")
_GROUPS = re.compile(r"\bby \(([^)]*)\)")


class Query(NamedTuple):
    """A query, and whose it is."""

    owner: str
    text: str

    @property
    def names(self) -> set[str]:
        """The metrics that it asks for, without a prefix."""
        return set(_NAME.findall(self.text))

    @property
    def labels(self) -> set[str]:
        """The labels that it looks at."""
        found = set(_LABELS.findall(self.text))
        for group in _GROUPS.findall(self.text):
            found.update(part.strip() for part in group.split(","))
        return found - {"__name__", "le", ""}


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    return loaded


def panel_queries() -> list[Query]:
    """One for each query of each panel."""
    return [
        Query(panel["title"], target["expr"])
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    ]


def alert_queries() -> list[Query]:
    """One for each rule."""
    loaded = yaml.safe_load((EXAMPLES / "alert-rules.yml").read_text())
    return [
        Query(rule["alert"], rule["expr"]) for group in loaded["groups"] for rule in group["rules"]
    ]
