"""Facts of a queue that can be gathered without Ray: its folder, its keys, who has it open."""

import os
import shutil
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from taskqueue_ray._version import VERSION
from taskqueue_ray.core.errors import InvalidKey, StorageUnusable, TaskQueueError
from taskqueue_ray.core.health import Facts
from taskqueue_ray.core.observation import Observation
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.desk import PROTOCOL
from taskqueue_ray.engine.fleet import Fleet
from taskqueue_ray.engine.insights import Insights
from taskqueue_ray.engine.keyring import key_file_path
from taskqueue_ray.engine.ownership import live_owner, location_of
from taskqueue_ray.engine.reading import read_storage
from taskqueue_ray.storage.location import Location, open_filesystem
from taskqueue_ray.storage.manifest import read_manifest
from taskqueue_ray.storage.owner import FoundOwner


def examine_folder(settings: Settings) -> tuple[Facts, FoundOwner | None]:
    """What the folder and this process say; and who has it open. Changes nothing."""
    location = location_of(settings)
    facts = _with_keys(Facts(str(location), VERSION, PROTOCOL), settings)
    if location.kind != "folder":
        return facts, None
    facts = with_disk(facts, location)
    try:
        if not Path(location.place).is_dir() or read_manifest(open_filesystem(location)) is None:
            return replace(facts, exists=False, storage_problem=_hindrance(location)), None
        found = live_owner(location, settings if not facts.key_problem else Settings())
        if found is not None:
            return replace(facts, owner=str(found.record)), found
        return with_state(facts, read_storage(open_filesystem(location)).state), None
    except TaskQueueError as error:
        return replace(facts, storage_problem=str(error)), None
    except InvalidKey as error:
        return replace(facts, key_problem=str(error)), None
    except OSError as error:
        return replace(facts, storage_problem=f"{error.strerror}: {error.filename}"), None


def with_disk(facts: Facts, location: Location) -> Facts:
    """With how full the disk of the folder is, or of what it will be in."""
    place = Path(location.place)
    there = next((one for one in (place, *place.parents) if one.exists()), None)
    try:
        usage = shutil.disk_usage(there or "/")
    except OSError:
        return facts
    whole = usage.used + usage.free
    used = usage.used / whole if whole else 0.0
    return replace(facts, disk_used=used, disk_free=float(usage.free))


def with_state(facts: Facts, state: State) -> Facts:
    """With what a queue that nobody has open holds."""
    insights = Insights(state, Fleet())
    seen = Observation(state.at, insights.stats(), [])
    sealed = tuple(sorted(state.keys - {""}))
    pauses = tuple(f"{what.kind} {what.name}" for what in state.pauses)
    return replace(facts, observation=seen, sealed_with=sealed, pauses=pauses)


def _with_keys(facts: Facts, settings: Settings) -> Facts:
    place = settings.key_file or key_file_path(os.environ)
    told: dict[str, Any] = {} if settings.encryption_keys else {"key_place": str(place)}
    try:
        keyring = keyring_of(settings)
    except (InvalidKey, OSError) as error:
        return replace(facts, key_problem=str(error), **told)
    return replace(facts, keys=keyring.ids if keyring else (), **told)


def _hindrance(location: Location) -> str:
    """Why no queue could be made in a folder; empty when one could."""
    place = Path(location.place)
    there = next((one for one in (place, *place.parents) if one.exists()), Path("/"))
    if not there.is_dir():
        return str(StorageUnusable(str(location), f"{there} is no folder"))
    if not os.access(there, os.W_OK | os.X_OK):
        return str(StorageUnusable(str(location), f"{there} cannot be written by this user"))
    return ""
