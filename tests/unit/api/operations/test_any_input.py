"""Any input that the service model allows is answered, or refused without a change by an error of ECS."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from controller.api.errors import ApiError
from controller.state.entities import Deployment, RunTaskToken, Service, Task, TaskDefinition
from tests.unit.api.model_inputs import inputs

OPERATIONS = {
    "RunTask": {"taskDefinition": "web"},
    "StartTask": {"taskDefinition": "web"},
    "StopTask": {},
    "ListTasks": {},
    "ExecuteCommand": {},
    "GetTaskProtection": {},
    "UpdateTaskProtection": {},
    "DescribeTasks": {},
    "CreateService": {"taskDefinition": "web", "serviceName": "new"},
    "UpdateService": {"service": "web"},
    "DescribeServices": {},
    "ListServices": {},
    "DeleteService": {},
    "ListServicesByNamespace": {},
    "CreateTaskSet": {"service": "web", "taskDefinition": "web"},
    "DescribeTaskSets": {"service": "web"},
    "UpdateTaskSet": {"service": "web"},
    "DeleteTaskSet": {"service": "web"},
    "UpdateServicePrimaryTaskSet": {"service": "web"},
    "ListServiceDeployments": {"service": "web"},
    "DescribeServiceDeployments": {},
    "DescribeServiceRevisions": {},
    "StopServiceDeployment": {},
    "ContinueServiceDeployment": {},
    "ListTaskDefinitions": {},
    "ListTaskDefinitionFamilies": {},
    "DescribeTaskDefinition": {},
    "DeregisterTaskDefinition": {},
    "DeleteTaskDefinitions": {},
}
EXAMPLES = 150


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_any_input_is_answered_or_refused(api: Any, register: Any, operation: str) -> None:
    api.join()
    await register()
    await api("CreateService", serviceName="web", taskDefinition="web", desiredCount=1)
    for request in _examples(operation, {**OPERATIONS[operation], "cluster": "default"}):
        before = _everything(api)
        refusal = await _refusal(api, operation, request)
        if refusal is not None:
            assert refusal.status == 400
            assert refusal.code.endswith("Exception")
            assert _everything(api) == before


async def _refusal(api: Any, operation: str, request: dict[str, Any]) -> ApiError | None:
    try:
        await api(operation, **request)
    except ApiError as error:
        return error
    return None


def _everything(api: Any) -> list[Any]:
    return [dict(api.read.all(kind)) for kind in (Service, Deployment, Task, RunTaskToken, TaskDefinition)]


def _examples(operation: str, fixed: dict[str, Any]) -> list[dict[str, Any]]:
    """Inputs of an operation: hypothesis cannot run a coroutine, so it only makes them."""
    made: list[dict[str, Any]] = []

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(operation, **fixed) | inputs(operation) | st.just(fixed))
    def collect(request: dict[str, Any]) -> None:
        made.append(request)

    collect()
    return made
