"""Access keys that are good for one container instance only: issued when its machine joins, renewed by its
agent, revoked by the administrator."""

from __future__ import annotations

import hmac
import random

from msgspec.structs import replace

from agent.protocol.joining import LONGEST_SECRET, SHORTEST_SECRET, FormerKey, IssuedCredentials
from controller.api.access_keys import new_key_pair
from controller.api.errors import AccessDeniedException, InvalidParameterException
from controller.keyring import Keyring, WrongKey
from controller.state.entities import AccessKey, ContainerInstance, instance_key
from controller.state.indexes import KEYS_OF_INSTANCE
from controller.state.kernel import Reader, Transaction
from controller.state.names import Names

LIFETIME_S = 30 * 86_400.0
"""Seconds that a key is good for. Agents renew theirs after a third of it."""


class InstanceKeys:
    """Makes and proves keys within the transactions of others."""

    def __init__(self, keyring: Keyring, names: Names, source: random.Random) -> None:
        self._keyring = keyring
        self._names = names
        self._source = source

    def issue(
        self, transaction: Transaction, *, cluster: str, instance: str, secret: str, exchange: str
    ) -> AccessKey:
        """A key with the secret that the agent has made.

        Raises:
            InvalidParameterException: the secret or the exchange's id is too short or too long.
        """
        if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET or not 16 <= len(exchange) <= 64:
            raise InvalidParameterException(
                f"A secret access key has {SHORTEST_SECRET} to {LONGEST_SECRET} characters, "
                "the id of an exchange 16 to 64."
            )
        id_ = new_key_pair(self._source).access_key_id
        key = AccessKey(
            id=id_,
            role="agent",
            cluster=cluster,
            secret_ciphertext=self._keyring.encrypt(secret, id_),
            created_at=transaction.now,
            instance=instance,
            expires_at=transaction.now + LIFETIME_S,
            exchange=exchange,
        )
        transaction.put(key, f"credentials of container instance {instance}")
        return key

    def renew(self, transaction: Transaction, key_id: str, secret: str, exchange: str) -> AccessKey:
        """A key that follows another one, which stays good until it ends or its successor is renewed, so that
        an answer that is lost costs nothing.

        Raises:
            AccessDeniedException: the key is bound to no container instance, or the renewal was made already
                with another secret.
            InvalidParameterException: as `issue` does.
        """
        present = transaction.get(AccessKey, key_id)
        if present is None or not present.instance or present.cluster is None:
            raise AccessDeniedException(
                "Only credentials of a container instance are renewed; this key does not end."
            )
        others = self._of(transaction, present.cluster, present.instance)
        for key in others:
            if key.exchange == exchange:
                if self.proves(key, secret):
                    return key
                raise AccessDeniedException("This renewal was made already, with another secret.")
        for key in others:
            if key.id != key_id:
                transaction.delete(AccessKey, key.id, "renewed")
        return self.issue(
            transaction, cluster=present.cluster, instance=present.instance, secret=secret, exchange=exchange
        )

    def proves(self, key: AccessKey, secret: str) -> bool:
        """Whether this is the key's secret. That of a revoked key proves nothing."""
        try:
            known = self._keyring.decrypt(key.secret_ciphertext, key.id)
        except WrongKey:
            return False
        return key.enabled and hmac.compare_digest(known.encode(), secret.encode())

    def may_return_as(
        self, transaction: Transaction, cluster: str, instance: str, former: FormerKey | None, machine_id: str
    ) -> bool:
        """Whether a machine that joins may be the container instance that it says it was. It shows a key of
        it, ended or not; one that never had a key of its own is known by its machine."""
        keys = {key.id: key for key in self._of(transaction, cluster, instance)}
        if keys:
            shown = keys.get(former.access_key_id) if former else None
            return shown is not None and former is not None and self.proves(shown, former.secret_access_key)
        record = transaction.get(ContainerInstance, instance_key(cluster, instance))
        # An unknown one was lost with the store's newest records, in a restore.
        return record is None or (bool(machine_id) and record.machine_id == machine_id)

    def replace_all(self, transaction: Transaction, cluster: str, instance: str) -> None:
        """Forget the keys of an instance that gets a new one."""
        for key in self._of(transaction, cluster, instance):
            transaction.delete(AccessKey, key.id, "the machine joined again")

    def told(self, key: AccessKey) -> IssuedCredentials:
        """What the agent is told about its key."""
        return IssuedCredentials(
            access_key_id=key.id,
            container_instance_arn=self._names.instance_id(key.cluster or "", key.instance),
            issued_at=key.created_at,
            expires_at=key.expires_at or key.created_at + LIFETIME_S,
        )

    def _of(self, transaction: Transaction, cluster: str, instance: str) -> list[AccessKey]:
        return list(transaction.select(KEYS_OF_INSTANCE, instance_key(cluster, instance)).values())


def revoke(transaction: Transaction, cluster: str, instance: str) -> int:
    """Disable every key of a container instance, and return how many there were."""
    keys = list(transaction.select(KEYS_OF_INSTANCE, instance_key(cluster, instance)).values())
    for key in keys:
        transaction.put(replace(key, enabled=False), "revoked")
    return len(keys)


def can_act(read: Reader, cluster: str, instance: str) -> bool:
    """Whether a container instance has a key of its own that is not revoked."""
    return any(key.enabled for key in read.select(KEYS_OF_INSTANCE, instance_key(cluster, instance)).values())
