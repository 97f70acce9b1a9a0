"""Finding the queue of a storage, or starting it: on its owner's cluster, a running one, or one
of our own.

In this order: the Ray that this process already uses; the live owner of the folder; the cluster
that was asked for or that runs here (`ray start`, `RAY_ADDRESS`); a new local one, which ends with
this program.
"""

import logging
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray._private.services import canonicalize_bootstrap_address

from taskqueue_ray.cluster.asking import ask
from taskqueue_ray.cluster.config import (
    ACTOR_CPUS,
    NAMESPACE,
    QueueConfig,
    encode,
    queue_actor_name,
    shown,
)
from taskqueue_ray.cluster.handles import QueueHandle, find_actor
from taskqueue_ray.cluster.queue_actor import QueueActor
from taskqueue_ray.cluster.rim import NODE_LABEL
from taskqueue_ray.cluster.vigil import Vigil, answers
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.envelopes import decode, open_reply
from taskqueue_ray.core.errors import (
    OwnedElsewhere,
    QueueClosed,
    Recovering,
    TaskQueueError,
    Unavailable,
)
from taskqueue_ray.core.exchange import Ping
from taskqueue_ray.core.retention import KEEP
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.desk import PROTOCOL
from taskqueue_ray.engine.ownership import live_owner, location_of
from taskqueue_ray.storage.location import Location
from taskqueue_ray.storage.owner import FoundOwner

CALLS_AT_A_TIME = 10_000
START_PATIENCE = 60.0

END_PATIENCE = 15.0
"""Seconds for which an owner whose cluster is gone may still be ending."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Connection:
    """A queue that answers. `started_ray`: this process started the cluster that it runs in."""

    handle: QueueHandle
    location: str
    ping: Ping
    started_ray: bool
    joined_ray: bool
    key_file: str | None
    vigil: Vigil | None = None

    def close(self) -> None:
        """Leave. A cluster that this process started ends, after the queue has been closed."""
        if self.vigil is not None:
            self.vigil.end()
        if not ray.is_initialized():
            return
        if self.started_ray:
            _close_queue(self.handle)
        if self.started_ray or self.joined_ray:
            ray.shutdown()

    def stop(self) -> None:
        """Stop the queue in good order, its pools' workers included; Ray goes on. Then `close`."""
        self.handle.close()
        _close_queue(self.handle)
        with suppress(QueueClosed, ray.exceptions.RayError):
            ray.kill(find_actor(self.handle.name), no_restart=True)


def connect(settings: Settings, *, dashboard: bool = False) -> Connection:
    """Attach to the queue of the settings' storage, starting what is missing.

    Raises `OwnedElsewhere` when a live owner is in a cluster that cannot be joined from here,
    `QueueClosed` when the named cluster cannot be reached, and what hinders the queue from opening
    its storage (`KeyMissing`, `StorageCorrupt`, `StorageUnusable`).
    """
    location = location_of(settings)
    try:
        return _find_or_start(settings, location, dashboard)
    except OwnedElsewhere:
        if ray.is_initialized() or live_owner(location, settings) is None:
            raise
    # Another program was starting the same queue, and was faster: it is the one to join.
    return _find_or_start(settings, location, dashboard)


def _find_or_start(settings: Settings, location: Location, dashboard: bool) -> Connection:
    started, joined = _join_cluster(settings, location, dashboard)
    try:
        return _attach(settings, location, started, joined)
    except BaseException:
        if started or joined:
            ray.shutdown()
        raise


def _join_cluster(settings: Settings, location: Location, dashboard: bool) -> tuple[bool, bool]:
    """Make sure that this process uses Ray; whether it started a cluster, or joined one, for it."""
    owner = _lasting_owner(location, settings)
    if ray.is_initialized():
        _check_reachable(location, owner)
        return False, False
    if owner is not None:
        join_owner(location, owner)
        return False, True
    if settings.address != "local":
        wanted = None if settings.address == "auto" else settings.address
        address = wanted or canonicalize_bootstrap_address(None)
        if address:
            _join(address, required=wanted is not None or "RAY_ADDRESS" in os.environ)
            if ray.is_initialized():
                return False, True
        if settings.address == "auto":
            raise QueueClosed("no running Ray cluster was found (address='auto')")
    _start_local(dashboard)
    return True, False


def _lasting_owner(location: Location, settings: Settings) -> FoundOwner | None:
    """The live owner. One here whose cluster does not answer is ending: its end is waited for.

    So it is after the death of a program that had a cluster of its own: Ray itself would try for
    minutes to join what is left of it.
    """
    deadline = time.monotonic() + END_PATIENCE
    while (owner := live_owner(location, settings)) is not None:
        here = owner.record.host == socket.gethostname()
        if not here or answers(owner.record.address) or time.monotonic() > deadline:
            return owner
        time.sleep(0.1)
    return None


def _check_reachable(location: Location, owner: FoundOwner | None) -> None:
    here = ray.get_runtime_context().gcs_address
    if owner is not None and owner.record.address != here:
        raise OwnedElsewhere(str(location), str(owner.record))


def join_owner(location: Location, owner: FoundOwner) -> None:
    """Have this process use the owner's cluster. Raises `OwnedElsewhere`."""
    # An address in a file is followed only when it is signed, or cannot lead off this machine.
    if not owner.genuine and owner.record.host != socket.gethostname():
        raise OwnedElsewhere(str(location), f"{owner.record}, whose signature is not right")
    if not answers(owner.record.address):
        raise OwnedElsewhere(str(location), f"{owner.record}, which cannot be reached")
    try:
        _init(address=owner.record.address)
    except (ConnectionError, RuntimeError) as error:
        raise OwnedElsewhere(str(location), f"{owner.record}, which cannot be joined") from error


