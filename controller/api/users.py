"""Users: who holds access keys with a role. Each has one, and the former one for a while after a rotation."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

from msgspec.structs import replace

from controller.api.access_keys import KeyPair, new_key_pair
from controller.keyring import Keyring
from controller.state.entities import AccessKey, Role
from controller.state.kernel import Reader, Transaction

RESERVED_NAMES = frozenset({"administrator", "agent", "root"})
"""Names that the controller's own keys have in ARNs and logs."""

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")


class InvalidUser(ValueError):
    """There cannot be such a user; the message says why."""


class NoSuchUser(LookupError):
    """There is no user of the name."""


class Users:
    """Makes and changes users within the transactions of others."""

    def __init__(self, keyring: Keyring, source: random.Random) -> None:
        """`source` must be the system's randomness outside of tests."""
        self._keyring = keyring
        self._source = source

    def create(self, transaction: Transaction, name: str, role: Role, cluster: str | None) -> KeyPair:
        """A new user, and the only time that the secret of the key is told.

        Raises:
            InvalidUser: the name is taken or none, or role and cluster do not go together.
        """
        if not _NAME.fullmatch(name) or name in RESERVED_NAMES:
            raise InvalidUser(
                f"a user cannot be named {name[:64]!r}: take up to 64 letters, digits and any of _+=,.@-, "
                f"but not {', '.join(sorted(RESERVED_NAMES))}"
            )
        if keys_of(transaction, name):
            raise InvalidUser(f"there is a user {name} already")
        if role == "administrator" and cluster is not None:
            raise InvalidUser("an administrator is one of all clusters")
        if role == "agent" and cluster is None:
            raise InvalidUser("an agent's key is good for one cluster, which must be named")
        return self._new_key(transaction, name, role, cluster)

    def rotate(self, transaction: Transaction, name: str, keep_former_s: float) -> KeyPair:
        """A new key for a user, who is enabled with it. The former key goes on for so many seconds, 0 for not
        at all; what came before it ends.

        Raises:
            NoSuchUser: there is none of the name.
        """
        present, *older = _found(transaction, name)
        for key in older:
            transaction.delete(AccessKey, key.id, "its user's key was rotated again")
        if keep_former_s > 0 and present.enabled:
            until = transaction.now + keep_former_s
            transaction.put(replace(present, expires_at=until), "its user's key was rotated")
        else:
            transaction.delete(AccessKey, present.id, "its user's key was rotated")
        return self._new_key(transaction, name, present.role, present.cluster)

    def disable(self, transaction: Transaction, name: str) -> None:
        """Let none of a user's keys be good any more, until it is rotated.

        Raises:
            NoSuchUser: there is none of the name.
        """
        present, *older = _found(transaction, name)
        for key in older:
            transaction.delete(AccessKey, key.id, "its user was disabled")
        if present.enabled:
            transaction.put(replace(present, enabled=False), "its user was disabled")

    def _new_key(self, transaction: Transaction, name: str, role: Role, cluster: str | None) -> KeyPair:
        pair = new_key_pair(self._source)
        key = AccessKey(
            id=pair.access_key_id,
            role=role,
            cluster=cluster,
            user=name,
            secret_ciphertext=self._keyring.encrypt(pair.secret_access_key, pair.access_key_id),
            created_at=transaction.now,
        )
        transaction.put(key, f"{role} key of user {name}")
        return pair


def keys_of(read: Reader, name: str) -> list[AccessKey]:
    """A user's keys, the present one first; none if there is no such user."""
    return _present_first(key for key in read.all(AccessKey).values() if key.user == name)


def all_users(read: Reader) -> dict[str, list[AccessKey]]:
    """The keys of every user, the present one first, by name in order."""
    by_name: dict[str, list[AccessKey]] = {}
    for key in read.all(AccessKey).values():
        if key.user:
            by_name.setdefault(key.user, []).append(key)
    return {name: _present_first(by_name[name]) for name in sorted(by_name)}


def _found(read: Reader, name: str) -> list[AccessKey]:
    keys = keys_of(read, name)
    if not keys:
        raise NoSuchUser(f"there is no user {name}")
    return keys


def _present_first(keys: Iterable[AccessKey]) -> list[AccessKey]:
    """Only former keys have an end."""
    return sorted(keys, key=lambda key: (key.expires_at is not None, -key.created_at))
