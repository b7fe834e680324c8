"""Session tokens: only their controller makes them, only for their key, and they show no secret."""

from __future__ import annotations

import random

import pytest

from controller.keyring import Keyring
from controller.roles import tokens

KEYRING = Keyring(b"k" * 32)


def issued(keyring: Keyring = KEYRING) -> tokens.SessionCredentials:
    return tokens.issue(
        keyring, random.Random(1), role="worker", cluster="default", task="f" * 32, expires_at=1000.0
    )


def test_a_token_tells_what_it_was_issued_for() -> None:
    credentials = issued()
    session = tokens.open_token(KEYRING, credentials.access_key_id, credentials.session_token)
    assert (session.role, session.cluster, session.task) == ("worker", "default", "f" * 32)
    assert session.expires_at == 1000.0
    assert session.secret_access_key == credentials.secret_access_key


def test_access_keys_look_like_temporary_ones_of_aws() -> None:
    credentials = issued()
    assert credentials.access_key_id.startswith("ASIA")
    assert (len(credentials.access_key_id), len(credentials.secret_access_key)) == (20, 40)


@pytest.mark.parametrize("spoil", ["another key file", "another access key", "a changed token", "no token"])
def test_a_token_that_was_not_made_for_this_key_is_refused(spoil: str) -> None:
    credentials = issued(Keyring(b"x" * 32) if spoil == "another key file" else KEYRING)
    key_id, token = credentials.access_key_id, credentials.session_token
    if spoil == "another access key":
        key_id = key_id[:-1] + ("A" if key_id[-1] != "A" else "B")
    if spoil == "a changed token":
        token = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    if spoil == "no token":
        token = "not even base64"
    with pytest.raises(tokens.InvalidToken):
        tokens.open_token(KEYRING, key_id, token)


def test_neither_credentials_nor_sessions_show_their_secret() -> None:
    credentials = issued()
    session = tokens.open_token(KEYRING, credentials.access_key_id, credentials.session_token)
    for shown in (repr(credentials), str(credentials), repr(session)):
        assert credentials.secret_access_key not in shown
        assert credentials.session_token not in shown
