"""The file with the tokens of the web application: one line for each role, for its owner only."""

import os
import secrets
from pathlib import Path
from typing import NamedTuple

from taskqueue_ray.core.errors import InvalidSetting

_SETTING = "token file"


class Tokens(NamedTuple):
    """The tokens of a file; `made` says that it was made just now."""

    operator: str
    viewer: str
    made: bool


def tokens_of(path: Path) -> Tokens:
    """The tokens in that file, which is made when there is none. Raises `InvalidSetting`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = {"operator": secrets.token_urlsafe(32), "viewer": secrets.token_urlsafe(32)}
    aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.writelines(f"{role} {token}\n" for role, token in fresh.items())
        made = _link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    found = _read(path)
    missing = [role for role in fresh if role not in found]
    if missing:
        raise InvalidSetting(_SETTING, f"{path} has no line for {', '.join(missing)}")
    return Tokens(found["operator"], found["viewer"], made)


def _link(aside: Path, path: Path) -> bool:
    try:
        os.link(aside, path)  # unlike rename, never replaces tokens that people have
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> dict[str, str]:
    with path.open(encoding="ascii", errors="replace") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise InvalidSetting(_SETTING, f"{path} can be read by others (chmod 600 {path})")
        lines = [line.split() for line in file.read(64 * 1024).splitlines() if line.strip()]
    if any(len(line) != 2 for line in lines):
        raise InvalidSetting(_SETTING, f"{path} has a line that is not a role and its token")
    return {line[0]: line[1] for line in lines}
