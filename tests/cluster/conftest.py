"""A storage and a key for each test, on the Ray that they share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.place import Place
from tests.cluster.programs import Programs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture
def place(shared_ray: str, tmp_path: Path) -> Iterator[Place]:
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
