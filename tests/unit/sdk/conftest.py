import time
from collections.abc import Iterator

import pytest

from tests.inprocess import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(time.time())
    yield made
    made.q.close()