def _join(address: str, *, required: bool) -> None:
    try:
        # Ray would look for minutes for one that is gone; and remembers one that was killed.
        if "://" not in address and not answers(address):
            raise ConnectionError("nothing answers there")
        _init(address=address)
    except (ConnectionError, RuntimeError) as error:
        if required:
            raise QueueClosed(f"the Ray cluster at {address} cannot be reached: {error}") from error
        log.info("the Ray cluster at %s is gone; starting a local one", address)


def _start_local(dashboard: bool) -> None:
    # Ray's own notices of the future are not for the users of a queue.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    _init(address="local", include_dashboard=dashboard)


def _init(**options: Any) -> None:
    ray.init(namespace=NAMESPACE, logging_level=logging.WARNING, **options)


def _attach(settings: Settings, location: Location, started: bool, joined: bool) -> Connection:
    keyring_of(settings, create=started)  # a missing or malformed key is refused before all else
    name = queue_actor_name(str(location))
    config = _queue_config(settings, location, embedded=started)
    fresh = not _exists(name)

    def reconnect() -> Any:
        # A queue that ended for good is started again only by the program that owns its cluster
        # or on a lasting cluster; one that was embedded elsewhere is gone.
        return _create(name, config) if started or not ping.embedded else find_actor(name)

    ping = _first_ping(_create(name, config))
    _warn_of_other_settings(settings, ping)
    handle = QueueHandle(name, reconnect)
    try:
        _wait_open(handle)
    except TaskQueueError:
        if fresh:
            ray.kill(find_actor(name), no_restart=True)
        raise
    vigil = None
    if ping.embedded and joined:
        log.warning("attached to a queue that lives in another program, and ends with it")
        vigil = Vigil(ray.get_runtime_context().gcs_address, handle)
    return Connection(handle, str(location), ping, started, joined, settings.key_file, vigil)


def _warn_of_other_settings(wanted: Settings, ping: Ping) -> None:
    """A queue goes by the settings of whoever started it: say so to one who asks for others."""
    others = other_settings(wanted, ping.settings)
    if others:
        log.warning("%s: settings of a queue come from whoever starts it", "; ".join(others))


def other_settings(wanted: Settings, in_force: Mapping[str, int | float | str | None]) -> list[str]:
    """What was asked for, and is not what holds. A default was not asked for."""
    return [
        f"{name} is {value} in the running queue, not {shown(getattr(wanted, name))}"
        for name, value in in_force.items()
        if name in wanted.given and shown(getattr(wanted, name)) != value
    ]


def _queue_config(settings: Settings, location: Location, *, embedded: bool) -> QueueConfig:
    context = ray.get_runtime_context()
    return QueueConfig(
        location=str(location),
        cluster_id=_cluster_id(),
        address=context.gcs_address,
        embedded=embedded,
        bounds=Bounds(
            max_batch=settings.max_batch,
            max_depth=settings.max_depth,
            max_losses=settings.max_losses,
            remember_seconds=settings.remember_seconds,
            lease_seconds=settings.lease_seconds,
            retention=settings.retention or KEEP,
        ),
        segment_bytes=settings.segment_bytes,
        ballast_bytes=settings.ballast_bytes,
        log_level=settings.log_level,
        log_format=settings.log_format,
        key_file=settings.key_file,
        ray_metrics=settings.ray_metrics,
        alerts=settings.alerts,
        alert_interval=settings.alert_interval,
    )


def _cluster_id() -> str:
    """The session of a Ray cluster: new with each start of it, the same on all its nodes."""
    node = ray._private.worker._global_node  # the session has no public name
    return str(node.session_name) if node is not None else ""


def _exists(name: str) -> bool:
    try:
        ray.get_actor(name, NAMESPACE)
    except ValueError:
        return False
    return True


def _create(name: str, config: QueueConfig) -> Any:
    """The actor of that name, made on this node when there is none."""
    for _ in range(20):
        try:
            return (
                ray.remote(QueueActor)
                .options(
                    name=name,
                    namespace=NAMESPACE,
                    lifetime="detached",
                    get_if_exists=True,
                    max_restarts=-1,
                    max_concurrency=CALLS_AT_A_TIME,
                    num_cpus=ACTOR_CPUS,
                    enable_task_events=False,
                    label_selector={NODE_LABEL: ray.get_runtime_context().get_node_id()},
                )
                .remote(encode(config))
            )
        except ValueError:
            continue  # get, create, get: somebody else was between (ray #20611)
    return find_actor(name)


def _first_ping(actor: Any) -> Ping:
    try:
        ping = decode(open_reply(ask(actor.ping.remote, START_PATIENCE)), Ping)
    except ray.exceptions.GetTimeoutError as error:
        raise Unavailable("its actor did not start; is there a node with a free CPU?") from error
    except ray.exceptions.RayError as error:
        raise Unavailable(f"its actor did not start: {error}") from error
    if ping.protocol != PROTOCOL:
        raise QueueClosed(
            f"its actor speaks protocol {ping.protocol} (version {ping.version}) and this program "
            f"{PROTOCOL}: install the same version on both sides, and restart the actor"
        )
    return ping


def _wait_open(handle: QueueHandle) -> None:
    """Wait until the storage is open; raises what hinders it."""
    try:
        handle.call("stats", b"\xc0", START_PATIENCE)
    except Recovering:
        log.warning("the queue is still recovering; calls wait for it")


def _close_queue(handle: QueueHandle) -> None:
    try:
        ask(find_actor(handle.name).shutdown.remote, 20.0)
    except (ray.exceptions.RayError, QueueClosed):
        log.debug("the queue actor was gone before it could be closed")
