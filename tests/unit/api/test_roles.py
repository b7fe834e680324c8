"""Roles as their operator sets them."""

from __future__ import annotations

import pytest

from controller.api.errors import InvalidParameterException, ResourceNotFoundException
from controller.api.operations.roles import (
    DeleteTaskRole,
    ListTaskRoles,
    PutTaskRole,
    delete_task_role,
    list_task_roles,
    put_task_role,
)
from controller.roles.permissions import SETS
from controller.state.entities import TaskRole
from tests.unit.api.conftest import Api


async def test_a_role_is_set_shown_set_anew_and_removed(api: Api) -> None:
    put_task_role(api.context(), PutTaskRole("worker", ("viewer", "RunTask", "viewer")))
    (shown,) = list_task_roles(api.context(), ListTaskRoles())["roles"]
    assert (shown["name"], shown["allowed"]) == ("worker", ["viewer", "RunTask"])
    assert set(shown["operations"]) == SETS["viewer"] | {"RunTask"}
    put_task_role(api.context(), PutTaskRole("worker"))
    assert list_task_roles(api.context(), ListTaskRoles())["roles"][0]["operations"] == []
    delete_task_role(api.context(), DeleteTaskRole("worker"))
    assert api.state.read().get(TaskRole, "worker") is None
    with pytest.raises(ResourceNotFoundException, match="There is no role worker"):
        delete_task_role(api.context(), DeleteTaskRole("worker"))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (PutTaskRole("a/b"), "Invalid role name 'a/b'"),
        (PutTaskRole(""), "Invalid role name ''"),
        (PutTaskRole("worker", passes=("a/b",)), "Invalid role name 'a/b'"),
        (PutTaskRole("worker", ("ListTasks", "CreateCluster")), "A role cannot permit CreateCluster"),
        (PutTaskRole("worker", assumed_arn="arn:aws:iam::1:user/x"), "is not the ARN of a role"),
    ],
)
async def test_what_makes_no_role_is_refused(api: Api, request_: PutTaskRole, message: str) -> None:
    with pytest.raises(InvalidParameterException) as caught:
        put_task_role(api.context(), request_)
    assert message in caught.value.message
    assert api.state.read().all(TaskRole) == {}
