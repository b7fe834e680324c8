"""What roles can permit, held against ECS's service model."""

from __future__ import annotations

import pytest

from controller.api.operations import ECS_OPERATIONS
from controller.api.service_model import load_service_model
from controller.roles.permissions import ARN_MEMBERS, SCOPES, SETS, permitted, unknown_permissions

MODEL = load_service_model("ecs")


@pytest.mark.parametrize("operation", sorted(SCOPES))
def test_every_operation_names_its_cluster_as_its_scope_says(operation: str) -> None:
    shape = MODEL.operations[operation].input
    assert shape is not None
    members = MODEL.shapes[shape.shape].members
    assert operation in ECS_OPERATIONS
    match SCOPES[operation]:
        case "cluster":
            assert "cluster" in members
        case "clusters":
            assert "clusters" in members
            assert "cluster" not in members
        case "arn" | "arns":
            assert ARN_MEMBERS[operation] in members
            assert "cluster" not in members
        case "none":
            assert not {"cluster", "clusters"} & set(members)
            assert not [
                member for member in members if member.lower().endswith("arn") and "Role" not in member
            ]


def test_a_deployer_sees_all_that_a_viewer_sees() -> None:
    assert SETS["viewer"] < SETS["deployer"]


def test_a_viewer_changes_nothing() -> None:
    assert all(name.startswith(("Describe", "List", "Get")) for name in SETS["viewer"])


def test_sets_and_operations_add_up() -> None:
    assert permitted(("viewer", "StopTask")) == SETS["viewer"] | {"StopTask"}
    assert permitted(()) == frozenset()


def test_what_reaches_beyond_a_cluster_cannot_be_permitted() -> None:
    beyond = ["CreateCluster", "PutAccountSetting", "DeleteCluster", "RegisterContainerInstance", "nonsense"]
    assert unknown_permissions(["viewer", *beyond, "RunTask"]) == beyond
