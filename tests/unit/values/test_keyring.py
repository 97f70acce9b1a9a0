import base64
import pickle
import threading
from pathlib import Path

import pytest

from taskqueue_ray.core.errors import InvalidKey, KeyMissing
from taskqueue_ray.engine.keyring import (
    Key,
    Keyring,
    key_file_path,
    load_keyring,
    make_key_file,
    parse_key,
)

RAW = bytes(range(32, 64))
OTHER = bytes(range(64, 96))


@pytest.mark.parametrize(
    "text",
    [
        RAW.decode(),
        RAW.hex(),
        RAW.hex().upper(),
        base64.b64encode(RAW).decode(),
        base64.b64encode(RAW).decode().rstrip("="),
        f"  {RAW.hex()}\n",
    ],
)
def test_every_form_gives_the_same_key(text: str) -> None:
    assert parse_key(text) == Key(RAW)


def test_the_url_safe_alphabet_is_read() -> None:
    material = b"\xfb\xff" * 16
    assert parse_key(base64.urlsafe_b64encode(material).decode()).material == material


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 31, "x" * 33, "z" * 64, "é" * 32, "!" * 43, "ab" * 31]
)
def test_malformed_keys_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidKey) as refused:
        parse_key(text)
    assert not text or text not in str(refused.value)


def test_nothing_shows_or_carries_the_key() -> None:
    ring = Keyring([Key(RAW)])
    assert RAW.decode() not in repr(ring) + repr(ring.primary)
    assert ring.primary.id not in RAW.hex()
    with pytest.raises(TypeError, match="do not leave"):
        pickle.dumps(ring)


def test_the_first_key_seals_and_all_are_found() -> None:
    ring = Keyring([Key(RAW), Key(OTHER), Key(RAW)])
    assert ring.primary == Key(RAW)
    assert ring.ids == (Key(RAW).id, Key(OTHER).id)
    assert ring.get(Key(OTHER).id) == Key(OTHER)
    with pytest.raises(KeyMissing, match="TASKQUEUE_ENCRYPTION_KEYS"):
        ring.get("00000000")


def test_a_child_process_gets_the_same_keys() -> None:
    ring = Keyring([Key(b"a,b" + RAW[3:]), Key(OTHER)])
    again = load_keyring({"TASKQUEUE_ENCRYPTION_KEYS": ring.as_variable()})
    assert again is not None
    assert again.ids == ring.ids


def test_a_mac_holds_after_a_rotation() -> None:
    mac = Keyring([Key(RAW)]).mac(b"owner")
    rotated = Keyring([Key(OTHER), Key(RAW)])
    assert rotated.verify(b"owner", mac)
    assert not rotated.verify(b"other", mac)
    assert not Keyring([Key(OTHER)]).verify(b"owner", mac)


def test_the_keyring_s_variable_comes_before_the_original_one(tmp_path: Path) -> None:
    environ = {
        "TASKQUEUE_ENCRYPTION_KEYS": f"{OTHER.hex()}, {RAW.hex()}",
        "ENCRYPTION_KEY": "x" * 32,
    }
    ring = load_keyring(environ, tmp_path / "none")
    assert ring is not None
    assert ring.ids == (Key(OTHER).id, Key(RAW).id)
    single = load_keyring({"ENCRYPTION_KEY": "x" * 32}, tmp_path / "none")
    assert single is not None
    assert single.primary.material == b"x" * 32


def test_without_any_key_there_is_no_keyring(tmp_path: Path) -> None:
    assert load_keyring({}, tmp_path / "none") is None
    with pytest.raises(InvalidKey):
        load_keyring({"TASKQUEUE_ENCRYPTION_KEYS": f"{RAW.hex()},,"}, tmp_path / "none")


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    made = make_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert make_key_file(path).ids == made.ids
    loaded = load_keyring({"TASKQUEUE_KEY_FILE": str(path)})
    assert loaded is not None
    assert loaded.ids == made.ids
    assert list(path.parent.iterdir()) == [path]


def test_processes_that_make_the_file_at_once_get_the_same_key(tmp_path: Path) -> None:
    found: list[tuple[str, ...]] = []
    threads = [
        threading.Thread(target=lambda: found.append(make_key_file(tmp_path / "key").ids))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_key_file(path)
    path.chmod(0o644)
    with pytest.raises(InvalidKey, match="chmod 600"):
        load_keyring({}, path)


def test_where_the_file_is() -> None:
    assert key_file_path({"TASKQUEUE_KEY_FILE": "/k"}) == Path("/k")
    assert key_file_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/taskqueue-ray/key")
