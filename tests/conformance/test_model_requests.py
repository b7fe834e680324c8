"""Whatever the service model allows, and whatever it does not: thousands of requests, none of which breaks
anything.

The number of requests an operation is set by `HOMEPORT_MODEL_REQUESTS`; a thousand make a thorough run.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.protocol.clock import SystemClock
from agent.protocol.signing import Credentials
from controller.api.operations import ECS_OPERATIONS
from controller.api.operations.submissions import TYPED_OPERATIONS
from controller.keyring import ClientProfile
from controller.state.entities import InstanceConnection
from tests.conformance.front_door import Answer, Door, KeepAliveClient
from tests.conformance.model_requests import bodies
from tests.conformance.played_agent import CAPABILITIES
from tests.unit.api.model_inputs import Known
from tests.unit.api.output_shapes import assert_output, ecs_model

OPERATIONS = sorted(ECS_OPERATIONS.keys() | TYPED_OPERATIONS.keys())
EXAMPLES = int(os.environ.get("HOMEPORT_MODEL_REQUESTS", "60"))
OF_THE_PROTOCOL = {"InvalidParameterException", "SerializationException", "UnsupportedFeatureException"}
"""Errors that any operation may answer: a body that cannot be read, a value outside of what the model
allows, and something that this controller does not have."""

READS = ("Describe", "Discover", "Get", "List")
CONTAINER = {"name": "web", "image": "web:1", "memory": 16, "portMappings": [{"containerPort": 80}]}

made = partial(
    settings,
    phases=[Phase.generate],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
"""What is found is said as it was sent; a state that requests change cannot be asked the same twice."""


async def _furnish(door: Door) -> Known:
    """Put one of everything into the state; the texts by which members may name it."""
    side = await door("CreateCluster", clusterName="side")
    instance = (await door("RegisterContainerInstance", **_instance()))["containerInstance"]
    arn = instance["containerInstanceArn"]
    connection = InstanceConnection(
        cluster="default", id=_last(arn), connected=True, synchronised=True, changed_at=door.clock.now()
    )
    door.put(connection)
    definitions = [
        (await door("RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER]))
        for _ in range(2)
    ]
    definition = definitions[-1]["taskDefinition"]["taskDefinitionArn"]
    await door("DeregisterTaskDefinition", taskDefinition="web:1")
    service = await door("CreateService", serviceName="web", taskDefinition="web", desiredCount=1)
    service_arn, deployment = service["service"]["serviceArn"], service["service"]["deployments"][0]["id"]
    await door("CreateService", serviceName="sets", desiredCount=4, deploymentController={"type": "EXTERNAL"})
    task_set = await door("CreateTaskSet", cluster="default", service="sets", taskDefinition="web")
    task_set_arn, task_set_id = task_set["taskSet"]["taskSetArn"], task_set["taskSet"]["id"]
    shown = service["service"]
    deployments = [shown["currentServiceDeployment"], shown["currentServiceDeployment"] + "0"]
    revisions = [shown["currentServiceRevisions"][0]["arn"], deployments[0]]
    (task,) = (await door("RunTask", taskDefinition="web"))["tasks"]
    clusters = ["default", "side", side["cluster"]["clusterArn"], "missing"]
    tasks = [task["taskArn"], _last(task["taskArn"]), "0" * 32]
    instances = [arn, _last(arn), "0" * 32]
    services = ["web", service_arn, "sets", "missing"]
    task_sets = [task_set_id, task_set_arn, deployment]
    task_definitions = ["web", "web:1", "web:2", definition, "missing"]
    return {
        "capacityProvider": ["FARGATE", "FARGATE_SPOT", "missing"],
        "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
        "cluster": [*clusters, "default", "default"],
        "clusterName": clusters,
        "clusters": clusters,
        "containerInstance": instances,
        "containerInstances": instances,
        "containerName": ["web"],
        "expression": [
            "attribute:ecs.os-type == linux",
            "attribute:x in [a",
            "task:group == service:web",
            "*",
        ],
        "family": ["web"],
        "familyPrefix": ["web"],
        "filter": ["attribute:ecs.os-type == linux", "agentConnected == true", "attribute:x in [a"],
        "group": ["web", "family:web", "service:web"],
        "name": ["web", "CPU", "MEMORY", "PORTS", "containerInsights", "taskLongArnFormat", "rack"],
        "primaryTaskSet": task_sets,
        "resourceArn": [
            service_arn,
            task["taskArn"],
            arn,
            definition,
            side["cluster"]["clusterArn"],
            task_set_arn,
        ],
        "service": services,
        "serviceDeploymentArn": deployments,
        "serviceDeploymentArns": deployments,
        "serviceName": services,
        "serviceRevisionArns": revisions,
        "services": services,
        "startedBy": [deployment, "me"],
        "status": ["RUNNING", "STOPPED", "PENDING", "ACTIVE", "DRAINING"],
        "targetId": instances,
        "task": tasks,
        "taskDefinition": task_definitions,
        "taskSet": task_sets,
        "taskSets": task_sets,
        "taskDefinitions": task_definitions,
        "tasks": tasks,
        "value": ["enabled", "disabled"],
    }


def _instance() -> dict[str, Any]:
    resources = [{"name": name, "type": "INTEGER", "integerValue": 8_000} for name in ("CPU", "MEMORY")]
    return {"totalResources": resources, "attributes": [{"name": name} for name in CAPABILITIES]}


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]


def check_answer(operation: str, body: bytes, answer: Answer) -> None:
    """An answer is as the model says, or an error that the operation may give, and never of our making."""
    told = f"{operation} {body[:2_000]!r}: {answer}"
    if answer.status == 200:
        assert_output(operation, answer.document)
        return
    assert answer.status == 400, told
    assert answer.document["__type"] in _errors_of(operation), told
    assert isinstance(answer.document["message"], str), told
    assert answer.document["message"], told


def _errors_of(operation: str) -> set[str]:
    shapes = ecs_model().operation_model(operation).error_shapes
    return OF_THE_PROTOCOL | {shape.name for shape in shapes} - {"ServerException"}


@pytest.fixture(autouse=True)
def _few_logs() -> Iterator[None]:
    """Only what went wrong is worth reading among thousands of requests."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """An event loop for a test that is not a coroutine itself: hypothesis cannot run coroutines."""
    with asyncio.Runner() as runner_:
        yield runner_


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_request_breaks_anything_and_no_failed_one_changes_anything(
    tmp_path: Path, runner: asyncio.Runner, operation: str
) -> None:
    door = runner.run(Door.open(tmp_path))
    known = runner.run(_furnish(door))

    @made(max_examples=EXAMPLES)
    @given(bodies(operation, known))
    def try_(body: bytes) -> None:
        before = door.everything()
        answer = runner.run(door.call(operation, body))
        check_answer(operation, body, answer)
        if answer.status != 200 or operation.startswith(READS):
            assert door.everything() == before, f"{operation} {body!r}: {answer}"

    try:
        try_()
    finally:
        runner.run(door.close())


def test_a_running_controller_answers_any_requests_in_any_order(
    profile: ClientProfile, cluster: str, family: str, runner: asyncio.Runner
) -> None:
    known = {"cluster": [cluster], "taskDefinition": [family], "family": [family], "services": [family]}
    known |= {"clusterName": [cluster], "service": [family], "serviceName": [family]}
    credentials = Credentials(profile.access_key_id, profile.secret_access_key)

    async def connect() -> KeepAliveClient:
        return KeepAliveClient(f"{profile.endpoint}/", credentials, SystemClock().now)

    client = runner.run(connect())
    requests = st.sampled_from(OPERATIONS).flatmap(
        lambda operation: st.tuples(st.just(operation), bodies(operation, known))
    )

    @made(max_examples=EXAMPLES * 10)
    @given(requests)
    def try_(request: tuple[str, bytes]) -> None:
        check_answer(*request, runner.run(client.call(*request)))

    try:
        try_()
    finally:
        runner.run(client.close())
