from pathlib import Path

import pytest

from taskqueue_ray.core.errors import InvalidSetting
from taskqueue_ray.core.settings import NAMES, Settings, resolve
from taskqueue_ray.engine.configuration import configure, keyring_of
from taskqueue_ray.engine.keyring import Key

SECRET = "0123456789abcdef0123456789ABCD,;"


def test_the_later_source_wins(tmp_path: Path) -> None:
    (tmp_path / "taskqueue.toml").write_text(
        '[taskqueue]\nname = "toml"\nconcurrency = 2\nmax_jobs = 3\ntimeout = "5m"\n'
    )
    (tmp_path / ".env").write_text("TASKQUEUE_NAME=dotenv\nTASKQUEUE_CONCURRENCY=4\n")
    settings = configure(
        {"name": "given", "max_depth": None},
        folder=tmp_path,
        environ={"TASKQUEUE_NAME": "environ", "TASKQUEUE_APP": "a, b", "TASKQUEUE_STORAGE": ""},
    )
    assert (settings.name, settings.concurrency, settings.max_jobs) == ("given", 4, 3)
    assert (settings.timeout, settings.app, settings.storage) == (300.0, ("a", "b"), None)


def test_the_original_tool_s_names_are_read(tmp_path: Path) -> None:
    settings = configure(
        folder=tmp_path,
        environ={
            "ENCRYPTION_KEY": SECRET,
            "WORKER_MEMORY_LIMIT": "100",
            "WORKER_MAX_JOBS": "1000",
            "WORKER_TIMEOUT": "3600",
            "MAX_WORKERS": "8",
            "DB_PATH": "/data/queue",
            "TASKQUEUE_MAX_WORKERS": "9",
        },
    )
    assert (settings.memory_limit, settings.max_jobs, settings.timeout) == (100, 1000, 3600.0)
    assert (settings.max_workers, settings.storage) == (9, "/data/queue")
    assert settings.encryption_keys == (SECRET,)


@pytest.mark.parametrize(("text", "mebibytes"), [("52428800", 50), ("50", 50)])
def test_the_original_memory_limit_is_in_bytes_or_mebibytes(
    tmp_path: Path, text: str, mebibytes: int
) -> None:
    settings = configure(folder=tmp_path, environ={"WORKER_MEMORY_LIMIT": text})
    assert settings.memory_limit == mebibytes


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    settings = configure(folder=tmp_path, environ={"ENCRYPTION_KEY": SECRET})
    assert SECRET not in repr(settings)
    ring = keyring_of(settings)
    assert ring is not None
    assert ring.primary == Key(SECRET.encode())
    with pytest.raises(InvalidSetting) as refused:
        resolve([{"encryption_keys": {"key": SECRET}}])
    assert SECRET not in str(refused.value)


def test_a_key_is_made_only_when_asked(tmp_path: Path) -> None:
    settings = resolve([{"key_file": tmp_path / "key"}])
    assert keyring_of(settings) is None
    made = keyring_of(settings, create=True)
    again = keyring_of(settings)
    assert made is not None
    assert again is not None
    assert again.ids == made.ids


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", "many"),
        ("concurrency", 0),
        ("concurrency", True),
        ("max_workers", -1),
        ("timeout", "soon"),
        ("cancel_grace", -1),
        ("timeout", 0),
        ("name", "../x"),
        ("log_level", "loud"),
        ("app", 5),
        ("min_workers", 11),
        ("nonsense", 1),
    ],
)
def test_bad_settings_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting) as refused:
        resolve([{name: value}])
    assert refused.value.fields["name"] == name


def test_a_misspelt_variable_is_refused_in_the_env_file_only(tmp_path: Path) -> None:
    configure(folder=tmp_path, environ={"TASKQUEUE_NONSENSE": "1"})
    (tmp_path / ".env").write_text("TASKQUEUE_NONSENSE=1\n")
    with pytest.raises(InvalidSetting, match="NONSENSE"):
        configure(folder=tmp_path, environ={})


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taskqueue.toml").write_text("name = \n")
    with pytest.raises(InvalidSetting, match=r"taskqueue\.toml"):
        configure(folder=tmp_path, environ={})


def test_every_setting_is_documented() -> None:
    import msgspec

    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    for name in NAMES:
        field = schema[name]
        described = [field, *field.get("anyOf", [])]
        assert any(part.get("description") for part in described), name
