"""Files that are there whole and durable, or not at all."""

from contextlib import suppress

from taskqueue_ray.storage.filesystem import FileSystem, WritableFile, parent_of

LEFTOVER = ".tmp"


def write_atomic(fs: FileSystem, name: str, data: bytes) -> None:
    """Replace `name` by `data`; its directory must exist.

    On return the new content is durable. After an `OSError` or a crash the name holds the old
    content or the new one, never a mixture.
    """
    file, temporary = _written(fs, name, data, 0)
    file.close()
    _publish(fs, temporary, name, replace=True)


def write_new(fs: FileSystem, name: str, data: bytes, reserve: int = 0) -> WritableFile:
    """Make `name` begin with `data`, and return it open for appending.

    On return the beginning is durable under its name. `FileExistsError` when another writer was
    first: of any number that try, one succeeds. `reserve` is as in `FileSystem.create`.
    """
    file, temporary = _written(fs, name, data, reserve)
    try:
        _publish(fs, temporary, name, replace=False)
    except OSError:
        file.close()
        raise
    return file


def remove_leftovers(fs: FileSystem, directory: str) -> None:
    """Remove what a crash in the middle of a write left behind. Only the owner may call this."""
    for entry in fs.list(directory):
        if entry.endswith(LEFTOVER):
            with suppress(OSError):
                fs.remove(f"{directory}/{entry}" if directory else entry)


def _written(fs: FileSystem, name: str, data: bytes, reserve: int) -> tuple[WritableFile, str]:
    file, temporary = _create_temporary(fs, name, reserve)
    try:
        file.write(data)
        file.sync()
    except OSError:
        file.close()
        _discard(fs, temporary)
        raise
    return file, temporary


def _create_temporary(fs: FileSystem, name: str, reserve: int) -> tuple[WritableFile, str]:
    attempt = 0
    while True:
        temporary = f"{name}.{attempt}{LEFTOVER}"
        try:
            return fs.create(temporary, reserve), temporary
        except FileExistsError:
            attempt += 1  # left by a crash, or in use by a rival


def _publish(fs: FileSystem, temporary: str, name: str, *, replace: bool) -> None:
    try:
        fs.move(temporary, name, replace=replace)
    except OSError:
        _discard(fs, temporary)
        raise
    fs.sync_directory(parent_of(name))


def _discard(fs: FileSystem, temporary: str) -> None:
    with suppress(OSError):
        fs.remove(temporary)
