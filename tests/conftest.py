"""One small Ray for all tests that do not destroy it."""

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

STORE = 80 << 20


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for the names of Ray's sockets."""
    folder = Path(tempfile.mkdtemp(prefix="tq-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_ray(short_folder: Path) -> Iterator[str]:
    """Its address."""
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
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
