"""Headers beside the arguments of a job."""

import pytest

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.engine.arguments import Binder
from taskqueue_ray.engine.headers import arguments_of, attach, check_headers, headers_of


def _takes(name: str, times: int = 1) -> None: ...


BINDER = Binder("t", _takes)


def test_the_format_is_an_array_of_two_maps() -> None:
    arguments = BINDER.bind(("Ann",), {})
    content = attach({"trace": "4bf9"}, arguments)
    assert content.hex() == "9281a57472616365a43462663981a46e616d65a3416e6e"
    assert headers_of(content) == {"trace": "4bf9"}
    assert arguments_of(content) == arguments
    assert BINDER.load(content) == BINDER.load(arguments)


def test_without_headers_it_is_the_arguments_alone() -> None:
    arguments = BINDER.bind(("Ann",), {})
    assert attach({}, arguments) == arguments
    assert headers_of(arguments) == {}
    assert arguments_of(arguments) == arguments


@pytest.mark.parametrize("count", [0, 1, 15, 16, 70_000])
def test_no_arguments_look_like_headers(count: int) -> None:
    def takes(**extra: int) -> None: ...

    arguments = Binder("t", takes).bind((), {f"a{n}": n for n in range(count)})
    assert headers_of(arguments) == {}


@pytest.mark.parametrize("given", [{"n": 1}, {1: "n"}, {"n": b"x"}, {"n": None}])
def test_headers_that_are_no_text_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(InvalidOption, match="headers"):
        check_headers(given)
