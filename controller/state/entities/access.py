"""Who may do what: access keys, join tokens, roles of tasks, settings of principals; and secrets."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from controller.state.entities.record import Entity

Role = Literal["administrator", "deployer", "viewer", "agent"]


class AccountSetting(Entity, frozen=True, kw_only=True):
    """An account setting that a principal has, or with the root user's ARN all who have none of their own."""

    kind: ClassVar[str] = "account-setting"

    principal: str
    """ARN of the user, the role or the root user."""
    name: str
    value: str

    @property
    def key(self) -> str:
        return account_setting_key(self.principal, self.name)


class AccessKey(Entity, frozen=True, kw_only=True):
    """Who may call. The secret is stored encrypted under the key file, which is no part of the store."""

    kind: ClassVar[str] = "access-key"

    id: str
    role: Role
    cluster: str | None = None
    """The only cluster that it may act in; None: all of them."""
    user: str = ""
    """Name of the user who holds it; empty: the controller made it for itself, or for an agent."""
    secret_ciphertext: str
    created_at: float
    enabled: bool = True
    root: bool = False
    """Whether it is the administrator key that local clients of the data directory use."""
    instance: str = ""
    """Id of the container instance for which alone an agent key is good; empty: all of its cluster's."""
    expires_at: float | None = None
    exchange: str = ""
    """The exchange or renewal that made it: the same again is a repetition, not another one."""
    in_use: bool = False
    """Whether its container instance has registered with it: what made it must not be repeated any more."""

    @property
    def key(self) -> str:
        return self.id


class JoinExchange(msgspec.Struct, frozen=True):
    """One use of a join token."""

    id: str
    access_key_id: str
    instance: str
    at: float


class JoinToken(Entity, frozen=True, kw_only=True):
    """With what machines join a cluster, as often as it says. Of its secret only a hash is kept."""

    kind: ClassVar[str] = "join-token"

    id: str
    cluster: str
    secret_hash: str
    uses: int
    created_at: float
    expires_at: float
    revoked_at: float | None = None
    exchanges: tuple[JoinExchange, ...] = ()

    @property
    def key(self) -> str:
        return self.id


class TaskRole(Entity, frozen=True, kw_only=True):
    """What tasks may do with the credentials of a role. A role that has no record may do nothing."""

    kind: ClassVar[str] = "task-role"

    name: str
    """What stands after the last `/` of the role's ARN: a role's path is no part of its identity."""
    allowed: tuple[str, ...] = ()
    """Operations of ECS, and names of sets of them; in the task's own cluster only."""
    passes: tuple[str, ...] = ()
    """Names of the roles, beside itself, with which tasks may be started by those who have it."""
    assumed_arn: str = ""
    """ARN of the AWS role whose credentials tasks get in place of this controller's own."""
    changed_at: float

    @property
    def key(self) -> str:
        return self.name


class SecretVersion(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One value that a secret had or has, encrypted under the key file."""

    id: str
    ciphertext: str
    created_at: float
    stages: tuple[str, ...] = ()
    """AWSCURRENT for the newest, AWSPREVIOUS for the one before it."""

    def __repr__(self) -> str:
        return f"SecretVersion(id={self.id!r}, stages={self.stages!r})"


class Secret(Entity, frozen=True, kw_only=True):
    """A value that tasks get by its name, in this controller's own store of secrets."""

    kind: ClassVar[str] = "secret"

    name: str
    """Without a leading `/`."""
    versions: tuple[SecretVersion, ...] = ()
    """The newest first."""
    created_at: float

    @property
    def key(self) -> str:
        return self.name


def account_setting_key(principal: str, name: str) -> str:
    """Key of a principal's account setting."""
    return f"{principal}/{name}"
