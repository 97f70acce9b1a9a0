"""The part of the counter that is about nodes, quotas and where workers go."""

from collections.abc import Callable, Mapping
from typing import Any

from taskqueue_ray.core import commands
from taskqueue_ray.core.admission import WorkersWanted
from taskqueue_ray.core.model import NodeMode
from taskqueue_ray.core.placement import DEFAULT
from taskqueue_ray.engine.engine import Engine

Respond = Callable[[Any], None]
Method = tuple[Any, Callable[[Any, Respond], None]]
"""The type of a request, and what serves it."""


def methods_of(engine: Engine) -> Mapping[str, Method]:
    """The methods by name. Lists may read ahead; what was set is durable when it is answered."""

    def admit(wanted: WorkersWanted, respond: Respond) -> None:
        engine.path.answer(respond, engine.admission.admit(wanted, engine.clock.now()))

    def set_mode(call: tuple[str, NodeMode, float], respond: Respond) -> None:
        engine.set_node_mode(*call, respond)

    def give_up(names: list[str], respond: Respond) -> None:
        engine.admission.give_up(names)
        respond(None)

    return {
        "nodes": (None, lambda _, respond: respond(engine.nodes.views())),
        "node": (str, lambda name, respond: respond(engine.nodes.view(engine.nodes.find(name)))),
        "set_node_mode": (tuple[str, NodeMode, float], set_mode),
        "register_node": (commands.RegisterNode, engine.control),
        "forget_node": (commands.ForgetNode, engine.control),
        "select_node": (list[str], lambda call, respond: respond(engine.admission.select(call))),
        "strategy": (None, lambda _, respond: respond(engine.state.premises.strategy or DEFAULT)),
        "set_strategy": (commands.SetStrategy, engine.control),
        "quotas": (None, lambda _, respond: respond(engine.admission.quotas())),
        "set_quota": (commands.SetQuota, engine.control),
        "delete_quota": (commands.DeleteQuota, engine.control),
        "admit_workers": (WorkersWanted, admit),
        "give_up_workers": (list[str], give_up),
    }
