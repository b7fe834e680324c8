"""Access keys: the administrator's, made at the first start, and one agent key a cluster."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass, field

from msgspec.structs import replace

from controller.keyring import Keyring
from controller.state.entities import AccessKey, Role
from controller.state.indexes import AGENT_KEYS_BY_CLUSTER
from controller.state.kernel import Transaction

KEY_ID_PREFIX = "AKIA"
KEY_ID_CHARACTERS = string.ascii_uppercase + "234567"
KEY_ID_LENGTH = 20
SECRET_CHARACTERS = string.ascii_letters + string.digits + "+/"
SECRET_LENGTH = 40


@dataclass(frozen=True)
class KeyPair:
    """An access key id and its secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


def new_key_pair(source: random.Random) -> KeyPair:
    """A key pair in AWS's form. `source` must be the system's randomness outside of tests."""
    suffix = "".join(source.choices(KEY_ID_CHARACTERS, k=KEY_ID_LENGTH - len(KEY_ID_PREFIX)))
    return KeyPair(KEY_ID_PREFIX + suffix, "".join(source.choices(SECRET_CHARACTERS, k=SECRET_LENGTH)))


def ensure_root_key(
    transaction: Transaction, keyring: Keyring, source: random.Random, chosen: KeyPair | None
) -> KeyPair:
    """The administrator key that local clients use: the chosen one, else the one made before, else a new one.

    A chosen key replaces the one made before.

    Raises:
        WrongKey: the key made before does not open with this key file.
    """
    before = next((key for key in transaction.all(AccessKey).values() if key.root), None)
    if before is not None and chosen is None:
        return KeyPair(before.id, keyring.decrypt(before.secret_ciphertext, before.id))
    pair = chosen or new_key_pair(source)
    if before is not None and before.id != pair.access_key_id:
        transaction.delete(AccessKey, before.id, "another administrator key was chosen")
    record = _record(pair, keyring, transaction.now, "administrator", None)
    transaction.put(replace(record, root=True), "administrator key of the data directory")
    return pair


def ensure_agent_key(
    transaction: Transaction, keyring: Keyring, source: random.Random, cluster: str
) -> KeyPair:
    """The cluster's agent key, made at the first call.

    Raises:
        WrongKey: the key made before does not open with this key file.
    """
    for key in transaction.select(AGENT_KEYS_BY_CLUSTER, cluster).values():
        if key.enabled:
            return KeyPair(key.id, keyring.decrypt(key.secret_ciphertext, key.id))
    pair = new_key_pair(source)
    record = _record(pair, keyring, transaction.now, "agent", cluster)
    transaction.put(record, f"agent key of cluster {cluster}")
    return pair


def _record(pair: KeyPair, keyring: Keyring, now: float, role: Role, cluster: str | None) -> AccessKey:
    return AccessKey(
        id=pair.access_key_id,
        role=role,
        cluster=cluster,
        secret_ciphertext=keyring.encrypt(pair.secret_access_key, pair.access_key_id),
        created_at=now,
    )
