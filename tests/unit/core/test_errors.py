"""Errors cross process boundaries as their name and fields."""

import inspect
import pickle
from typing import Any

import pytest

from taskqueue_ray.core import errors
from taskqueue_ray.core.envelopes import open_reply, seal_reply
from taskqueue_ray.core.errors import TaskQueueError, from_wire, to_wire

KINDS = [
    kind
    for _, kind in sorted(vars(errors).items())
    if inspect.isclass(kind) and issubclass(kind, TaskQueueError) and kind is not TaskQueueError
]
SAMPLES = {str: "a word", int: 3, float: 2.5, list[str]: ["x", "y"]}


def _sample(kind: type[TaskQueueError]) -> TaskQueueError:
    given: dict[str, Any] = {
        name: SAMPLES[parameter.annotation]
        for name, parameter in inspect.signature(kind.__init__).parameters.items()
        if name != "self"
    }
    return kind(**given)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_the_wire(kind: type[TaskQueueError]) -> None:
    error = _sample(kind)
    again = from_wire(*to_wire(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert again.fields == error.fields
    assert str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_an_envelope_and_pickle(kind: type[TaskQueueError]) -> None:
    error = _sample(kind)
    with pytest.raises(kind) as caught:
        open_reply(seal_reply(error))
    assert str(caught.value) == str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_error_of_a_newer_peer_is_still_readable() -> None:
    error = from_wire("NotYetInvented", {"what": 1})
    assert type(error) is TaskQueueError
    assert "NotYetInvented" in str(error)


def test_fields_of_a_newer_peer_are_still_readable() -> None:
    error = from_wire("QueueFull", {"queue": "q", "limit": 3, "news": True})
    assert isinstance(error, TaskQueueError)
    assert "QueueFull" in str(error)


def test_the_base_class_can_be_carried() -> None:
    error = TaskQueueError("a sentence")
    assert "a sentence" in str(pickle.loads(pickle.dumps(error)))


def test_names_are_unique_so_that_they_can_stand_for_the_class() -> None:
    names = [kind.__name__ for kind in KINDS]
    assert len(set(names)) == len(names) >= 25
