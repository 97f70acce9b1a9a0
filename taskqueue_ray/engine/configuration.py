"""Settings come from `taskqueue.toml`, `.env`, the environment, arguments; the later wins."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import dotenv

from taskqueue_ray.core.errors import InvalidSetting
from taskqueue_ray.core.settings import MIB, NAMES, ORIGINAL_NAMES, Settings, resolve
from taskqueue_ray.engine.keyring import (
    Keyring,
    key_file_path,
    load_keyring,
    make_key_file,
    parse_key,
)

FILE = "taskqueue.toml"
ENV_FILE = ".env"
PREFIX = "TASKQUEUE_"


def configure(
    arguments: Mapping[str, object] | None = None,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of this process. `folder` is where the two files are looked for (default: here).

    Raises `InvalidSetting`.
    """
    here = folder or Path.cwd()
    variables = os.environ if environ is None else environ
    return resolve(
        [
            read_toml(here / FILE),
            from_variables(read_env(here / ENV_FILE), ENV_FILE),
            from_variables(variables, "the environment"),
            arguments or {},
        ]
    )


def keyring_of(settings: Settings, *, create: bool = False) -> Keyring | None:
    """The keyring that the settings name; with `create`, made in the key file if there is none."""
    if settings.encryption_keys:
        return Keyring(parse_key(text) for text in settings.encryption_keys)
    path = Path(settings.key_file).expanduser() if settings.key_file else key_file_path(os.environ)
    found = load_keyring({}, path)
    return make_key_file(path) if found is None and create else found


def read_toml(path: Path) -> dict[str, object]:
    """The settings in a TOML file, at its top or in `[taskqueue]`; none without the file."""
    try:
        with path.open("rb") as file:
            read = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise InvalidSetting(str(path), f"it cannot be read: {problem}") from None
    table = read.get("taskqueue", read)
    if not isinstance(table, dict):
        raise InvalidSetting(str(path), "[taskqueue] is a table")
    return table


def read_env(path: Path) -> dict[str, str]:
    """The variables in a `.env` file. The process's own environment is not changed."""
    if not path.is_file():
        return {}
    values = dotenv.dotenv_values(path, interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def from_variables(variables: Mapping[str, str], where: str) -> dict[str, object]:
    """The settings among variables: `TASKQUEUE_…`, and the original tool's names below them.

    An empty variable says nothing. A `TASKQUEUE_…` name that is no setting is refused in `.env`;
    in the environment other programs may have put it there.
    """
    found: dict[str, object] = {
        setting: variables[name] for name, setting in ORIGINAL_NAMES.items() if variables.get(name)
    }
    if "encryption_keys" in found:
        found["encryption_keys"] = [found["encryption_keys"]]  # one key, whatever commas it has
    if "memory_limit" in found:
        found["memory_limit"] = _mebibytes(str(found["memory_limit"]))
    for name, value in variables.items():
        setting = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or not value:
            continue
        if setting in NAMES:
            found[setting] = value
        elif where == ENV_FILE:
            raise InvalidSetting(name, f"there is no such setting (in {where})")
    return found


def _mebibytes(text: str) -> str:
    """The original tool took MiB as an option and bytes as a variable: the size says which."""
    return str(int(text) // MIB) if text.isdecimal() and int(text) >= MIB else text
