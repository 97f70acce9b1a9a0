"""Which storage a process means, and who has it open now. Needs no Ray."""

import os
from dataclasses import dataclass
from pathlib import Path

from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.keyring import Keyring
from taskqueue_ray.engine.opening import Identity, Insistence, open_storage
from taskqueue_ray.storage.filesystem import FileSystem, LocalFileSystem
from taskqueue_ray.storage.location import Location, parse_location
from taskqueue_ray.storage.owner import FoundOwner, acquire_lock, read_owner


def location_of(settings: Settings) -> Location:
    """The storage that the settings name, or the default one of their name."""
    return parse_location(settings.storage or default_storage(settings.name))


def default_storage(name: str) -> str:
    """The folder of a queue system that names none."""
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return str(Path(home).expanduser() / "taskqueue-ray" / name)


def live_owner(location: Location, settings: Settings) -> FoundOwner | None:
    """Who has the folder open now, as far as can be seen from here. Takes and changes nothing."""
    if location.kind != "folder" or not Path(location.place, "LOCK").exists():
        return None
    fs = LocalFileSystem(location.place)
    lock = acquire_lock(fs)
    if lock is not None:
        lock.release()
        return None
    keyring = keyring_of(settings)
    return read_owner(fs, keyring.mac if keyring else lambda _: b"")


@dataclass(frozen=True, slots=True)
class Seized:
    """A storage that was taken from its owner. `still_held`: that process has not ended yet."""

    epoch: int
    previous: FoundOwner | None
    still_held: bool


def seize(fs: FileSystem, location: str, keyring: Keyring) -> Seized:
    """Fence off whoever has the storage, and leave it free for the next that connects.

    What the previous owner had acknowledged stays; what it writes from now on counts for nothing.
    Raises what `open_storage` raises.
    """
    previous = read_owner(fs, keyring.mac)
    opened = open_storage(fs, location, Identity("", ""), keyring, Insistence.FORCE)
    try:
        return Seized(opened.fence.epoch, previous, opened.lock is None)
    finally:
        opened.journal.close()
        opened.release()
