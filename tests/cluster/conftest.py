"""One small Ray for all tests here that do not destroy it; a storage and a key for each test."""

import os
import secrets

# Ray reads these when it is imported.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ["TASKQUEUE_TEST_RUN"] = secrets.token_hex(8)

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.place import Place
from tests.cluster.programs import Programs

STORE = 80 << 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for the names of Ray's sockets."""
    folder = Path(tempfile.mkdtemp(prefix="tq-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_ray(short_folder: Path) -> Iterator[None]:
    import ray

    ray.init(
        address="local",
        namespace="taskqueue",
        num_cpus=4,
        object_store_memory=STORE,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=str(short_folder / "ray"),
    )
    yield
    ray.shutdown()


@pytest.fixture
def place(shared_ray: None, tmp_path: Path) -> Iterator[Place]:
    """A storage of this test alone. At the end nothing of it may be left but its folder."""
    made = Place(tmp_path)
    yield made
    made.leave()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Runs programs of users; each starts what Ray it needs. None may leave anything behind."""
    made = Programs(tmp_path)
    yield made
    made.leave()
