"""GetTaskProtection and UpdateTaskProtection."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.api.errors import InvalidParameterException
from controller.state.entities import Deployment, Service, Task, TaskContainer
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE

WEB = "default/web"


async def service_of(api: Any, register: Any, desired: int = 2) -> str:
    """A service `web`; answers the id of its deployment."""
    await register()
    await api("CreateService", serviceName="web", taskDefinition="web", desiredCount=desired)
    (deployment,) = api.read.select(DEPLOYMENTS_OF_SERVICE, WEB).values()
    return str(deployment.id)


def add(api: Any, number: int, deployment: str | None, **changes: Any) -> str:
    """A RUNNING task of the service; answers its id."""
    task = Task(
        **{
            "cluster": "default",
            "id": f"{number:032x}",
            "family": "web",
            "revision": 1,
            "instance": f"{1:032x}",
            "service": "web" if deployment else None,
            "deployment": deployment,
            "reported_status": "RUNNING",
            "containers": (TaskContainer(name="web", id="c"),),
            "created_at": api.clock.now(),
            **changes,
        }
    )
    api.put(task)
    return task.id


async def protect(api: Any, *tasks: str, enabled: bool = True, **request: Any) -> dict[str, Any]:
    """The answer of UpdateTaskProtection."""
    answer: dict[str, Any] = await api(
        "UpdateTaskProtection", cluster="default", tasks=list(tasks), protectionEnabled=enabled, **request
    )
    return answer


async def test_a_running_task_of_a_service_is_protected_for_a_time_and_released(
    api: Any, register: Any
) -> None:
    task = add(api, 1, await service_of(api, register))
    arn = f"arn:aws:ecs:us-east-1:000000000000:task/default/{task}"
    answer = await protect(api, task, arn)
    until = api.clock.now() + 120 * 60
    assert answer["failures"] == []
    assert answer["protectedTasks"] == [{"taskArn": arn, "protectionEnabled": True, "expirationDate": until}]
    assert await api("GetTaskProtection", cluster="default") == answer
    assert await api("GetTaskProtection", cluster="default", tasks=[task]) == answer
    longer = await protect(api, task, expiresInMinutes=2880)
    assert longer["protectedTasks"][0]["expirationDate"] == api.clock.now() + 2880 * 60
    released = await protect(api, task, enabled=False)
    assert released["protectedTasks"] == [{"taskArn": arn, "protectionEnabled": False}]
    assert (await api("GetTaskProtection", cluster="default"))["protectedTasks"] == []


async def test_what_is_no_running_task_of_a_service_is_a_failure(api: Any, register: Any) -> None:
    deployment = await service_of(api, register)
    alone = add(api, 1, None)
    starting = add(api, 2, deployment, reported_status="PENDING")
    stopping = add(api, 3, deployment, desired_status="STOPPED")
    answer = await protect(api, alone, starting, stopping, "f" * 32)
    assert answer["protectedTasks"] == []
    reasons = [failure["reason"] for failure in answer["failures"]]
    assert reasons == ["TASK_NOT_VALID", "TASK_NOT_VALID", "TASK_NOT_VALID", "MISSING"]
    shown = await api("GetTaskProtection", cluster="default", tasks=[alone])
    assert [failure["reason"] for failure in shown["failures"]] == ["TASK_NOT_VALID"]


async def test_protection_does_not_prolong_a_deployment_that_waits_for_protected_tasks(
    api: Any, register: Any
) -> None:
    old = await service_of(api, register, desired=1)
    first, second = add(api, 1, old), add(api, 2, old)
    await protect(api, first)
    await api("UpdateService", service="web", forceNewDeployment=True)
    assert (await protect(api, second))["failures"] == []
    await protect(api, second, enabled=False)
    (new,) = (item for item in _deployments(api) if item.status == "PRIMARY")
    third = add(api, 3, new.id)
    blocked = await protect(api, first, second, third)
    assert [(item["arn"][-32:], item["reason"]) for item in blocked["failures"]] == [
        (first, "DEPLOYMENT_BLOCKED"),
        (second, "DEPLOYMENT_BLOCKED"),
    ]
    assert [item["taskArn"][-32:] for item in blocked["protectedTasks"]] == [third]


async def test_protection_does_not_prolong_scaling_in_that_waits_for_protected_tasks(
    api: Any, register: Any
) -> None:
    deployment = await service_of(api, register)
    first, second, third = (add(api, number, deployment) for number in (1, 2, 3))
    await protect(api, first, second)
    service = api.read.get(Service, WEB)
    api.put(replace(service, desired_count=1))
    answer = await protect(api, third)
    assert [failure["reason"] for failure in answer["failures"]] == ["DEPLOYMENT_BLOCKED"]
    assert (await protect(api, first, enabled=False))["failures"] == []


@pytest.mark.parametrize(
    "request_",
    [
        {"tasks": []},
        {"tasks": [f"{number:032x}" for number in range(11)]},
        {"tasks": ["f" * 32], "expiresInMinutes": 0},
        {"tasks": ["f" * 32], "expiresInMinutes": 2881},
    ],
)
async def test_what_update_task_protection_refuses(api: Any, request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterException):
        await api("UpdateTaskProtection", cluster="default", protectionEnabled=True, **request_)


async def test_at_most_a_hundred_tasks_are_shown_at_once(api: Any) -> None:
    with pytest.raises(InvalidParameterException, match="cannot exceed 100"):
        await api("GetTaskProtection", cluster="default", tasks=[f"{number:032x}" for number in range(101)])


def _deployments(api: Any) -> list[Deployment]:
    return list(api.read.select(DEPLOYMENTS_OF_SERVICE, WEB).values())
