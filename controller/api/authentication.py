"""Who calls, from the signature; and whether they may, from their role."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import msgspec
import structlog

from agent.protocol import signing
from agent.protocol.clock import Clock
from controller.api.context import Caller
from controller.api.errors import (
    AccessDeniedException,
    ExpiredTokenException,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    UnrecognizedClientException,
)
from controller.keyring import Keyring, WrongKey
from controller.roles import tokens
from controller.state.entities import AccessKey, Task, task_key
from controller.state.kernel import State
from controller.state.lifecycle import is_ended

log = structlog.get_logger(__name__)

AGENT_OPERATIONS = frozenset(
    {
        "CreateCluster",
        "DiscoverPollEndpoint",
        "GetTaskProtection",
        "ListTagsForResource",
        "Poll",
        "RegisterContainerInstance",
        "StartTelemetrySession",
        "SubmitAttachmentStateChanges",
        "SubmitContainerStateChange",
        "SubmitTaskStateChange",
        "UpdateContainerInstancesState",
        "UpdateTaskProtection",
    }
)
"""What an agent key may do, in its own cluster. Poll and StartTelemetrySession are the websockets."""


HOW_TO_JOIN = (
    "On the controller run 'homeport token create', and on this machine the line that it prints or, where no "
    "service runs the agent, 'homeport agent --token TOKEN'"
)


class SignatureOutOfTime(InvalidSignatureException):
    """A genuine signature by a clock that is off: still a sign of life."""

    def __init__(self, caller: Caller, signed_at: float, now: float, tolerance_s: float) -> None:
        super().__init__(
            f"Signature expired: {_amz_date(signed_at)} is now earlier than {_amz_date(now - tolerance_s)} "
            f"({_amz_date(now)} - {tolerance_s / 60:g} min.)"
            if signed_at < now
            else f"Signature not yet current: {_amz_date(signed_at)} is still later than "
            f"{_amz_date(now + tolerance_s)} ({_amz_date(now)} + {tolerance_s / 60:g} min.)",
            code="InvalidSignatureException",
        )
        self.caller = caller
        self.skew_s = signed_at - now
        """Seconds that the caller's clock is ahead of this one."""


class Authenticated(msgspec.Struct, frozen=True):
    """A verified request: its caller, and the service that it was signed for."""

    caller: Caller
    service: str


class _Signer(msgspec.Struct, frozen=True):
    """Who a request says has signed it, and the secret that proves it."""

    caller: Caller
    secret_access_key: str
    expires_at: float = math.inf
    """When its credentials end, in epoch seconds."""


