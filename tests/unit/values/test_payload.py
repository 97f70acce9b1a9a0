import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from taskqueue_ray.core.errors import KeyMissing, PayloadTooLarge, SealBroken
from taskqueue_ray.engine import payload
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Kind, Sealer, open_error, seal_error

KEY = Key(bytes(range(32)))
OTHER = Key(bytes(32))
JOB = bytes(range(16))
GOLDEN = Path(__file__).parent / "golden" / "sealed-v1.txt"


def fixed_salt(size: int) -> bytes:
    return bytes(range(100, 100 + size))


def sealer(
    *keys: Key, random: Callable[[int], bytes] = os.urandom, max_size: int = 1 << 20
) -> Sealer:
    return Sealer(Keyring(keys or (KEY,)), random=random, max_size=max_size)


@given(st.sampled_from(list(Kind)), st.binary(max_size=3000), st.binary(min_size=1, max_size=40))
def test_what_is_sealed_opens(kind: Kind, plain: bytes, origin: bytes) -> None:
    sealed = sealer().seal(kind, origin, "app.job", plain)
    assert sealer().open(kind, origin, "app.job", sealed) == plain
    assert len(sealed) <= len(plain) + payload.OVERHEAD


@pytest.mark.parametrize(
    ("kind", "origin", "type_name"),
    [
        (Kind.RESULT, JOB, "app.job"),
        (Kind.PAYLOAD, JOB[::-1], "app.job"),
        (Kind.PAYLOAD, JOB, "app.other"),
        (Kind.PAYLOAD, b"", "app.job"),
    ],
)
def test_it_opens_as_nothing_else(kind: Kind, origin: bytes, type_name: str) -> None:
    sealed = sealer().seal(Kind.PAYLOAD, JOB, "app.job", b"secret")
    with pytest.raises(SealBroken):
        sealer().open(kind, origin, type_name, sealed)


def test_no_changed_or_missing_byte_goes_unseen() -> None:
    one = sealer()
    sealed = one.seal(Kind.PAYLOAD, JOB, "app.job", b"secret")
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 0x40
        with pytest.raises((SealBroken, KeyMissing)):
            one.open(Kind.PAYLOAD, JOB, "app.job", bytes(changed))
        with pytest.raises(SealBroken):
            one.open(Kind.PAYLOAD, JOB, "app.job", sealed[:index])


def test_another_key_is_missed_by_its_id() -> None:
    sealed = sealer(KEY).seal(Kind.PAYLOAD, JOB, "app.job", b"x")
    with pytest.raises(KeyMissing) as missed:
        sealer(OTHER).open(Kind.PAYLOAD, JOB, "app.job", sealed)
    assert missed.value.fields["key_id"] == KEY.id
    assert sealer(OTHER, KEY).open(Kind.PAYLOAD, JOB, "app.job", sealed) == b"x"


def test_the_same_content_never_looks_the_same() -> None:
    one = sealer()
    sealed = {one.seal(Kind.PAYLOAD, JOB, "t", b"x") for _ in range(100)}
    sealed |= {sealer().seal(Kind.PAYLOAD, JOB, "t", b"x") for _ in range(100)}
    assert len(sealed) == 200
    assert len({item[5:29] for item in sealed}) == 200  # salt and counter


def test_a_forked_child_draws_a_new_salt() -> None:
    one = sealer()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, one.seal(Kind.PAYLOAD, JOB, "t", b"from the child"))
        os._exit(0)
    os.waitpid(child, 0)
    sealed = os.read(read, 4096)
    os.close(read)
    os.close(write)
    mine = one.seal(Kind.PAYLOAD, JOB, "t", b"from the parent")
    assert sealed[5:21] != mine[5:21]
    assert one.open(Kind.PAYLOAD, JOB, "t", sealed) == b"from the child"


def test_long_repetitive_content_is_packed_and_short_is_not() -> None:
    one = sealer()
    assert len(one.seal(Kind.PAYLOAD, JOB, "t", b"a" * 100_000)) < 300
    assert len(one.seal(Kind.PAYLOAD, JOB, "t", b"a" * 1024)) == 1024 + payload.OVERHEAD
    noise = os.urandom(5000)
    assert len(one.seal(Kind.PAYLOAD, JOB, "t", noise)) == 5000 + payload.OVERHEAD


def test_the_limit_holds_before_packing() -> None:
    with pytest.raises(PayloadTooLarge) as refused:
        sealer(max_size=2000).seal(Kind.PAYLOAD, JOB, "app.job", b"a" * 2001)
    assert (refused.value.fields["size"], refused.value.fields["limit"]) == (2001, 2000)
    with pytest.raises(PayloadTooLarge):
        sealer(max_size=10).seal(Kind.PAYLOAD, JOB, "app.job", b"a" * 11)


@pytest.mark.parametrize("with_size", [True, False])
def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch, with_size: bool) -> None:
    monkeypatch.setattr(payload, "MAX_OPENED", 10_000)
    compressor = zstandard.ZstdCompressor(write_content_size=with_size).compressobj(
        size=50_000 if with_size else -1
    )
    bomb = b"\1" + compressor.compress(b"\0" * 50_000) + compressor.flush()
    one = sealer(max_size=1000)
    stream = one._stream
    monkeypatch.setattr(payload, "_RAW", b"")
    sealed = one.seal(Kind.PAYLOAD, JOB, "t", bomb)
    monkeypatch.undo()
    monkeypatch.setattr(payload, "MAX_OPENED", 10_000)
    assert stream is one._stream
    with pytest.raises((PayloadTooLarge, SealBroken)):
        one.open(Kind.PAYLOAD, JOB, "t", sealed)


def test_the_format_is_the_one_of_the_golden_file() -> None:
    one = sealer(random=fixed_salt)
    written = [
        one.seal(Kind.PAYLOAD, JOB, "app.job", b"golden"),
        one.seal(Kind.RESULT, JOB, "app.job", b"long " * 400),
    ]
    short, long = map(bytes.fromhex, GOLDEN.read_text().split())
    assert written[0] == short
    # How zstd packs may change with its version; what opens must not.
    assert one.open(Kind.RESULT, JOB, "app.job", long) == b"long " * 400


def test_errors_keep_their_words_and_bounds() -> None:
    one = sealer()
    detail = open_error(
        one, JOB, "t", seal_error(one, JOB, "t", "bad \udce9 name", "trace\n" * 50_000)
    )
    assert detail.message == "bad \\udce9 name"
    assert len(detail.traceback) <= payload.MAX_TRACEBACK
    assert detail.traceback.endswith("trace\n")
    assert open_error(one, JOB, "t", b"").message == ""
    tiny = sealer(max_size=1024)
    assert open_error(tiny, JOB, "t", seal_error(tiny, JOB, "t", "m" * 9000, "t" * 9000)).message
