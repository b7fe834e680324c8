"""This controller's own secrets: kept in its store, encrypted with the key file, which is no part of it."""

from __future__ import annotations

import re

from msgspec.structs import replace

from controller.keyring import Keyring
from controller.secrets.references import CURRENT, PREVIOUS
from controller.state.entities import Secret, SecretVersion
from controller.state.kernel import Reader, Transaction

MAX_VALUE_BYTES = 65_536
"""As Secrets Manager has it."""

KEPT_VERSIONS = 10
"""Versions that can still be asked for by their id."""

_NAME = re.compile(r"[A-Za-z0-9_.+=@-]+(/[A-Za-z0-9_.+=@-]+)*")
_MAX_NAME_LENGTH = 512


class InvalidSecret(ValueError):
    """A name or a value that cannot be kept; the message says why and shows no value."""


class NoSuchVersion(LookupError):
    """The secret has no version of that stage or id."""


class LocalSecrets:
    """Reads and writes secrets within the transactions of others."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def put(self, transaction: Transaction, name: str, value: str, version_id: str) -> Secret:
        """Give a secret a new value, and make the secret if there is none of the name.

        Raises:
            InvalidSecret: the name or the value cannot be kept.
        """
        name = canonical_name(name)
        if not value or len(value.encode()) > MAX_VALUE_BYTES:
            raise InvalidSecret(f"the value of {name} must have 1 to {MAX_VALUE_BYTES} bytes")
        before = transaction.get(Secret, name)
        newest = SecretVersion(
            id=version_id,
            ciphertext=self._keyring.encrypt(value, _purpose(name, version_id)),
            created_at=transaction.now,
            stages=(CURRENT,),
        )
        older = () if before is None else _aged(before.versions)
        secret = Secret(
            name=name,
            versions=(newest, *older)[:KEPT_VERSIONS],
            created_at=transaction.now if before is None else before.created_at,
        )
        transaction.put(secret, f"version {version_id} set")
        return secret

    def find(self, read: Reader, name: str) -> Secret | None:
        """The secret of a name, with or without a leading `/`."""
        return read.get(Secret, name.removeprefix("/"))

    def value(self, secret: Secret, *, stage: str = "", version_id: str = "") -> str:
        """A secret's value: of a version id, of a stage, or the present one.

        Raises:
            NoSuchVersion: it has none of that id, that stage, or both together.
            WrongKey: the key file is not the one that it was encrypted with.
        """
        stage = stage or ("" if version_id else CURRENT)
        for version in secret.versions:
            if (not version_id or version.id == version_id) and (not stage or stage in version.stages):
                return self._keyring.decrypt(version.ciphertext, _purpose(secret.name, version.id))
        raise NoSuchVersion(secret.name)


def canonical_name(name: str) -> str:
    """A name as secrets are kept under: without the leading `/`.

    Raises:
        InvalidSecret: no secret can have this name.
    """
    bare = name.removeprefix("/")
    if not _NAME.fullmatch(bare) or len(bare) > _MAX_NAME_LENGTH:
        raise InvalidSecret(
            f"a secret cannot be named {name[:64]!r}: take letters, digits and any of _.+=@- between "
            f"slashes, {_MAX_NAME_LENGTH} at most"
        )
    return bare


def _aged(versions: tuple[SecretVersion, ...]) -> tuple[SecretVersion, ...]:
    """The versions so far, after a new one: the newest of them becomes the previous one."""
    newest, *others = versions
    return (replace(newest, stages=(PREVIOUS,)), *(replace(version, stages=()) for version in others))


def _purpose(name: str, version_id: str) -> str:
    return f"secret {name} version {version_id}"
