"""Job ids."""

import uuid

import pytest

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.identity import (
    MAX_SHARD,
    created_at,
    from_text,
    make_job_id,
    shard_of,
    to_text,
)

NOW = 1_800_000_000.123


@pytest.mark.parametrize("entropy", [bytes(9), b"\xff" * 9, bytes(range(9))])
@pytest.mark.parametrize("shard", [0, 1, MAX_SHARD])
def test_an_id_is_a_uuid_of_version_7_with_its_time_and_shard(entropy: bytes, shard: int) -> None:
    one = make_job_id(NOW, entropy, shard)
    assert len(one) == 16
    parsed = uuid.UUID(bytes=one)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert shard_of(one) == shard
    assert abs(created_at(one) - NOW) < 0.001


def test_ids_sort_by_time() -> None:
    early = make_job_id(NOW, b"\xff" * 9, MAX_SHARD)
    late = make_job_id(NOW + 0.002, bytes(9))
    assert early < late


def test_every_bit_of_entropy_but_the_fixed_six_tells_ids_apart() -> None:
    plain = make_job_id(NOW, bytes(9))
    flips = [
        make_job_id(NOW, bytes(1 << bit if at == byte else 0 for at in range(9)))
        for byte in range(9)
        for bit in range(8)
    ]
    assert sum(flip != plain for flip in flips) == 72 - 6
    assert len(set(flips)) == 72 - 6 + 1


def test_text_and_back() -> None:
    one = make_job_id(NOW, bytes(range(9)), 7)
    assert to_text(one) == one.hex()
    for text in (to_text(one), to_text(one).upper(), str(uuid.UUID(bytes=one)), one):
        assert from_text(text) == one


@pytest.mark.parametrize(
    "bad",
    ["", "x", "zz" * 16, "0" * 32, "a" * 31, "a" * 33, b"short", None, 7, str(uuid.UUID(int=5)),
     str(uuid.UUID("6ba7b810-9dad-41d1-80b4-00c04fd430c8")), "é" * 32, "0" * 10_000],
)  # fmt: skip
def test_what_is_no_id_is_refused(bad: object) -> None:
    with pytest.raises(InvalidOption) as caught:
        from_text(bad)
    assert len(str(caught.value)) < 400
