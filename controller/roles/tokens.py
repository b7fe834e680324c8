"""Session tokens: credentials of a task's role that need no record.

A token is what the credentials stand for, sealed with the data directory's key, so that every controller with
that key can check a signature made with them, after any restart, and nobody else can make one.
"""

from __future__ import annotations

import random
import string

import msgspec

from controller.keyring import Keyring, WrongKey

KEY_ID_PREFIX = "ASIA"
"""Of temporary access keys, as AWS's begin."""

_KEY_ID_CHARACTERS = string.ascii_uppercase + "234567"
_KEY_ID_LENGTH = 20
_SECRET_CHARACTERS = string.ascii_letters + string.digits + "+/"
_SECRET_LENGTH = 40


class TaskSession(msgspec.Struct, frozen=True):
    """What credentials of a task's role stand for."""

    role: str
    """Name of the role."""
    cluster: str
    task: str
    """Id of the task."""
    expires_at: float
    """Epoch seconds."""
    secret_access_key: str

    def __repr__(self) -> str:
        return f"TaskSession(role={self.role!r}, cluster={self.cluster!r}, task={self.task!r})"


class SessionCredentials(msgspec.Struct, frozen=True):
    """An access key with its session token. Its representation shows the key id only."""

    access_key_id: str
    secret_access_key: str
    session_token: str

    def __repr__(self) -> str:
        return f"SessionCredentials(access_key_id={self.access_key_id!r})"


class InvalidToken(Exception):
    """A session token that this controller has not made, or not for this access key."""


def issue(
    keyring: Keyring, source: random.Random, *, role: str, cluster: str, task: str, expires_at: float
) -> SessionCredentials:
    """New credentials for a task. `source` must be the system's randomness outside of tests."""
    key_id = KEY_ID_PREFIX + "".join(
        source.choices(_KEY_ID_CHARACTERS, k=_KEY_ID_LENGTH - len(KEY_ID_PREFIX))
    )
    secret = "".join(source.choices(_SECRET_CHARACTERS, k=_SECRET_LENGTH))
    session = TaskSession(role, cluster, task, expires_at, secret)
    token = keyring.encrypt(msgspec.json.encode(session).decode(), _purpose(key_id))
    return SessionCredentials(key_id, secret, token)


def open_token(keyring: Keyring, access_key_id: str, token: str) -> TaskSession:
    """What the token of an access key stands for; whether it has expired is not looked at.

    Raises:
        InvalidToken: it is not one of this controller's, or of another access key.
    """
    try:
        return msgspec.json.decode(keyring.decrypt(token, _purpose(access_key_id)), type=TaskSession)
    except (WrongKey, msgspec.DecodeError) as error:
        raise InvalidToken(f"the session token of {access_key_id} is not this controller's") from error


def _purpose(access_key_id: str) -> str:
    return f"session token of {access_key_id}"
