"""The files that clusters are made from: Ray's own checks accept them, and they keep secrets."""

import configparser
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from taskqueue_ray.core.settings import Settings

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / "examples" / "clusters"
FOR_RAY_UP = [ROOT / "cluster.yaml", CLUSTERS / "on-premise.yaml"]
FILES = [*FOR_RAY_UP, CLUSTERS / "kuberay.yaml", CLUSTERS / "taskqueue.service"]


def _loaded(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FOR_RAY_UP, ids=lambda file: file.name)
def test_ray_up_accepts_it(file: Path) -> None:
    util = pytest.importorskip("ray.autoscaler._private.util")
    util.validate_config(util.prepare_config(_loaded(file)))


def test_the_cloud_has_workers_with_and_without_a_gpu_that_start_when_they_are_needed() -> None:
    types = _loaded(ROOT / "cluster.yaml")["available_node_types"]
    assert {name: kind.get("min_workers", 0) for name, kind in types.items()} == {
        "head": 0, "worker": 0, "gpu_worker": 0,
    }  # fmt: skip


def test_ray_s_autoscaler_reads_the_kubernetes_manifest() -> None:
    producer = pytest.importorskip("ray.autoscaler._private.kuberay.autoscaling_config")
    volume, cluster = yaml.safe_load_all((CLUSTERS / "kuberay.yaml").read_text(encoding="utf-8"))
    types = producer._derive_autoscaling_config_from_ray_cr(cluster)["available_node_types"]
    assert types["gpu"]["resources"]["GPU"] == 1
    assert types["cpu"]["resources"]["CPU"] == 4
    head = cluster["spec"]["headGroupSpec"]["template"]["spec"]
    claims = [v["persistentVolumeClaim"]["claimName"] for v in head["volumes"] if len(v) == 2
              and "persistentVolumeClaim" in v]  # fmt: skip
    assert claims == [volume["metadata"]["name"]]
    for pod in (head, *(g["template"]["spec"] for g in cluster["spec"]["workerGroupSpecs"])):
        mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_unit_starts_a_command_that_there_is() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # keys keep their case
    unit.read(CLUSTERS / "taskqueue.service", encoding="utf-8")
    command = shlex.split(unit["Service"]["ExecStart"])
    assert Path(command[0]).name == "taskqueue"
    from typer.main import get_command

    from taskqueue_ray.cli.app import app

    found = get_command(app)
    context = found.make_context("taskqueue", command[1:], resilient_parsing=True)
    subcommand = found.get_command(context, command[1])  # type: ignore[attr-defined]  # a group
    assert subcommand is not None
    known = {option for parameter in subcommand.params for option in parameter.opts}
    assert {word for word in command[2:] if word.startswith("--")} <= known


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_settings_are_named_rightly_and_no_key_is_among_them(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    named = set(re.findall(r"\bTASKQUEUE_([A-Z_]+)(?:=|, value)", text))
    assert "STORAGE" in named
    assert "KEY_FILE" in named
    assert {name.lower() for name in named} <= set(Settings.__struct_fields__)
    assert "ENCRYPTION" not in text
