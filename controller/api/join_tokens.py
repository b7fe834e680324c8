"""Join tokens: made for so many machines and so long, exchanged once by each, revoked."""

from __future__ import annotations

import hmac
import random
import time

from msgspec.structs import replace

from agent.protocol.joining import IssuedCredentials, JoinRequest, secret_hash
from controller.api.errors import ApiError, InvalidParameterException
from controller.api.instance_keys import InstanceKeys
from controller.state.entities import AccessKey, JoinExchange, JoinToken
from controller.state.kernel import Transaction
from controller.state.names import Names

DEFAULT_LIFETIME_S = 3600.0
SHORTEST_LIFETIME_S = 60.0
LONGEST_LIFETIME_S = 365 * 86_400.0
MOST_USES = 1000
KEPT_AFTER_END_S = 30 * 86_400.0
"""Seconds that an ended token is remembered for, so that whoever uses it is told what became of it."""

_ID_BITS = 64
_SECRET_BITS = 256
_NEW_ONE = "make a new one on the controller with 'homeport token create'"


class JoinRefused(ApiError):
    """The exchange of a token is refused for good; the message says what to do."""

    status = 403


class JoinTokens:
    """Makes and exchanges tokens within the transactions of others."""

    def __init__(self, names: Names, keys: InstanceKeys, source: random.Random) -> None:
        """`source` must be the system's randomness outside of tests."""
        self._names = names
        self._keys = keys
        self._source = source

    def create(
        self, transaction: Transaction, cluster: str, lifetime_s: float, uses: int
    ) -> tuple[JoinToken, str]:
        """A token and its secret, which is not kept.

        Raises:
            InvalidParameterException: it would hold too long, too briefly, or for too many.
        """
        if not SHORTEST_LIFETIME_S <= lifetime_s <= LONGEST_LIFETIME_S:
            raise InvalidParameterException("A join token holds for a minute to 365 days.")
        if not 1 <= uses <= MOST_USES:
            raise InvalidParameterException(f"A join token is good for 1 to {MOST_USES} machines.")
        self._forget_old(transaction)
        secret = f"{self._source.getrandbits(_SECRET_BITS):064x}"
        token = JoinToken(
            id=f"{self._source.getrandbits(_ID_BITS):016x}",
            cluster=cluster,
            secret_hash=secret_hash(secret),
            uses=uses,
            created_at=transaction.now,
            expires_at=transaction.now + lifetime_s,
        )
        transaction.put(token, f"join token for {uses} machines of cluster {cluster}")
        return token, secret

    def exchange(
        self, transaction: Transaction, request: JoinRequest, new_instance: str
    ) -> IssuedCredentials:
        """Credentials for the machine that shows a token. `new_instance` is the id that it gets unless it is
        a container instance already and proves it.

        Raises:
            JoinRefused: the token is not good, or the exchange was made already.
            InvalidParameterException: the request cannot be used.
        """
        token = self._shown(transaction, request)
        for made in token.exchanges:
            if made.id == request.exchange_id:
                return self._once_more(transaction, made, request)
        check_usable(token, transaction.now)
        instance = self._former_instance(transaction, token.cluster, request)
        if instance:
            self._keys.replace_all(transaction, token.cluster, instance)
        key = self._keys.issue(
            transaction,
            cluster=token.cluster,
            instance=instance or new_instance,
            secret=request.secret_access_key,
            exchange=request.exchange_id,
        )
        made = JoinExchange(
            id=request.exchange_id, access_key_id=key.id, instance=key.instance, at=transaction.now
        )
        transaction.put(
            replace(token, exchanges=(*token.exchanges, made)),
            f"container instance {key.instance} joined with it",
        )
        return self._keys.told(key)

    def _shown(self, transaction: Transaction, request: JoinRequest) -> JoinToken:
        token = transaction.get(JoinToken, request.token_id)
        if token is None or not hmac.compare_digest(token.secret_hash, secret_hash(request.token_secret)):
            raise JoinRefused(
                f"This controller does not know the join token: {_NEW_ONE}.", code="UnknownJoinToken"
            )
        if token.revoked_at is not None:
            raise JoinRefused(f"The join token was revoked: {_NEW_ONE}.", code="RevokedJoinToken")
        return token

    def _once_more(
        self, transaction: Transaction, made: JoinExchange, request: JoinRequest
    ) -> IssuedCredentials:
        """The same answer again, as long as it may have been lost: nobody has used what was issued."""
        key = transaction.get(AccessKey, made.access_key_id)
        if key is None or key.in_use or not self._keys.proves(key, request.secret_access_key):
            raise JoinRefused(
                f"This exchange of the join token was made already, at {_at(made.at)}: each machine makes "
                f"its own. If it was not this machine, run 'homeport token revoke {made.instance}'; then "
                f"{_NEW_ONE}.",
                code="RepeatedExchange",
            )
        return self._keys.told(key)

    def _former_instance(self, transaction: Transaction, cluster: str, request: JoinRequest) -> str:
        """Id of the container instance that the machine proves to be; empty for a new one."""
        claimed = request.container_instance_arn.rpartition("/")[2]
        if not claimed or request.container_instance_arn != self._names.instance_id(cluster, claimed):
            return ""
        proven = self._keys.may_return_as(
            transaction, cluster, claimed, request.former_key, request.machine_id
        )
        return claimed if proven else ""

    def _forget_old(self, transaction: Transaction) -> None:
        before = transaction.now - KEPT_AFTER_END_S
        for token in list(transaction.all(JoinToken).values()):
            if token.expires_at < before:
                transaction.delete(JoinToken, token.id, "ended long ago")


def check_usable(token: JoinToken, now: float) -> None:
    """Check that one more machine may join with a token.

    Raises:
        JoinRefused: it has ended, or is used up.
    """
    if now >= token.expires_at:
        raise JoinRefused(
            f"The join token expired at {_at(token.expires_at)}: {_NEW_ONE}.", code="ExpiredJoinToken"
        )
    if len(token.exchanges) >= token.uses:
        raise JoinRefused(
            f"The join token is used up: {len(token.exchanges)} of {token.uses} machines joined with it. For "
            f"this one {_NEW_ONE}.",
            code="UsedJoinToken",
        )


def state_of(token: JoinToken, now: float) -> str:
    """What people are told about a token, in a word."""
    if token.revoked_at is not None:
        return "revoked"
    if now >= token.expires_at:
        return "expired"
    return "used up" if len(token.exchanges) >= token.uses else "good"


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
