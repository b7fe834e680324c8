"""Task definitions, as the official clients see them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.conftest import AwsCli
from tests.support.processes import wait_until

GONE_S = 30.0
"""The controller looks every ten seconds for deleted revisions that nothing refers to."""


def code_and_message(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    details = error.value.response["Error"]
    return details["Code"], details["Message"]


def test_a_definition_lives_through_its_revisions(ecs: Any, name: str) -> None:
    containers = [{"name": "web", "image": "web:1", "memory": 64}]
    first = ecs.register_task_definition(family=name, containerDefinitions=containers)["taskDefinition"]
    second = ecs.register_task_definition(family=name, containerDefinitions=containers)["taskDefinition"]
    assert (first["revision"], second["revision"]) == (1, 2)
    assert ecs.describe_task_definition(taskDefinition=name)["taskDefinition"] == second
    gone = ecs.deregister_task_definition(taskDefinition=second["taskDefinitionArn"])["taskDefinition"]
    assert gone["status"] == "INACTIVE"
    assert ecs.describe_task_definition(taskDefinition=name)["taskDefinition"] == first
    assert ecs.describe_task_definition(taskDefinition=f"{name}:2")["taskDefinition"] == gone
    third = ecs.register_task_definition(family=name, containerDefinitions=containers)["taskDefinition"]
    assert third["revision"] == 3


def test_registering_the_description_changes_nothing(ecs: Any, name: str) -> None:
    ecs.register_task_definition(
        family=name,
        cpu=".5 vCPU",
        memory="1 GB",
        containerDefinitions=[
            {
                "name": "web",
                "image": "web:1",
                "portMappings": [{"containerPort": 80}, {"containerPort": 53, "protocol": "udp"}],
                "healthCheck": {"command": ["CMD-SHELL", "true"]},
                "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
                "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
                "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}],
            },
            {"name": "init", "image": "init:1", "essential": False, "linuxParameters": {"maxSwap": 0}},
        ],
        volumes=[{"name": "data", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True}}],
        placementConstraints=[{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}],
        requiresCompatibilities=["EC2"],
    )
    described = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
    members = ecs.meta.service_model.operation_model("RegisterTaskDefinition").input_shape.members
    again = ecs.register_task_definition(**{key: described[key] for key in members if key in described})
    changing = ("taskDefinitionArn", "revision", "registeredAt")
    for key in changing:
        del described[key]
        del again["taskDefinition"][key]
    assert again["taskDefinition"] == described


def test_paginators_give_every_definition_and_family_once(ecs: Any, name: str) -> None:
    families = [f"{name}-{letter}" for letter in "abc"]
    for family in families:
        for _ in range(2):
            ecs.register_task_definition(
                family=family, containerDefinitions=[{"name": "web", "image": "web:1", "memory": 64}]
            )
    pages = ecs.get_paginator("list_task_definitions").paginate(
        familyPrefix=families[0], PaginationConfig={"PageSize": 1}
    )
    revisions = [arn.rpartition(":")[2] for page in pages for arn in page["taskDefinitionArns"]]
    assert revisions == ["1", "2"]
    pages = ecs.get_paginator("list_task_definition_families").paginate(
        familyPrefix=name, PaginationConfig={"PageSize": 2}
    )
    assert [family for page in pages for family in page["families"]] == families


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (
            {"name": "web", "image": "web:1"},
            "Invalid setting for container 'web'. At least one of 'memory' or 'memoryReservation' must be "
            "specified.",
        ),
        ({"name": "web", "memory": 64}, "Container.image should not be null or empty."),
        ({"image": "web:1", "memory": 64}, "Container.name should not be null or empty."),
        (
            {"name": "web", "image": "web:1", "memory": 64, "cpu": -1},
            "Invalid 'cpu' setting for container 'web'. It should be 0 or more CPU units.",
        ),
    ],
)
def test_a_broken_definition_is_refused_in_ecs_words(
    ecs: Any, name: str, container: dict[str, Any], message: str
) -> None:
    with pytest.raises(ecs.exceptions.ClientException) as error:
        ecs.register_task_definition(family=name, containerDefinitions=[container])
    assert code_and_message(error) == ("ClientException", message)


def test_what_is_not_there_is_said_in_ecs_words(ecs: Any, name: str) -> None:
    with pytest.raises(ClientError) as error:
        ecs.describe_task_definition(taskDefinition=name)
    assert code_and_message(error) == ("ClientException", "Unable to describe task definition.")
    with pytest.raises(ClientError) as error:
        ecs.deregister_task_definition(taskDefinition=name)
    assert code_and_message(error) == ("ClientException", "Revision is missing.")


def test_a_revision_number_of_any_length_is_no_server_error(ecs: Any, name: str) -> None:
    with pytest.raises(ClientError) as error:
        ecs.describe_task_definition(taskDefinition=f"{name}:{'9' * 5000}")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_the_aws_cli_registers_and_describes(aws: AwsCli, name: str) -> None:
    definition = '[{"name": "web", "image": "web:1", "memory": 64}]'
    made = aws("register-task-definition", "--family", name, "--container-definitions", definition)
    shown = aws("describe-task-definition", "--task-definition", name)
    assert shown["taskDefinition"] == made["taskDefinition"]


def test_a_deleted_revision_goes_and_its_number_is_not_used_again(ecs: Any, name: str) -> None:
    containers = [{"name": "web", "image": "web:1", "memory": 64}]
    arn = ecs.register_task_definition(family=name, containerDefinitions=containers)["taskDefinition"][
        "taskDefinitionArn"
    ]
    refused = ecs.delete_task_definitions(taskDefinitions=[arn])
    assert [failure["arn"] for failure in refused["failures"]] == [arn]
    ecs.deregister_task_definition(taskDefinition=arn)
    (deleted,) = ecs.delete_task_definitions(taskDefinitions=[arn])["taskDefinitions"]
    assert deleted["status"] == "DELETE_IN_PROGRESS"

    def gone() -> bool:
        try:
            ecs.describe_task_definition(taskDefinition=arn)
        except ClientError:
            return True
        return False

    wait_until(gone, "the revision is gone", GONE_S)
    again = ecs.register_task_definition(family=name, containerDefinitions=containers)["taskDefinition"]
    assert again["revision"] == 2
