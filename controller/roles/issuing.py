"""Issuing credentials for the roles of a task: this controller's own, or those of an AWS role.

Own credentials are made on the spot and hold for this controller's API. For a role that its operator has tied
to one of AWS, AWS is asked; that takes time and may fail.
"""

from __future__ import annotations

import random
import time
import uuid
from typing import Literal, Protocol

import msgspec

from agent.protocol import acs
from agent.protocol.arn import last_segment
from agent.protocol.clock import Clock
from controller.keyring import Keyring
from controller.roles import tokens
from controller.state.entities import Document, Task, TaskRole
from controller.state.kernel import State

RoleType = Literal["TaskApplication", "TaskExecution"]
"""Whose a role is: that of the task's own code, or that with which the agent prepares the task."""

ROLE_MEMBERS: dict[RoleType, str] = {"TaskApplication": "taskRoleArn", "TaskExecution": "executionRoleArn"}


class CannotAssumeRole(Exception):
    """AWS gives no credentials of a role. `final`: asking again would change nothing."""

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.final = final


class AssumedCredentials(msgspec.Struct, frozen=True):
    """Credentials as AWS gives them. Their representation shows the key id only."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: float
    """Epoch seconds."""

    def __repr__(self) -> str:
        return f"AssumedCredentials(access_key_id={self.access_key_id!r})"


class AssumeRole(Protocol):
    """Where credentials of AWS's roles come from."""

    async def assume(self, role_arn: str, session: str) -> AssumedCredentials:
        """Credentials of a role under a name for the session. Raises `CannotAssumeRole`."""
        ...


class IssuedCredentials(msgspec.Struct, frozen=True):
    """A set of credentials as agents get it, and when it is time for the next one."""

    credentials: acs.IAMRoleCredentials
    refresh_at: float
    """Monotonic seconds: half of their life, so that SDKs, which look for new ones a quarter of an hour
    before the end, always find some."""


def roles_of(task: Task, document: Document) -> dict[RoleType, str]:
    """ARNs (or names) of the roles that a task has, what RunTask overrode first."""
    overrides = task.options.get("overrides", {})
    found = {type_: overrides.get(member) or document.get(member) for type_, member in ROLE_MEMBERS.items()}
    return {type_: arn for type_, arn in found.items() if arn}


def role_name(arn: str) -> str:
    """The name of a role by its ARN: its path is no part of it."""
    return last_segment(arn)


class RoleCredentialsIssuer:
    """Issues credentials. The id of a set follows from task and role, so that it outlives every refresh and
    every restart of the controller, and nobody else can guess it."""

    def __init__(
        self,
        state: State,
        keyring: Keyring,
        clock: Clock,
        source: random.Random,
        lifetime_s: float,
        aws: AssumeRole | None,
    ) -> None:
        """`aws` is None where the controller has no AWS credentials of its own."""
        self._state = state
        self._keyring = keyring
        self._clock = clock
        self._source = source
        self._lifetime_s = lifetime_s
        self._aws = aws

    def issue(self, task: Task, type_: RoleType, arn: str) -> IssuedCredentials | None:
        """Own credentials; None for a role of AWS, for which `assume` must be asked."""
        if self._assumed_arn(arn):
            return None
        expires_at = self._clock.now() + self._lifetime_s
        made = tokens.issue(
            self._keyring,
            self._source,
            role=role_name(arn),
            cluster=task.cluster,
            task=task.id,
            expires_at=expires_at,
        )
        return self._issued(
            task,
            type_,
            arn,
            AssumedCredentials(made.access_key_id, made.secret_access_key, made.session_token, expires_at),
        )

    async def assume(self, task: Task, type_: RoleType, arn: str) -> IssuedCredentials:
        """Credentials of the AWS role that stands for a role. Raises `CannotAssumeRole`."""
        if self._aws is None:
            raise CannotAssumeRole(
                f"the role {role_name(arn)} is one of AWS, and this controller has no AWS profile: start it "
                "with --aws-profile",
                final=True,
            )
        return self._issued(task, type_, arn, await self._aws.assume(self._assumed_arn(arn), task.id))

    def _assumed_arn(self, arn: str) -> str:
        role = self._state.read().get(TaskRole, role_name(arn))
        return "" if role is None else role.assumed_arn

    def _issued(self, task: Task, type_: RoleType, arn: str, given: AssumedCredentials) -> IssuedCredentials:
        remaining_s = max(0.0, given.expires_at - self._clock.now())
        credentials = acs.IAMRoleCredentials(
            credentials_id=self._id(task, type_),
            role_arn=arn,
            access_key_id=given.access_key_id,
            secret_access_key=given.secret_access_key,
            session_token=given.session_token,
            expiration=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(given.expires_at)),
        )
        return IssuedCredentials(credentials, self._clock.monotonic() + remaining_s / 2)

    def _id(self, task: Task, type_: RoleType) -> str:
        digest = self._keyring.derive(f"credentials id {task.key} {type_}")
        return str(uuid.UUID(bytes=digest[:16], version=4))
