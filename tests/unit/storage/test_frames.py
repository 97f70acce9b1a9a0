import pytest

from taskqueue_ray.storage.frames import (
    FRAME_HEADER_SIZE,
    FRAME_MAGIC,
    SEGMENT_HEADER_SIZE,
    BadHeader,
    SegmentHeader,
    decode_frame,
    decode_header,
    encode_frame,
    encode_header,
    frames_from,
    next_frame_after,
    seed_of,
)

HEADER = SegmentHeader(7, 3, 4096, 0xDEADBEEF, 42, b"saltsalt")


def test_header_keeps_what_it_was_given() -> None:
    data = encode_header(HEADER)
    assert len(data) == SEGMENT_HEADER_SIZE == 64
    assert decode_header(data + b"more") == HEADER


@pytest.mark.parametrize("position", range(64))
def test_a_flipped_bit_in_a_header_is_seen(position: int) -> None:
    data = bytearray(encode_header(HEADER))
    data[position] ^= 0x10
    with pytest.raises(BadHeader):
        decode_header(bytes(data))


def test_a_short_header_is_none() -> None:
    with pytest.raises(BadHeader, match="incomplete"):
        decode_header(encode_header(HEADER)[:63])


@pytest.mark.parametrize("payload", [b"", b"x", bytes(5000)])
def test_frame_keeps_what_it_was_given(payload: bytes) -> None:
    data = b"before" + encode_frame(9, 3, 42, payload)
    frame = decode_frame(9, data, 6)
    assert frame is not None
    assert (frame.epoch, frame.commit, frame.payload) == (3, 42, payload)
    assert frame.end == len(data) == 6 + FRAME_HEADER_SIZE + len(payload)


def test_a_flipped_bit_in_a_frame_is_seen() -> None:
    data = encode_frame(9, 3, 42, b"some payload")
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            assert decode_frame(9, bytes(damaged), 0) is None


def test_a_frame_of_another_segment_is_none_here() -> None:
    seeds = [seed_of(encode_header(HEADER._replace(salt=s))) for s in (b"saltsalt", b"pepper!!")]
    data = encode_frame(seeds[0], 3, 42, b"payload")
    assert decode_frame(seeds[0], data, 0)
    assert decode_frame(seeds[1], data, 0) is None


def test_the_run_of_frames_ends_at_the_first_that_is_not_whole() -> None:
    frames = [encode_frame(1, 1, n, b"payload") for n in (1, 2, 3)]
    data = b"".join(frames)[:-1]
    assert [f.commit for f in frames_from(1, data, 0)] == [1, 2]


def test_a_later_frame_is_found_at_any_byte() -> None:
    data = b"rubbish" + FRAME_MAGIC + encode_frame(1, 1, 5, b"payload")
    found = next_frame_after(1, data, 0, 4)
    assert found is not None
    assert (found.offset, found.commit) == (11, 5)
    assert next_frame_after(1, data, 0, 6) is None


def test_a_frame_written_into_a_payload_is_no_frame() -> None:
    # A client knows the format but not the salt.
    data = b"torn" + encode_frame(0, 1, 5, b"pretence")
    assert next_frame_after(seed_of(encode_header(HEADER)), data, 0, 1) is None


def test_a_payload_full_of_look_alikes_is_given_up_in_time() -> None:
    # Each 24 bytes claim to be a frame over all that follows.
    size = 1 << 20
    unit = FRAME_MAGIC + bytes(4) + (size // 2).to_bytes(4, "little") + b"\1\0\0\0" + bytes([9] * 8)
    with pytest.raises(OverflowError):
        next_frame_after(1, unit * (size // len(unit)), 0, 1)


def test_a_commit_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskqueue_ray.storage.frames.MAX_PAYLOAD", 10)
    with pytest.raises(ValueError, match="above"):
        encode_frame(1, 1, 1, b"eleven byte")
