"""The encryption keys of a process: where they come from, and which one seals."""

import base64
import binascii
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from taskqueue_ray.core.errors import InvalidKey, KeyMissing

KEY_SIZE = 32
_KEYS = "TASKQUEUE_ENCRYPTION_KEYS"
_ORIGINAL_KEY = "ENCRYPTION_KEY"
_KEY_FILE = "TASKQUEUE_KEY_FILE"


class Key:
    """One key. Its id is eight hexadecimal digits of an HMAC, which tell nothing of the key."""

    __slots__ = ("_mac_key", "id", "material")

    def __init__(self, material: bytes) -> None:
        if len(material) != KEY_SIZE:
            raise InvalidKey(f"it has {len(material)} bytes")
        self.material = material
        self.id = _keyed(material, b"taskqueue-ray key id")[:4].hex()
        self._mac_key = _keyed(material, b"taskqueue-ray mac")

    def mac(self, data: bytes) -> bytes:
        """32 bytes that only a holder of this key can make of `data`."""
        return _keyed(self._mac_key, data)

    def __repr__(self) -> str:
        return f"<Key {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self.material, other.material)

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[object, ...]:
        # A pickled key would travel through Ray's object store and its logs.
        raise TypeError("keys do not leave their process: set them in each node's environment")


class Keyring:
    """Keys, of which the first seals and all open.

    >>> Keyring([Key(bytes(32))]).ids
    ('8a325e06',)
    """

    __slots__ = ("_by_id", "keys")

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys: tuple[Key, ...] = tuple(dict.fromkeys(keys))
        if not self.keys:
            raise InvalidKey("a keyring needs at least one")
        self._by_id = {key.id: key for key in self.keys}
        if len(self._by_id) != len(self.keys):
            raise InvalidKey("two different keys have the same id; replace one of them")

    @property
    def primary(self) -> Key:
        """The key that seals."""
        return self.keys[0]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, the primary's first."""
        return tuple(self._by_id)

    def get(self, key_id: str) -> Key:
        """The key of that id. Raises `KeyMissing`."""
        try:
            return self._by_id[key_id]
        except KeyError:
            raise KeyMissing(key_id, list(self._by_id)) from None

    def mac(self, data: bytes) -> bytes:
        """32 bytes that only a holder of the primary key can make of `data`."""
        return self.primary.mac(data)

    def verify(self, data: bytes, mac: bytes) -> bool:
        """Whether `mac` was made of `data` by any of these keys."""
        return any(hmac.compare_digest(key.mac(data), mac) for key in self.keys)

    def as_variable(self) -> str:
        """The keys as the value of `TASKQUEUE_ENCRYPTION_KEYS`, for a child process only.

        Wherever this process got them from, its children find them; never log or store it.
        """
        return ",".join(key.material.hex() for key in self.keys)

    def __repr__(self) -> str:
        return f"<Keyring {', '.join(self.ids)}>"


def parse_key(text: str) -> Key:
    """A key from base64 or hexadecimal text of 32 bytes, or from exactly 32 characters.

    Raises `InvalidKey`, which never repeats the text.
    """
    if len(text) != KEY_SIZE:  # a key of 32 characters may begin or end with a space
        text = text.strip()
    try:
        material = _material(text)
    except (ValueError, binascii.Error):
        material = None
    if material is None or len(material) != KEY_SIZE:
        raise InvalidKey(f"{len(text)} characters are none of its forms")
    return Key(material)


def load_keyring(environ: Mapping[str, str], key_file: Path | None = None) -> Keyring | None:
    """The keyring of this process, or None when no key is set anywhere.

    `TASKQUEUE_ENCRYPTION_KEYS` (comma separated, the first seals) comes before the original
    tool's `ENCRYPTION_KEY`, and that before the key file. Raises `InvalidKey`.
    """
    listed, single = environ.get(_KEYS, ""), environ.get(_ORIGINAL_KEY, "")
    if listed.strip():
        return Keyring(parse_key(item) for item in listed.split(","))
    if single.strip():
        return Keyring([parse_key(single)])
    path = key_file or key_file_path(environ)
    return _read_key_file(path) if path.exists() else None


def key_file_path(environ: Mapping[str, str]) -> Path:
    """Where the key file is, or would be made."""
    if named := environ.get(_KEY_FILE, "").strip():
        return Path(named).expanduser()
    config = environ.get("XDG_CONFIG_HOME", "").strip()
    root = Path(config) if config else Path("~/.config").expanduser()
    return root / "taskqueue-ray" / "key"


def make_key_file(path: Path) -> Keyring:
    """Make a key and keep it in `path` for its owner only; the key that is there if one is.

    Durable and whole on return: of two processes that make it at once, both get the same key.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_SIZE)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)  # unlike rename, never replaces a key that jobs are sealed with
        except FileExistsError:
            pass
    finally:
        Path(aside).unlink(missing_ok=True)
    _sync_folder(path.parent)
    return _read_key_file(path)


def _read_key_file(path: Path) -> Keyring:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077:
            raise InvalidKey(f"{path} can be read by others (chmod 600 {path})")
        lines = file.read(64 * 1024).decode("utf-8", "replace").split()
    if not lines:
        raise InvalidKey(f"{path} is empty")
    return Keyring(parse_key(line) for line in lines)


def _material(text: str) -> bytes | None:
    if len(text) == KEY_SIZE:
        return text.encode("ascii")
    if len(text) == 2 * KEY_SIZE:
        return bytes.fromhex(text)
    if len(text) in (43, 44):
        standard = text.replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(standard + "=", validate=True)
    return None


def _keyed(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
