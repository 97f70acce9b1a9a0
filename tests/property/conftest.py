"""How hard the property tests look: `TASKQUEUE_TEST_TIER=nightly` for more."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "quick",
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "nightly",
    max_examples=3_000,
    stateful_step_count=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(
    "nightly" if os.environ.get("TASKQUEUE_TEST_TIER") in ("nightly", "release") else "quick"
)
