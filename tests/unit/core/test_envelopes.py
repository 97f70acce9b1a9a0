"""Calls and answers as bytes."""

import pytest

from taskqueue_ray.core.envelopes import open_call, seal_call


@pytest.mark.parametrize("request_", [b"", b"\xc0", b"stats" * 100])
def test_a_call_travels_whole(request_: bytes) -> None:
    assert open_call(seal_call("enqueue_watched", request_)) == ("enqueue_watched", request_)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff", b"\x05abc", b"\x02\xff\xfe" + b"x" * 9])
def test_any_bytes_are_a_call_that_can_be_refused(data: bytes) -> None:
    method, request = open_call(data)
    assert isinstance(method, str)
    assert len(request) <= len(data)
