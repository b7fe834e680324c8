"""Users and their access keys, for our own command: service `homeport`, administrators only. A secret is in
the answer that makes it and never again."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.api.access_keys import KeyPair
from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, ResourceNotFoundException
from controller.api.identifiers import resolve_cluster
from controller.api.users import InvalidUser, NoSuchUser, Users, all_users, keys_of
from controller.state.entities import AccessKey, Document, Role

LONGEST_OVERLAP_S = 30 * 86_400.0
"""Seconds that a former key may go on at most."""


class CreateUser(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    name: str
    role: Role
    cluster: str | None = None


class ListUsers(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""


class RotateUser(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    name: str
    keep_former_seconds: float = 0.0


class DisableUser(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    name: str


class UserOperations:
    """The operations, with what makes keys."""

    def __init__(self, users: Users) -> None:
        self._users = users

    def create_user(self, context: RequestContext, request: CreateUser) -> Document:
        """A new user with an access key."""
        cluster = None if request.cluster is None else resolve_cluster(context, request.cluster).name
        try:
            with context.transaction() as transaction:
                pair = self._users.create(transaction, request.name, request.role, cluster)
        except InvalidUser as error:
            raise InvalidParameterException(f"Invalid user: {error}.") from None
        return _told(context, request.name, pair)

    def list_users(self, context: RequestContext, _request: ListUsers) -> Document:
        """Every user, without secrets."""
        return {"users": [_render(context, keys) for keys in all_users(context.read).values()]}

    def rotate_user(self, context: RequestContext, request: RotateUser) -> Document:
        """A new access key for a user."""
        if not 0 <= request.keep_former_seconds <= LONGEST_OVERLAP_S:
            raise InvalidParameterException(
                f"keepFormerSeconds must be between 0 and {LONGEST_OVERLAP_S:.0f}."
            )
        try:
            with context.transaction() as transaction:
                pair = self._users.rotate(transaction, request.name, request.keep_former_seconds)
        except NoSuchUser as error:
            raise _not_found(error) from None
        return _told(context, request.name, pair)

    def disable_user(self, context: RequestContext, request: DisableUser) -> Document:
        """Let none of a user's keys be good any more."""
        try:
            with context.transaction() as transaction:
                self._users.disable(transaction, request.name)
        except NoSuchUser as error:
            raise _not_found(error) from None
        return {"user": _render(context, keys_of(context.read, request.name))}

    def typed(self) -> dict[str, tuple[type[msgspec.Struct], Any]]:
        """Every operation with the record that its input is decoded into."""
        return {
            "CreateUser": (CreateUser, self.create_user),
            "ListUsers": (ListUsers, self.list_users),
            "RotateUser": (RotateUser, self.rotate_user),
            "DisableUser": (DisableUser, self.disable_user),
        }


def _not_found(error: NoSuchUser) -> ResourceNotFoundException:
    text = str(error)
    return ResourceNotFoundException(f"{text[0].upper()}{text[1:]}.")


def _told(context: RequestContext, name: str, pair: KeyPair) -> Document:
    return {
        "user": _render(context, keys_of(context.read, name)),
        "accessKeyId": pair.access_key_id,
        "secretAccessKey": pair.secret_access_key,
    }


def _render(context: RequestContext, keys: list[AccessKey]) -> Document:
    present, *former = keys
    now = context.clock.now()
    ends = [key.expires_at for key in former if key.expires_at is not None and key.expires_at > now]
    return {
        "name": present.user,
        "arn": f"arn:aws:iam::{context.read.names.account}:user/{present.user}",
        "role": present.role,
        "cluster": present.cluster,
        "enabled": present.enabled,
        "accessKeyId": present.id,
        "keyCreatedAt": present.created_at,
        "formerKeyEndsAt": max(ends, default=None),
    }
