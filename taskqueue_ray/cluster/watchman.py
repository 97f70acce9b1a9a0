"""Sees to it that somebody watches over a queue: makes its alert actor, and ends it."""

import logging
from contextlib import suppress

import ray
from ray.exceptions import RayError

from taskqueue_ray.cluster.alert_actor import AlertActor
from taskqueue_ray.cluster.config import (
    ACTOR_CPUS,
    NAMESPACE,
    AlertConfig,
    alert_actor_name,
    encode,
)
from taskqueue_ray.cluster.rim import NODE_LABEL

log = logging.getLogger(__name__)


def post(config: AlertConfig) -> None:
    """Make the alert actor of a queue on this node, unless it is there. Blocks."""
    name = alert_actor_name(config.location)
    try:
        (
            ray.remote(AlertActor)
            .options(
                name=name,
                namespace=NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                max_restarts=-1,
                max_concurrency=100,
                num_cpus=ACTOR_CPUS,
                enable_task_events=False,
                label_selector={NODE_LABEL: ray.get_runtime_context().get_node_id()},
            )
            .remote(encode(config))
        )
    except (ValueError, RayError) as error:
        # Somebody else was between, or the cluster is ending: the next look tries again.
        log.info("the alert actor was not made: %s", error)


def dismiss(location: str) -> None:
    """End the alert actor of a queue, if it is there. Blocks."""
    with suppress(ValueError, RayError):
        ray.kill(ray.get_actor(alert_actor_name(location), NAMESPACE), no_restart=True)
