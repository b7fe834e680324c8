"""StartTask."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.api.errors import ApiError, ClientException, InvalidParameterException
from controller.state.entities import InstanceConnection


async def test_a_task_is_started_on_each_instance_that_is_named(api: Any, register: Any) -> None:
    first, second, _ = api.join(1), api.join(2), api.join(3)
    await register(placementConstraints=[{"type": "memberOf", "expression": "attribute:x == y"}])
    answer = await api(
        "StartTask",
        taskDefinition="web",
        containerInstances=[first.id, second.id, first.id],
        startedBy="me",
        tags=[{"key": "a", "value": "b"}],
    )
    assert answer["failures"] == []
    assert [task["containerInstanceArn"][-32:] for task in answer["tasks"]] == [first.id, second.id]
    assert {(task["startedBy"], task["group"], task["launchType"]) for task in answer["tasks"]} == {
        ("me", "family:web", "EC2")
    }
    assert answer["tasks"][0]["tags"] == [{"key": "a", "value": "b"}]


async def test_instances_without_room_unknown_or_gone_are_failures(api: Any, register: Any) -> None:
    full, gone, silent, draining = (
        api.join(1, memory=32),
        api.join(2, status="INACTIVE"),
        api.join(3),
        api.join(4, status="DRAINING"),
    )
    connection = api.read.get(InstanceConnection, silent.key)
    api.put(replace(connection, connected=False))
    await register()
    answer = await api(
        "StartTask",
        taskDefinition="web",
        containerInstances=[full.id, gone.id, silent.id, draining.id, f"{9:032x}"],
    )
    assert answer["tasks"] == []
    assert [failure["reason"] for failure in answer["failures"]] == [
        "RESOURCE:MEMORY",
        "INACTIVE",
        "AGENT",
        "DRAINING",
        "MISSING",
    ]
    assert answer["failures"][0]["arn"].endswith(f"container-instance/default/{full.id}")


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"containerInstances": []}, InvalidParameterException),
        ({"containerInstances": [f"{number:032x}" for number in range(11)]}, InvalidParameterException),
        ({"startedBy": "x" * 37}, InvalidParameterException),
        ({"taskDefinition": "none"}, ClientException),
        ({"propagateTags": "SERVICE"}, InvalidParameterException),
        ({"group": "service:web"}, InvalidParameterException),
    ],
)
async def test_what_start_task_refuses(
    api: Any, register: Any, request_: dict[str, Any], error: type[ApiError]
) -> None:
    instance = api.join()
    await register()
    with pytest.raises(error):
        await api("StartTask", **{"taskDefinition": "web", "containerInstances": [instance.id], **request_})
