"""Operations on what this controller does not have yet: checked as on ECS, then refused in ECS's words."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import (
    InvalidParameterException,
    NamespaceNotFoundException,
    TargetNotConnectedException,
)
from controller.state.entities import Cluster


async def running(api: Any, **request: Any) -> str:
    """The ARN of a RUNNING task of `web`."""
    api.join()
    (task,) = (await api("RunTask", taskDefinition="web", **request))["tasks"]
    api.report(task["taskArn"], "RUNNING")
    return str(task["taskArn"])


async def execute(api: Any, task: str, **request: Any) -> None:
    await api("ExecuteCommand", **{"task": task, "command": "sh", "interactive": True, **request})


async def test_a_command_for_a_task_that_allows_it_finds_no_agent_that_takes_it(
    api: Any, register: Any
) -> None:
    await register()
    task = await running(api, enableExecuteCommand=True)
    with pytest.raises(TargetNotConnectedException, match="Try again later"):
        await execute(api, task, container="web")
    with pytest.raises(InvalidParameterException, match="Interactive is the only mode"):
        await execute(api, task, interactive=False)
    with pytest.raises(InvalidParameterException, match="container was not found"):
        await execute(api, task, container="db")


async def test_a_command_for_a_task_that_does_not_allow_it_is_refused(api: Any, register: Any) -> None:
    await register()
    task = await running(api)
    with pytest.raises(InvalidParameterException, match="execute command was not enabled"):
        await execute(api, task)
    with pytest.raises(InvalidParameterException, match="The referenced task was not found"):
        await execute(api, "f" * 32)
    api.report(task, "STOPPED")
    with pytest.raises(InvalidParameterException, match="not RUNNING"):
        await execute(api, task)


async def test_a_namespace_that_is_a_clusters_default_has_no_services(api: Any) -> None:
    defaults = {"serviceConnectDefaults": {"namespace": "shop"}}
    api.put(Cluster(name="other", created_at=0.0, options=defaults))
    assert await api("ListServicesByNamespace", namespace="shop") == {"serviceArns": []}
    with pytest.raises(NamespaceNotFoundException):
        await api("ListServicesByNamespace", namespace="none")
