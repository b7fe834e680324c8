"""Task set operations, on services with the deployment controller EXTERNAL."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.api.errors import (
    ApiError,
    ClientException,
    InvalidParameterException,
    ResourceInUseException,
    ServiceNotActiveException,
    ServiceNotFoundException,
    TaskSetNotFoundException,
    UnsupportedFeatureException,
)
from controller.state.entities import Service, Task, TaskContainer, TaskSet

EXTERNAL = {"type": "EXTERNAL"}
HERE = {"cluster": "default", "service": "web"}
ONLY_EXTERNAL = (
    "Amazon ECS only supports task set management on services configured to use external deployment "
    "controllers."
)


async def create_service(api: Any, **members: Any) -> dict[str, Any]:
    """The EXTERNAL service `web` of four tasks."""
    request = {"serviceName": "web", "desiredCount": 4, "deploymentController": EXTERNAL, **members}
    answer: dict[str, Any] = (await api("CreateService", **request))["service"]
    return answer


async def create(api: Any, **members: Any) -> dict[str, Any]:
    """A task set of `web`."""
    answer: dict[str, Any] = (await api("CreateTaskSet", **{**HERE, "taskDefinition": "web", **members}))[
        "taskSet"
    ]
    return answer


async def describe_service(api: Any) -> dict[str, Any]:
    """The service `web` as it is."""
    (service,) = (await api("DescribeServices", services=["web"]))["services"]
    assert isinstance(service, dict)
    return service


async def test_an_external_service_needs_no_more_than_a_name_and_shows_nothing_of_task_sets(api: Any) -> None:
    service = (await api("CreateService", serviceName="web", deploymentController=EXTERNAL))["service"]
    assert (service["status"], service["desiredCount"], service["schedulingStrategy"]) == (
        "ACTIVE",
        0,
        "REPLICA",
    )
    assert service["deploymentController"] == EXTERNAL
    assert service["deployments"] == service["taskSets"] == []
    assert not {"taskDefinition", "launchType", "networkConfiguration", "currentServiceDeployment"} & set(
        service
    )
    again = await api("CreateService", serviceName="web", deploymentController=EXTERNAL)
    assert again["service"]["serviceArn"] == service["serviceArn"]
    with pytest.raises(InvalidParameterException, match="not idempotent"):
        await api("CreateService", serviceName="web", deploymentController=EXTERNAL, desiredCount=1)
    assert (await api("ListServiceDeployments", service="web"))["serviceDeployments"] == []


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("taskDefinition", "web"),
        ("launchType", "EC2"),
        ("platformVersion", "LATEST"),
        ("capacityProviderStrategy", [{"capacityProvider": "FARGATE"}]),
        ("networkConfiguration", {"awsvpcConfiguration": {"subnets": ["s"]}}),
    ],
)
async def test_what_task_sets_fix_is_refused_for_the_service(
    api: Any, register: Any, member: str, value: Any
) -> None:
    await register()
    with pytest.raises(InvalidParameterException, match=f"(?i){member} must be blank"):
        await create_service(api, **{member: value})
    await create_service(api)
    if member != "launchType":
        with pytest.raises(InvalidParameterException, match=f"Unable to update {member}"):
            await api("UpdateService", service="web", **{member: value})


async def test_update_service_changes_what_is_the_services_own(api: Any) -> None:
    await create_service(api)
    members = {"desiredCount": 6, "healthCheckGracePeriodSeconds": 30, "propagateTags": "SERVICE"}
    service = (await api("UpdateService", service="web", deploymentController=EXTERNAL, **members))["service"]
    assert {member: service[member] for member in members} == members
    with pytest.raises(InvalidParameterException, match="Cannot force a new deployment"):
        await api("UpdateService", service="web", forceNewDeployment=True)
    with pytest.raises(UnsupportedFeatureException, match="Another deployment controller"):
        await api("UpdateService", service="web", deploymentController={"type": "ECS"})


async def test_a_created_task_set_shows_what_it_was_given_and_ecs_defaults(api: Any, register: Any) -> None:
    definition = await register()
    service = await create_service(api)
    created = await create(api, externalId="green", tags=[{"key": "a", "value": "b"}])
    number = created["id"].removeprefix("ecs-svc/")
    arn = f"arn:aws:ecs:us-east-1:000000000000:task-set/default/web/ecs-svc/{number}"
    assert number.isdigit()
    assert created == {
        "id": f"ecs-svc/{number}",
        "taskSetArn": arn,
        "serviceArn": service["serviceArn"],
        "clusterArn": service["clusterArn"],
        "externalId": "green",
        "status": "ACTIVE",
        "taskDefinition": definition,
        "computedDesiredCount": 0,
        "pendingCount": 0,
        "runningCount": 0,
        "createdAt": created["createdAt"],
        "updatedAt": created["createdAt"],
        "launchType": "EC2",
        "loadBalancers": [],
        "serviceRegistries": [],
        "scale": {"value": 0.0, "unit": "PERCENT"},
        "stabilityStatus": "STABILIZING",
        "stabilityStatusAt": created["createdAt"],
        "tags": [{"key": "a", "value": "b"}],
    }
    (shown,) = (await api("DescribeTaskSets", **HERE, include=["TAGS"]))["taskSets"]
    assert shown == created
    (without,) = (await api("DescribeTaskSets", **HERE, taskSets=[arn, created["id"]]))["taskSets"]
    assert without == {**created, "tags": []}


async def test_a_task_set_of_awsvpc_or_fargate_tasks_shows_network_and_platform(
    api: Any, register: Any
) -> None:
    await register("vpc", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512")
    await create_service(api)
    network = {"awsvpcConfiguration": {"subnets": ["s"], "securityGroups": [], "assignPublicIp": "DISABLED"}}
    created = await create(api, taskDefinition="vpc", launchType="FARGATE", networkConfiguration=network)
    assert created["networkConfiguration"] == network
    assert (created["launchType"], created["platformVersion"], created["platformFamily"]) == (
        "FARGATE",
        "1.4.0",
        "Linux",
    )
    strategy = [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}]
    await api(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["FARGATE"],
        defaultCapacityProviderStrategy=strategy,
    )
    by_default = await create(api, taskDefinition="vpc", networkConfiguration=network)
    assert by_default["capacityProviderStrategy"] == strategy
    assert "launchType" not in by_default


async def test_counts_follow_scale_and_tasks(api: Any, register: Any) -> None:
    await register()
    await create_service(api)
    created = await create(api, scale={"value": 30.0, "unit": "PERCENT"})
    assert created["computedDesiredCount"] == 2
    stored = api.read.get(TaskSet, f"default/web/{created['id']}")
    api.put(replace(stored, stability_status="STEADY_STATE"))
    (shown,) = (await api("DescribeTaskSets", **HERE))["taskSets"]
    assert shown["stabilityStatus"] == "STABILIZING"
    for number, status in enumerate(("RUNNING", "RUNNING", "NONE")):
        api.put(task_of(api, created["id"], number, reported_status=status))
    (shown,) = (await api("DescribeTaskSets", **HERE))["taskSets"]
    assert (shown["runningCount"], shown["pendingCount"], shown["stabilityStatus"]) == (2, 1, "STABILIZING")
    updated = (await api("UpdateTaskSet", **HERE, taskSet=created["id"], scale={"value": 55.5}))["taskSet"]
    assert (updated["computedDesiredCount"], updated["scale"]["value"]) == (3, 55.5)
    api.put(task_of(api, created["id"], 2, reported_status="RUNNING"))
    (shown,) = (await api("DescribeTaskSets", **HERE))["taskSets"]
    assert (shown["runningCount"], shown["stabilityStatus"]) == (3, "STEADY_STATE")
    service = await describe_service(api)
    assert (service["runningCount"], service["pendingCount"]) == (3, 0)


def task_of(api: Any, task_set: str, number: int, **members: Any) -> Task:
    """A task of a task set."""
    return Task(
        cluster="default",
        id=f"{number:032x}",
        family="web",
        revision=1,
        instance=f"{1:032x}",
        group="service:web",
        service="web",
        deployment=task_set,
        containers=(TaskContainer(name="web", id="c"),),
        created_at=api.clock.now(),
        **members,
    )


async def test_the_primary_task_sets_settings_are_the_services(api: Any, register: Any) -> None:
    first = await register()
    second = await register()
    await create_service(api)
    blue = await create(api, taskDefinition=first)
    api.clock.advance(1)
    green = await create(api, taskDefinition=second, launchType="EXTERNAL")
    assert (await api("ListServices", launchType="EC2"))["serviceArns"] == []
    made = await api("UpdateServicePrimaryTaskSet", **HERE, primaryTaskSet=blue["id"])
    assert made["taskSet"]["status"] == "PRIMARY"
    service = await describe_service(api)
    assert (service["taskDefinition"], service["launchType"]) == (first, "EC2")
    assert len((await api("ListServices", launchType="EC2"))["serviceArns"]) == 1
    assert [item["id"] for item in service["taskSets"]] == [blue["id"], green["id"]]
    await api("UpdateServicePrimaryTaskSet", **HERE, primaryTaskSet=green["taskSetArn"])
    service = await describe_service(api)
    assert (service["taskDefinition"], service["launchType"]) == (second, "EXTERNAL")
    assert [item["status"] for item in service["taskSets"]] == ["PRIMARY", "ACTIVE"]


async def test_a_client_token_makes_one_task_set(api: Any, register: Any) -> None:
    await register()
    await create_service(api)
    first = await create(api, clientToken="once", scale={"value": 50.0})
    await api("UpdateTaskSet", **HERE, taskSet=first["id"], scale={"value": 75.0})
    again = await create(api, clientToken="once", scale={"value": 50.0})
    assert (again["id"], again["scale"]["value"]) == (first["id"], 75.0)
    with pytest.raises(InvalidParameterException, match="not idempotent"):
        await create(api, clientToken="once", scale={"value": 60.0})
    assert (await create(api))["id"] != (await create(api))["id"]


async def test_a_service_has_five_task_sets_at_most(api: Any, register: Any) -> None:
    await register()
    await create_service(api)
    for _ in range(5):
        await create(api)
    with pytest.raises(InvalidParameterException, match="5 deployments exist on the service"):
        await create(api)


async def test_a_task_set_is_deleted_at_scale_zero_or_by_force(api: Any, register: Any) -> None:
    await register()
    await create_service(api)
    created = await create(api, scale={"value": 50.0})
    id_ = created["id"]
    with pytest.raises(InvalidParameterException, match="scaled above 0"):
        await api("DeleteTaskSet", **HERE, taskSet=id_)
    await api("UpdateTaskSet", **HERE, taskSet=id_, scale={"value": 0.0})
    await api("UpdateServicePrimaryTaskSet", **HERE, primaryTaskSet=id_)
    with pytest.raises(InvalidParameterException, match="primary task set cannot be deleted"):
        await api("DeleteTaskSet", **HERE, taskSet=id_)
    deleted = (await api("DeleteTaskSet", **HERE, taskSet=id_, force=True))["taskSet"]
    assert (deleted["status"], deleted["computedDesiredCount"]) == ("DRAINING", 0)
    assert (await api("DeleteTaskSet", **HERE, taskSet=id_))["taskSet"]["status"] == "DRAINING"
    for operation, members in (
        ("UpdateTaskSet", {"taskSet": id_, "scale": {"value": 1.0}}),
        ("UpdateServicePrimaryTaskSet", {"primaryTaskSet": id_}),
    ):
        with pytest.raises(InvalidParameterException, match="is DRAINING"):
            await api(operation, **HERE, **members)


async def test_a_deleted_service_takes_its_task_sets_with_it(api: Any, register: Any) -> None:
    await register()
    await create_service(api)
    created = await create(api, scale={"value": 50.0})
    deleted = (await api("DeleteService", service="web", force=True))["service"]
    assert [item["status"] for item in deleted["taskSets"]] == ["DRAINING"]
    with pytest.raises(ServiceNotActiveException):
        await api("UpdateTaskSet", **HERE, taskSet=created["id"], scale={"value": 1.0})


REFUSED: dict[str, tuple[str, dict[str, Any], type[ApiError], str]] = {
    "unknown service": ("CreateTaskSet", {"service": "none"}, ServiceNotFoundException, "Service not found."),
    "ECS service": ("CreateTaskSet", {"service": "rolling"}, InvalidParameterException, ONLY_EXTERNAL),
    "change of an ECS service": (
        "UpdateTaskSet",
        {"service": "rolling", "taskSet": "x", "scale": {"value": 1.0}},
        InvalidParameterException,
        ONLY_EXTERNAL,
    ),
    "unknown definition": (
        "CreateTaskSet",
        {"taskDefinition": "none"},
        ClientException,
        "TaskDefinition not found.",
    ),
    "too much": (
        "CreateTaskSet",
        {"scale": {"value": 100.5}},
        InvalidParameterException,
        "between 0 and 100",
    ),
    "too little": (
        "UpdateTaskSet",
        {"taskSet": "ecs-svc/1", "scale": {"value": -1.0}},
        InvalidParameterException,
        "between 0 and 100",
    ),
    "load balancer": (
        "CreateTaskSet",
        {"loadBalancers": [{"targetGroupArn": "x"}]},
        UnsupportedFeatureException,
        "loadBalancers is not available",
    ),
    "fargate": (
        "CreateTaskSet",
        {"launchType": "FARGATE"},
        InvalidParameterException,
        "does not support launch_type FARGATE",
    ),
    "long token": ("CreateTaskSet", {"clientToken": "t" * 37}, InvalidParameterException, "clientToken"),
    "unknown": (
        "UpdateTaskSet",
        {"taskSet": "ecs-svc/2", "scale": {"value": 1.0}},
        TaskSetNotFoundException,
        "The specified task set does not exist.",
    ),
    "no name": ("DeleteTaskSet", {"taskSet": ""}, InvalidParameterException, "can not be blank"),
    "another service's": (
        "UpdateServicePrimaryTaskSet",
        {"primaryTaskSet": "arn:aws:ecs:us-east-1:000000000000:task-set/default/other/ecs-svc/1"},
        InvalidParameterException,
        "is not the ARN of a task set of service web",
    ),
    "not a task set's ARN": (
        "UpdateServicePrimaryTaskSet",
        {"primaryTaskSet": "arn:aws:ecs:us-east-1:000000000000:cluster/default"},
        InvalidParameterException,
        "is not the ARN of a task-set",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_bad_request_is_refused_and_changes_nothing(api: Any, register: Any, case: str) -> None:
    await register()
    await create_service(api)
    await api("CreateService", serviceName="rolling", taskDefinition="web", desiredCount=0)
    api.put(
        TaskSet(
            cluster="default",
            service="web",
            id="ecs-svc/1",
            family="web",
            revision=1,
            settings={"launchType": "EC2"},
            stability_status_at=0.0,
            created_at=0.0,
            updated_at=0.0,
        )
    )
    operation, request, error, message = REFUSED[case]
    if operation == "CreateTaskSet":
        request = {"taskDefinition": "web", **request}
    before = dict(api.read.all(TaskSet)), dict(api.read.all(Service))
    with pytest.raises(error, match=message):
        await api(operation, **{**HERE, **request})
    assert (dict(api.read.all(TaskSet)), dict(api.read.all(Service))) == before


async def test_task_sets_that_are_not_there_are_failures(api: Any) -> None:
    await create_service(api)
    answer = await api("DescribeTaskSets", **HERE, taskSets=["ecs-svc/1"])
    arn = "arn:aws:ecs:us-east-1:000000000000:task-set/default/web/ecs-svc/1"
    assert answer == {"taskSets": [], "failures": [{"arn": arn, "reason": "MISSING"}]}


async def test_protection_is_refused_where_the_task_set_waits_for_protected_tasks(
    api: Any, register: Any
) -> None:
    await register()
    await create_service(api)
    created = await create(api, scale={"value": 25.0})
    for number in range(3):
        until = api.clock.now() + 600 if number < 2 else None
        task = task_of(api, created["id"], number, reported_status="RUNNING", protected_until=until)
        api.put(task)
    answer = await api("UpdateTaskProtection", cluster="default", tasks=[f"{2:032x}"], protectionEnabled=True)
    assert [failure["reason"] for failure in answer["failures"]] == ["DEPLOYMENT_BLOCKED"]


async def test_a_capacity_provider_of_a_task_set_stays_with_its_cluster(api: Any, register: Any) -> None:
    await register("vpc", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512")
    await create_service(api)
    providers = {"cluster": "default", "defaultCapacityProviderStrategy": []}
    await api("PutClusterCapacityProviders", **providers, capacityProviders=["FARGATE"])
    await create(
        api,
        taskDefinition="vpc",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["s"]}},
        capacityProviderStrategy=[{"capacityProvider": "FARGATE"}],
    )
    with pytest.raises(ResourceInUseException):
        await api("PutClusterCapacityProviders", **providers, capacityProviders=[])
