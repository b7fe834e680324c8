"""Secrets at rest."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest

from controller.api.access_keys import KeyPair, new_key_pair
from controller.files import write_private
from controller.keyring import (
    ClientProfile,
    KeyFileDamaged,
    Keyring,
    WrongKey,
    load_client_profile,
    write_client_profile,
)

PROFILE = ClientProfile("http://127.0.0.1:8480", "us-east-1", "000000000000", "AKIAX", "the secret")


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    sealed = Keyring.open(tmp_path, create=True).encrypt("s", "a")
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert len((tmp_path / "secret.key").read_bytes()) == 32
    assert Keyring.open(tmp_path, create=True).decrypt(sealed, "a") == "s"


def test_a_missing_key_file_is_not_made_unless_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Keyring.open(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_key_file_is_told_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(KeyFileDamaged):
        Keyring.open(tmp_path, create=True)
    assert (tmp_path / "secret.key").read_bytes() == b"short"


def test_a_secret_opens_only_with_its_key_and_for_its_purpose() -> None:
    keyring = Keyring(b"1" * 32)
    sealed = keyring.encrypt("the secret", "AKIA1")
    assert "secret" not in sealed
    assert sealed != keyring.encrypt("the secret", "AKIA1")
    assert keyring.decrypt(sealed, "AKIA1") == "the secret"
    for other, purpose, text in (
        (Keyring(b"2" * 32), "AKIA1", sealed),
        (keyring, "AKIA2", sealed),
        (keyring, "AKIA1", sealed[:-8] + "AAAAAAA="),
        (keyring, "AKIA1", "AAAA"),
        (keyring, "AKIA1", "not base64!"),
    ):
        with pytest.raises(WrongKey):
            other.decrypt(text, purpose)


def test_a_client_profile_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_client_profile(tmp_path, Keyring.open(tmp_path, create=True), PROFILE)
    assert load_client_profile(tmp_path) == PROFILE
    assert stat.S_IMODE((tmp_path / "client.json").stat().st_mode) == 0o600
    assert "the secret" not in (tmp_path / "client.json").read_text()


def test_a_profile_of_another_key_file_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_client_profile(tmp_path)
    write_client_profile(tmp_path, Keyring.open(tmp_path, create=True), PROFILE)
    write_private(tmp_path / "secret.key", b"2" * 32)
    with pytest.raises(ValueError, match="does not open"):
        load_client_profile(tmp_path)
    (tmp_path / "client.json").write_text("{}")
    with pytest.raises(ValueError, match="damaged"):
        load_client_profile(tmp_path)


def test_nothing_that_holds_a_secret_shows_it() -> None:
    pair = KeyPair("AKIAX", "the secret")
    for shown in (repr(PROFILE), repr(pair), repr(Keyring(b"the secret" * 4))):
        assert "the secret" not in shown


def test_a_private_file_is_replaced_whole_whatever_a_crash_left(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"half a fi")
    write_private(tmp_path / "f", b"one")
    write_private(tmp_path / "f", b"two")
    assert (tmp_path / "f").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_new_key_pairs_look_like_those_of_aws() -> None:
    pair = new_key_pair(random.Random(1))
    assert len(pair.access_key_id) == 20
    assert pair.access_key_id.startswith("AKIA")
    assert pair.access_key_id.isupper()
    assert len(pair.secret_access_key) == 40