class Authenticator:
    """Verifies SigV4 signatures against the access keys of the state and the sessions of tasks."""

    def __init__(self, state: State, keyring: Keyring, clock: Clock, tolerance_s: float) -> None:
        self._state = state
        self._keyring = keyring
        self._clock = clock
        self._tolerance_s = tolerance_s
        # Secrets by ciphertext: a key that changes has another one.
        self._secrets: dict[str, str] = {}

    def authenticate(
        self, headers: Mapping[str, str], method: str, path: str, query: str, body: bytes
    ) -> Caller:
        """The caller of a request. `path` and `query` are as they came, still percent-encoded.

        Raises:
            MissingAuthenticationTokenException: it is not signed.
            IncompleteSignatureException: its signature cannot be read.
            UnrecognizedClientException: its access key is unknown or disabled, or its session is no task's.
            ExpiredTokenException: the session of a task's role has ended, by time or with the task, or the
                key of a container instance has.
            SignatureOutOfTime: the signature is genuine, but of another time.
            InvalidSignatureException: the signature does not match.
        """
        return self.verify(headers, method, path, query, body).caller

    def verify(
        self, headers: Mapping[str, str], method: str, path: str, query: str, body: bytes
    ) -> Authenticated:
        """The caller, and the service that the signature is for. Raises as `authenticate` does."""
        try:
            claim = signing.parse_authorization(headers)
        except signing.MissingSignature:
            raise MissingAuthenticationTokenException from None
        except signing.IncompleteSignature as error:
            raise IncompleteSignatureException(str(error)) from None
        signer = self._signer(claim)
        now = self._clock.now()
        try:
            signing.verify(
                claim,
                method=method,
                path=path,
                query=query,
                headers=headers,
                body=body,
                secret_access_key=signer.secret_access_key,
                now=now,
                tolerance_s=self._tolerance_s,
            )
        except signing.SignatureMismatch:
            raise InvalidSignatureException(
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method."
            ) from None
        except signing.SignatureExpired as error:
            raise SignatureOutOfTime(signer.caller, error.signed_at, now, self._tolerance_s) from None
        if now >= signer.expires_at and signer.caller.instance:
            raise ExpiredTokenException(
                f"The credentials of this container instance expired at {_amz_date(signer.expires_at)}. "
                f"{HOW_TO_JOIN}."
            )
        if now >= signer.expires_at or self._has_ended(signer.caller):
            raise ExpiredTokenException
        return Authenticated(signer.caller, claim.service)

    def _signer(self, claim: signing.SignatureClaim) -> _Signer:
        if claim.session_token and claim.access_key_id.startswith(tokens.KEY_ID_PREFIX):
            return self._session(claim.access_key_id, claim.session_token)
        key = self._state.read().get(AccessKey, claim.access_key_id)
        if key is not None and key.instance and not key.enabled:
            raise UnrecognizedClientException(
                f"The credentials of this container instance were revoked. {HOW_TO_JOIN}."
            )
        if key is None or not key.enabled:
            raise UnrecognizedClientException
        return _Signer(
            self._caller(key), self._secret(key), math.inf if key.expires_at is None else key.expires_at
        )

    def _session(self, access_key_id: str, token: str) -> _Signer:
        try:
            session = tokens.open_token(self._keyring, access_key_id, token)
        except tokens.InvalidToken:
            raise UnrecognizedClientException from None
        arn = f"arn:aws:sts::{self._state.names.account}:assumed-role/{session.role}/{session.task}"
        caller = Caller(
            arn, access_key_id, "task", session.cluster, task=session.task, task_role=session.role
        )
        return _Signer(caller, session.secret_access_key, session.expires_at)

    def _has_ended(self, caller: Caller) -> bool:
        """Whether it is a task that is no more: its credentials end with it."""
        if caller.role != "task":
            return False
        task = self._state.read().get(Task, task_key(caller.cluster or "", caller.task))
        return task is None or is_ended(task)

    def _caller(self, key: AccessKey) -> Caller:
        user = key.user or ("administrator" if key.role == "administrator" else f"agent/{key.cluster}")
        if key.instance:
            user += f"/{key.instance}"
        arn = f"arn:aws:iam::{self._state.names.account}:user/{user}"
        return Caller(arn, key.id, key.role, key.cluster, instance=key.instance)

    def _secret(self, key: AccessKey) -> str:
        secret = self._secrets.get(key.secret_ciphertext)
        if secret is None:
            try:
                secret = self._keyring.decrypt(key.secret_ciphertext, key.id)
            except WrongKey:
                log.error("access_key_unreadable", access_key_id=key.id)  # noqa: TRY400  # no trace helps
                raise UnrecognizedClientException from None
            self._secrets[key.secret_ciphertext] = secret
        return secret


def authorise(caller: Caller, operation: str, cluster: str | None) -> None:
    """Check that an administrator or an agent may do an operation of ECS in a cluster (its name; None where
    it has none). What tasks may do is `authorise_task`'s to say.

    Raises:
        AccessDeniedException: they may not.
    """
    if caller.role == "administrator":
        return
    if caller.role != "agent" or operation not in AGENT_OPERATIONS or cluster != caller.cluster:
        raise denied(caller, f"ecs:{operation}")


def authorise_connection(caller: Caller, operation: str, cluster: str, instance: str) -> None:
    """Check that an agent may connect as a container instance.

    Raises:
        AccessDeniedException: its key is another cluster's, or bound to another container instance.
    """
    authorise(caller, operation, cluster)
    if caller.instance and caller.instance != instance:
        raise AccessDeniedException(
            f"User: {caller.arn} is not authorized to perform: ecs:{operation} on resource: {instance}, "
            f"because its credentials are good for container instance {caller.instance} alone. {HOW_TO_JOIN}."
        )


def denied(caller: Caller, action: str, resource: str = "*") -> AccessDeniedException:
    """The error for a caller who may not do an action (`service:Operation`)."""
    return AccessDeniedException(
        f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )


def _amz_date(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
