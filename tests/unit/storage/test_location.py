from pathlib import Path

import pytest

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.storage.filesystem import LocalFileSystem
from taskqueue_ray.storage.location import (
    Location,
    forget_memory,
    open_filesystem,
    parse_location,
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/data/queue", Location("folder", "/data/queue")),
        ("file:///data/queue", Location("folder", "/data/queue")),
        ("file://localhost/data/queue", Location("folder", "/data/queue")),
        ("FILE:///data/my%20queue", Location("folder", "/data/my queue")),
        (Path("/data/queue"), Location("folder", "/data/queue")),
        ("queue", Location("folder", str(Path.cwd() / "queue"))),
        ("~/queue", Location("folder", str(Path.home() / "queue"))),
        ("memory://trial-1", Location("memory", "trial-1")),
    ],
)
def test_a_storage(url: str | Path, expected: Location) -> None:
    assert parse_location(url) == expected
    assert parse_location(str(expected)) == expected


@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "S3"])
def test_buckets_are_named_as_not_supported_yet(scheme: str) -> None:
    with pytest.raises(InvalidRequest, match="not supported yet"):
        parse_location(f"{scheme}://bucket/queue")


@pytest.mark.parametrize(
    "url",
    [
        "", "  ", "a\0b", "http://host/x", "redis://host", "file://host/x", "file://", "memory://",
        "memory://a/b", "file:///x?y", "file:///x#y", "file://[::1/x", "://x", 7, None, b"/x",
        "~no-such-user-here/queue",
    ],
)  # fmt: skip
def test_no_storage(url: object) -> None:
    with pytest.raises(InvalidRequest):
        parse_location(url)  # type: ignore[arg-type]


def test_a_folder_is_not_made_by_naming_it(tmp_path: Path) -> None:
    fs = open_filesystem(parse_location(tmp_path / "queue"))
    assert isinstance(fs, LocalFileSystem)
    assert not (tmp_path / "queue").exists()


def test_a_memory_storage_is_one_and_the_same() -> None:
    here = Location("memory", "shared")
    assert open_filesystem(here) is open_filesystem(here)
    before = open_filesystem(here)
    forget_memory("shared")
    assert open_filesystem(here) is not before
    forget_memory("shared")
