"""DeleteTaskDefinitions: INACTIVE, DELETE_IN_PROGRESS, gone."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.api.errors import ApiError, ClientException, InvalidParameterException
from controller.services.definitions import unused_definitions
from controller.state.changes import Cause
from controller.state.entities import Service, TaskSet


async def inactive(api: Any, register: Any, family: str = "web") -> str:
    """The ARN of a new INACTIVE revision."""
    arn: str = await register(family)
    await api("DeregisterTaskDefinition", taskDefinition=arn)
    return arn


async def test_an_inactive_revision_is_being_deleted_and_stays_describable_until_it_goes(
    api: Any, register: Any
) -> None:
    arn = await inactive(api, register)
    answer = await api("DeleteTaskDefinitions", taskDefinitions=[arn, "web:1"])
    assert answer["failures"] == []
    (deleted,) = answer["taskDefinitions"]
    assert (deleted["status"], deleted["deleteRequestedAt"]) == ("DELETE_IN_PROGRESS", api.clock.now())
    shown = (await api("DescribeTaskDefinition", taskDefinition=arn))["taskDefinition"]
    assert shown == deleted
    listed = await api("ListTaskDefinitions", status="DELETE_IN_PROGRESS")
    assert listed["taskDefinitionArns"] == [arn]
    assert (await api("ListTaskDefinitions", status="INACTIVE"))["taskDefinitionArns"] == []
    assert (await api("ListTaskDefinitionFamilies"))["families"] == []
    api.join()
    with pytest.raises(ClientException, match="TaskDefinition is inactive"):
        await api("RunTask", taskDefinition=arn)
    again = await api("DeleteTaskDefinitions", taskDefinitions=[arn])
    assert again["taskDefinitions"] == [deleted]
    assert (await api("DeregisterTaskDefinition", taskDefinition=arn))["taskDefinition"] == deleted


async def test_active_and_unknown_revisions_are_failures(api: Any, register: Any) -> None:
    arn = await register()
    gone = await inactive(api, register)
    answer = await api("DeleteTaskDefinitions", taskDefinitions=[arn, "none:7", gone])
    assert [item["taskDefinitionArn"] for item in answer["taskDefinitions"]] == [gone]
    active, unknown = answer["failures"]
    assert active["arn"] == arn
    assert "still in ACTIVE status" in active["reason"]
    assert (unknown["arn"], unknown["reason"]) == ("none:7", "MISSING")


@pytest.mark.parametrize(
    ("references", "error", "message"),
    [
        ([], InvalidParameterException, "size of TaskDefinition references list must be greater than 0"),
        ([f"web:{number}" for number in range(11)], InvalidParameterException, "cannot exceed 10"),
        (["web"], ClientException, "Revision is missing."),
        (["web:x"], InvalidParameterException, "Invalid revision number. Number: x"),
    ],
)
async def test_what_delete_task_definitions_refuses(
    api: Any, register: Any, references: list[str], error: type[ApiError], message: str
) -> None:
    await register()
    with pytest.raises(error, match=message):
        await api("DeleteTaskDefinitions", taskDefinitions=references)


async def test_a_revision_in_use_waits_for_its_tasks_and_services(api: Any, register: Any) -> None:
    api.join()
    arn = await register()
    (task,) = (await api("RunTask", taskDefinition=arn))["tasks"]
    await api("CreateService", serviceName="web", taskDefinition=arn, desiredCount=0)
    await api("DeregisterTaskDefinition", taskDefinition=arn)
    await api("DeleteTaskDefinitions", taskDefinitions=[arn])
    assert unused_definitions(api.read) == []
    await api("DeleteService", service="web")
    api.report(task["taskArn"], "STOPPED")
    assert unused_definitions(api.read) == []
    service = api.read.get(Service, "default/web")
    api.put(replace(service, status="INACTIVE"))
    assert [definition.key for definition in unused_definitions(api.read)] == ["web:1"]


async def test_a_revision_stays_as_long_as_a_task_set_is_of_it(api: Any, register: Any) -> None:
    arn = await register()
    external = {"cluster": "default", "service": "web"}
    await api("CreateService", serviceName="web", deploymentController={"type": "EXTERNAL"})
    created = (await api("CreateTaskSet", **external, taskDefinition=arn))["taskSet"]
    await api("DeregisterTaskDefinition", taskDefinition=arn)
    await api("DeleteTaskDefinitions", taskDefinitions=[arn])
    assert unused_definitions(api.read) == []
    with api.state.transaction(Cause("request", "test")) as transaction:
        transaction.delete(TaskSet, f"default/web/{created['id']}")
    assert [definition.key for definition in unused_definitions(api.read)] == ["web:1"]
