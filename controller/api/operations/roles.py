"""Roles of tasks, for our own command: service `homeport`, administrators only."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException, ResourceNotFoundException
from controller.roles.permissions import SCOPES, SETS, permitted, unknown_permissions
from controller.state.entities import Document, TaskRole

_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_AWS_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)


class PutTaskRole(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    name: str
    allowed: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()
    assumed_arn: str = ""


class ListTaskRoles(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""


class DeleteTaskRole(msgspec.Struct, frozen=True, rename="camel"):
    """Input of the operation of that name."""

    name: str


def put_task_role(context: RequestContext, request: PutTaskRole) -> Document:
    """Say what a role permits, in place of what it permitted before. It counts from the next call on."""
    for name in (request.name, *request.passes):
        _check_name(name)
    if unknown := unknown_permissions(request.allowed):
        raise InvalidParameterException(
            f"A role cannot permit {', '.join(unknown)}. It can permit the sets {', '.join(sorted(SETS))} "
            f"and the operations {', '.join(sorted(SCOPES))}."
        )
    if request.assumed_arn and not _AWS_ROLE_ARN.fullmatch(request.assumed_arn):
        raise InvalidParameterException(f"'{request.assumed_arn}' is not the ARN of a role.")
    with context.transaction() as transaction:
        role = TaskRole(
            name=request.name,
            allowed=tuple(dict.fromkeys(request.allowed)),
            passes=tuple(dict.fromkeys(request.passes)),
            assumed_arn=request.assumed_arn,
            changed_at=transaction.now,
        )
        transaction.put(role, f"permits {', '.join(role.allowed) or 'nothing'}")
    return {"role": _render(role)}


def list_task_roles(context: RequestContext, _request: ListTaskRoles) -> Document:
    """Every role that was defined."""
    roles = context.read.all(TaskRole)
    return {"roles": [_render(roles[name]) for name in sorted(roles)]}


def delete_task_role(context: RequestContext, request: DeleteTaskRole) -> Document:
    """Take back what a role permits; tasks keep credentials that permit nothing."""
    if context.read.get(TaskRole, request.name) is None:
        raise ResourceNotFoundException(f"There is no role {request.name}.")
    with context.transaction() as transaction:
        transaction.delete(TaskRole, request.name, "deleted")
    return {}


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidParameterException(
            f"Invalid role name '{name}'. It is what stands after the last / of the role's ARN: up to 64 "
            "letters, digits and any of +=,.@_-"
        )


def _render(role: TaskRole) -> Document:
    return {
        "name": role.name,
        "allowed": list(role.allowed),
        "operations": sorted(permitted(role.allowed)),
        "passes": list(role.passes),
        "assumedArn": role.assumed_arn,
        "changedAt": role.changed_at,
    }


ROLE_OPERATIONS: dict[str, tuple[type[msgspec.Struct], Any]] = {
    "PutTaskRole": (PutTaskRole, put_task_role),
    "ListTaskRoles": (ListTaskRoles, list_task_roles),
    "DeleteTaskRole": (DeleteTaskRole, delete_task_role),
}
"""Every operation with the record that its input is decoded into."""
