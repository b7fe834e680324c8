"""Service operations."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.api.errors import (
    ApiError,
    ClientException,
    ClusterNotFoundException,
    InvalidParameterException,
    ServiceNotActiveException,
    ServiceNotFoundException,
    UnsupportedFeatureException,
)
from controller.services.events import ServiceEvent, encode_event
from controller.state.changes import Cause
from controller.state.entities import Deployment, Service, Task, TaskContainer
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE

LOOP = Cause(kind="decision", id="service:default/web")


async def create(api: Any, **request: Any) -> dict[str, Any]:
    """A service `web` of two tasks, changed as asked."""
    defaults = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 2}
    answer: dict[str, Any] = (await api("CreateService", **{**defaults, **request}))["service"]
    return answer


async def update(api: Any, **request: Any) -> dict[str, Any]:
    """The service `web` after an update."""
    answer: dict[str, Any] = (await api("UpdateService", service="web", **request))["service"]
    return answer


async def describe(api: Any, **request: Any) -> dict[str, Any]:
    """The service `web` as it is."""
    (service,) = (await api("DescribeServices", **{"services": ["web"], **request}))["services"]
    assert isinstance(service, dict)
    return service


def stored(api: Any) -> Service:
    """The record of the service `web`."""
    service = api.read.get(Service, "default/web")
    assert isinstance(service, Service)
    return service


def deployments(api: Any) -> list[Deployment]:
    """The records of the deployments of `web`, oldest first."""
    records = api.read.select(DEPLOYMENTS_OF_SERVICE, "default/web").values()
    return sorted(records, key=lambda deployment: (deployment.created_at, deployment.status == "PRIMARY"))


def add_task(api: Any, number: int, deployment: str, **changes: Any) -> None:
    """A task of the service, RUNNING if nothing else is said."""
    fields: dict[str, Any] = {
        "cluster": "default",
        "id": f"{number:032x}",
        "family": "web",
        "revision": 1,
        "instance": f"{1:032x}",
        "group": "service:web",
        "service": "web",
        "deployment": deployment,
        "reported_status": "RUNNING",
        "containers": (TaskContainer(name="web", id="c"),),
        "created_at": api.clock.now(),
    }
    api.put(Task(**{**fields, **changes}))


async def test_a_created_service_has_ecs_defaults_and_one_deployment(api: Any, register: Any) -> None:
    definition = await register()
    service = await create(api, tags=[{"key": "a", "value": "b"}])
    assert service["serviceArn"] == "arn:aws:ecs:us-east-1:000000000000:service/default/web"
    assert (service["status"], service["launchType"]) == ("ACTIVE", "EC2")
    assert service["schedulingStrategy"] == "REPLICA"
    assert (service["desiredCount"], service["runningCount"], service["pendingCount"]) == (2, 0, 0)
    assert service["taskDefinition"] == definition
    assert service["deploymentConfiguration"] == {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }
    assert (service["enableECSManagedTags"], service["propagateTags"]) == (False, "NONE")
    assert (service["enableExecuteCommand"], service["healthCheckGracePeriodSeconds"]) == (False, 0)
    assert service["placementConstraints"] == service["placementStrategy"] == service["events"] == []
    assert service["loadBalancers"] == service["serviceRegistries"] == []
    assert service["createdBy"] == "arn:aws:iam::000000000000:user/admin"
    assert service["tags"] == [{"key": "a", "value": "b"}]
    assert "deploymentController" not in service
    (deployment,) = service["deployments"]
    assert deployment["status"] == "PRIMARY"
    assert (deployment["desiredCount"], deployment["failedTasks"]) == (2, 0)
    assert deployment["rolloutState"] == "IN_PROGRESS"
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} in progress."
    number = deployment["id"].removeprefix("ecs-svc/")
    assert service["currentServiceDeployment"].endswith(f":service-deployment/default/web/{number}")
    assert service["currentServiceRevisions"] == [
        {
            "arn": f"arn:aws:ecs:us-east-1:000000000000:service-revision/default/web/{number}",
            "requestedTaskCount": 2,
            "runningTaskCount": 0,
            "pendingTaskCount": 0,
        }
    ]


REFUSED: dict[str, tuple[dict[str, Any], type[ApiError], str]] = {
    "no name": ({"serviceName": ""}, InvalidParameterException, "Service name must not be blank"),
    "odd name": (
        {"serviceName": "a b"},
        InvalidParameterException,
        "Service name contains invalid characters",
    ),
    "long token": ({"clientToken": "t" * 37}, InvalidParameterException, "clientToken"),
    "unknown cluster": ({"cluster": "nope"}, ClusterNotFoundException, "Cluster not found."),
    "unknown definition": ({"taskDefinition": "nope"}, ClientException, "TaskDefinition not found."),
    "negative count": ({"desiredCount": -1}, InvalidParameterException, "cannot be negative"),
    "fargate": ({"launchType": "FARGATE"}, InvalidParameterException, "does not support launch_type FARGATE"),
    "minimum 101": (
        {"deploymentConfiguration": {"minimumHealthyPercent": 101}},
        InvalidParameterException,
        "minimumHealthyPercent should be between 0 and 100",
    ),
    "maximum 0": (
        {"deploymentConfiguration": {"maximumPercent": 0, "minimumHealthyPercent": 0}},
        InvalidParameterException,
        "maximumPercent",
    ),
    "maximum below minimum": (
        {"deploymentConfiguration": {"maximumPercent": 99}},
        InvalidParameterException,
        "maximumPercent",
    ),
    "negative grace": (
        {"healthCheckGracePeriodSeconds": -1},
        InvalidParameterException,
        "healthCheckGracePeriodSeconds",
    ),
    "strategy field": (
        {"placementStrategy": [{"type": "binpack"}]},
        InvalidParameterException,
        "cpu or memory",
    ),
    "daemon with a desired count": (
        {"schedulingStrategy": "DAEMON", "desiredCount": 1},
        InvalidParameterException,
        "does not support a desired count for services",
    ),
    "code deploy": (
        {"deploymentController": {"type": "CODE_DEPLOY"}},
        UnsupportedFeatureException,
        "The deployment controller CODE_DEPLOY is not available",
    ),
    **{
        strategy: (
            {"deploymentConfiguration": {"strategy": strategy}},
            UnsupportedFeatureException,
            f"The deployment strategy {strategy} is not available",
        )
        for strategy in ("BLUE_GREEN", "LINEAR", "CANARY")
    },
    "circuit breaker that no failure trips": (
        {
            "deploymentConfiguration": {
                "deploymentCircuitBreaker": {
                    "enable": True,
                    "rollback": True,
                    "thresholdConfiguration": {"type": "COUNT", "value": 0},
                }
            }
        },
        InvalidParameterException,
        "should be above 0",
    ),
    "circuit breaker with task sets": (
        {
            "deploymentController": {"type": "EXTERNAL"},
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
        },
        InvalidParameterException,
        "only for services with the deployment controller ECS",
    ),
    "alarms": (
        {"deploymentConfiguration": {"alarms": {"alarmNames": ["a"], "enable": True, "rollback": False}}},
        UnsupportedFeatureException,
        "alarms is not available",
    ),
    "bake time of more than a day": (
        {"deploymentConfiguration": {"bakeTimeInMinutes": 1441}},
        InvalidParameterException,
        "between 0 and 1440",
    ),
    "bake time of less than nothing": (
        {"deploymentConfiguration": {"bakeTimeInMinutes": -1}},
        InvalidParameterException,
        "between 0 and 1440",
    ),
    "bake time with task sets": (
        {
            "deploymentController": {"type": "EXTERNAL"},
            "deploymentConfiguration": {"bakeTimeInMinutes": 1},
        },
        InvalidParameterException,
        "only for services with the deployment controller ECS",
    ),
    "hooks": (
        {"deploymentConfiguration": {"lifecycleHooks": [{"hookTargetArn": "x"}]}},
        UnsupportedFeatureException,
        "lifecycleHooks is not available",
    ),
    "load balancer": (
        {"loadBalancers": [{"targetGroupArn": "x", "containerName": "web", "containerPort": 80}]},
        UnsupportedFeatureException,
        "loadBalancers is not available",
    ),
    "registry": (
        {"serviceRegistries": [{"registryArn": "x"}]},
        UnsupportedFeatureException,
        "serviceRegistries is not available",
    ),
    "service connect": (
        {"serviceConnectConfiguration": {"enabled": True}},
        UnsupportedFeatureException,
        "serviceConnectConfiguration is not available",
    ),
    "capacity providers": (
        {"capacityProviderStrategy": [{"capacityProvider": "a"}]},
        InvalidParameterException,
        "not associated with the cluster",
    ),
    "role": ({"role": "r"}, UnsupportedFeatureException, "role is not available"),
    "rebalancing": (
        {"availabilityZoneRebalancing": "ENABLED"},
        UnsupportedFeatureException,
        "availabilityZoneRebalancing is not available",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_bad_request_is_refused_and_creates_nothing(api: Any, register: Any, case: str) -> None:
    await register()
    request, error, message = REFUSED[case]
    with pytest.raises(error) as raised:
        await create(api, **request)
    assert message in raised.value.message
    assert api.read.all(Service) == {}
    assert api.read.all(Deployment) == {}


@pytest.mark.parametrize("member", ["desiredCount", "taskDefinition"])
async def test_a_required_member_is_named(api: Any, register: Any, member: str) -> None:
    await register()
    request = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}
    del request[member]
    with pytest.raises(InvalidParameterException):
        await api("CreateService", **request)


async def test_what_asks_for_nothing_is_no_reason_to_refuse(api: Any, register: Any) -> None:
    await register()
    await create(
        api,
        loadBalancers=[],
        serviceRegistries=[],
        capacityProviderStrategy=[],
        volumeConfigurations=[],
        serviceConnectConfiguration={"enabled": False},
        deploymentController={"type": "ECS"},
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": False, "rollback": False}},
        availabilityZoneRebalancing="DISABLED",
    )
    assert (await describe(api))["deploymentController"] == {"type": "ECS"}


async def test_creating_a_service_again_answers_the_one_that_is(api: Any, register: Any) -> None:
    await register()
    first = await create(api)
    api.clock.advance(5)
    assert await create(api, placementStrategy=[], enableExecuteCommand=False) == first
    assert len(deployments(api)) == 1


@pytest.mark.parametrize(
    "change", [{"desiredCount": 3}, {"taskDefinition": "api"}, {"propagateTags": "SERVICE"}]
)
async def test_creating_another_service_of_a_name_is_refused(
    api: Any, register: Any, change: dict[str, Any]
) -> None:
    await register()
    await register("api")
    await create(api)
    with pytest.raises(InvalidParameterException, match=r"Creation of service was not idempotent\."):
        await create(api, **change)


async def test_the_name_of_a_draining_service_is_not_free(api: Any, register: Any) -> None:
    await register()
    await create(api)
    await api("DeleteService", service="web", force=True)
    with pytest.raises(InvalidParameterException, match="still Draining"):
        await create(api)


async def test_the_name_of_an_inactive_service_is_used_anew(api: Any, register: Any) -> None:
    await register()
    await create(api)
    with api.state.transaction(LOOP) as transaction:
        transaction.record_event("service:default/web", "event", event("old", api.clock.now()))
        transaction.put(replace(stored(api), status="INACTIVE", desired_count=0))
        transaction.put(replace(deployments(api)[0], status="INACTIVE"))
    api.clock.advance(60)
    service = await create(api, desiredCount=1)
    assert (service["status"], service["desiredCount"]) == ("ACTIVE", 1)
    assert [deployment.status for deployment in deployments(api)] == ["PRIMARY"]
    assert (await describe(api))["events"] == []


def event(message: str, at: float) -> str:
    """The body of a service event."""
    return encode_event(ServiceEvent(id="e", created_at=at, message=message))


async def test_another_task_definition_starts_a_deployment(api: Any, register: Any) -> None:
    await register()
    first = await create(api)
    add_task(api, 1, first["deployments"][0]["id"])
    second_definition = await register()
    api.clock.advance(5)
    service = await update(api, taskDefinition="web:2")
    assert service["taskDefinition"] == second_definition
    primary, old = service["deployments"]
    assert (primary["status"], primary["taskDefinition"]) == ("PRIMARY", second_definition)
    assert (primary["desiredCount"], primary["runningCount"]) == (2, 0)
    assert (old["status"], old["id"]) == ("ACTIVE", first["deployments"][0]["id"])
    assert (old["desiredCount"], old["runningCount"]) == (1, 1)
    assert service["runningCount"] == 1
    assert len(service["currentServiceRevisions"]) == 2


async def test_a_third_deployment_leaves_two_to_be_emptied(api: Any, register: Any) -> None:
    for _ in range(3):
        await register()
    await create(api, taskDefinition="web:1")
    for revision in (2, 3):
        api.clock.advance(5)
        await update(api, taskDefinition=f"web:{revision}")
    service = await describe(api)
    shown = [(item["status"], item["taskDefinition"][-1]) for item in service["deployments"]]
    assert shown == [("PRIMARY", "3"), ("ACTIVE", "2"), ("ACTIVE", "1")]


@pytest.mark.parametrize(
    ("change", "started"),
    [
        ({"taskDefinition": "web:1"}, 0),
        ({"desiredCount": 5}, 0),
        ({"deploymentConfiguration": {"minimumHealthyPercent": 50}}, 0),
        ({"placementConstraints": [{"type": "distinctInstance"}]}, 0),
        ({"placementStrategy": [{"type": "random"}]}, 0),
        ({"healthCheckGracePeriodSeconds": 5}, 0),
        ({"enableExecuteCommand": True}, 0),
        ({"enableECSManagedTags": True}, 0),
        ({"propagateTags": "SERVICE"}, 0),
        ({"availabilityZoneRebalancing": "DISABLED"}, 0),
        ({"forceNewDeployment": False}, 0),
        ({"forceNewDeployment": True}, 1),
    ],
)
async def test_only_what_ecs_names_starts_a_deployment(
    api: Any, register: Any, change: dict[str, Any], started: int
) -> None:
    await register()
    await create(api)
    await update(api, **change)
    assert len(deployments(api)) == 1 + started


async def test_another_network_configuration_starts_a_deployment(api: Any, register: Any) -> None:
    await register(networkMode="awsvpc")
    subnets = {"awsvpcConfiguration": {"subnets": ["a"]}}
    service = await create(api, networkConfiguration=subnets)
    assert service["networkConfiguration"] == service["deployments"][0]["networkConfiguration"] == subnets
    await update(api, networkConfiguration=subnets)
    assert len(deployments(api)) == 1
    await update(api, networkConfiguration={"awsvpcConfiguration": {"subnets": ["b"]}})
    assert len(deployments(api)) == 2


async def test_an_update_keeps_what_it_does_not_name(api: Any, register: Any) -> None:
    await register()
    await create(api, deploymentConfiguration={"maximumPercent": 150}, placementStrategy=[{"type": "random"}])
    service = await update(api, desiredCount=5, deploymentConfiguration={"minimumHealthyPercent": 50})
    assert service["desiredCount"] == service["deployments"][0]["desiredCount"] == 5
    assert service["deploymentConfiguration"]["maximumPercent"] == 150
    assert service["deploymentConfiguration"]["minimumHealthyPercent"] == 50
    assert service["placementStrategy"] == [{"type": "random"}]
    assert (await update(api, placementStrategy=[]))["placementStrategy"] == []


async def test_a_forced_deployment_may_use_a_revision_that_became_inactive(api: Any, register: Any) -> None:
    await register()
    await create(api)
    await api("DeregisterTaskDefinition", taskDefinition="web:1")
    service = await update(api, forceNewDeployment=True)
    assert len(service["deployments"]) == 2
    with pytest.raises(ClientException, match="TaskDefinition is inactive"):
        await update(api, taskDefinition="web:1")


async def test_only_an_active_service_can_be_updated(api: Any, register: Any) -> None:
    await register()
    with pytest.raises(ServiceNotFoundException, match=r"Service not found\."):
        await update(api, desiredCount=1)
    await create(api, desiredCount=0)
    await api("DeleteService", service="web")
    with pytest.raises(ServiceNotActiveException, match=r"Service was not ACTIVE\."):
        await update(api, desiredCount=1)


@pytest.mark.parametrize(
    "change", [{"desiredCount": -1}, {"deploymentConfiguration": {"maximumPercent": 50}}]
)
async def test_a_bad_update_changes_nothing(api: Any, register: Any, change: dict[str, Any]) -> None:
    await register()
    await create(api)
    before = stored(api)
    with pytest.raises(InvalidParameterException):
        await update(api, forceNewDeployment=True, **change)
    assert stored(api) == before
    assert len(deployments(api)) == 1


async def test_tasks_are_counted_by_what_they_do(api: Any, register: Any) -> None:
    await register()
    deployment = (await create(api, desiredCount=5))["deployments"][0]["id"]
    add_task(api, 1, deployment)
    add_task(api, 2, deployment, reported_status="PENDING")
    add_task(api, 3, deployment, reported_status="NONE", instance=None)
    add_task(api, 4, deployment, desired_status="STOPPED")
    add_task(api, 5, deployment, reported_status="STOPPED", desired_status="STOPPED")
    add_task(api, 6, deployment, disposition="UNKNOWN")
    service = await describe(api)
    assert (service["runningCount"], service["pendingCount"]) == (1, 2)
    shown = service["deployments"][0]
    assert (shown["desiredCount"], shown["runningCount"], shown["pendingCount"]) == (5, 1, 2)


async def test_events_are_shown_newest_first_and_at_most_a_hundred(api: Any, register: Any) -> None:
    await register()
    await create(api)
    with api.state.transaction(LOOP) as transaction:
        for number in range(120):
            transaction.record_event("service:default/web", "event", event(str(number), api.clock.now()))
    events = (await describe(api))["events"]
    assert [item["message"] for item in events] == [str(number) for number in range(119, 19, -1)]
    assert events[0]["createdAt"] == api.clock.now()


async def test_services_are_described_in_the_asked_order_once_each(api: Any, register: Any) -> None:
    await register()
    await create(api)
    await create(api, serviceName="api")
    arn = "arn:aws:ecs:us-east-1:000000000000:service/default/"
    answer = await api("DescribeServices", services=["web", "nope", arn + "api", "web"])
    assert [service["serviceName"] for service in answer["services"]] == ["web", "api"]
    assert answer["failures"] == [{"arn": arn + "nope", "reason": "MISSING"}]


@pytest.mark.parametrize("number", [0, 11])
async def test_between_one_and_ten_services_are_described(api: Any, number: int) -> None:
    with pytest.raises(InvalidParameterException, match="Services cannot"):
        await api("DescribeServices", services=["web"] * number)


async def test_services_are_listed_ten_at_a_time_by_default(api: Any, register: Any) -> None:
    await register()
    for number in range(12):
        await create(api, serviceName=f"web-{number:02}")
    first = await api("ListServices")
    assert len(first["serviceArns"]) == 10
    second = await api("ListServices", nextToken=first["nextToken"])
    assert "nextToken" not in second
    names = [arn.rpartition("/")[2] for arn in first["serviceArns"] + second["serviceArns"]]
    assert names == [f"web-{number:02}" for number in range(12)]


async def test_services_are_listed_by_filter_while_they_are_active(api: Any, register: Any) -> None:
    await register()
    await create(api)
    await create(api, serviceName="ext", launchType="EXTERNAL", desiredCount=0)

    async def listed(**request: Any) -> list[str]:
        answer = await api("ListServices", **request)
        return [arn.rpartition("/")[2] for arn in answer["serviceArns"]]

    assert await listed() == ["ext", "web"]
    assert await listed(launchType="EXTERNAL") == ["ext"]
    assert await listed(schedulingStrategy="DAEMON") == []
    assert await listed(resourceManagementType="ECS") == []
    await api("DeleteService", service="ext")
    assert await listed() == ["web"]


async def test_a_service_above_zero_is_deleted_only_by_force(api: Any, register: Any) -> None:
    await register()
    await create(api)
    with pytest.raises(InvalidParameterException, match="cannot be stopped while it is scaled above 0"):
        await api("DeleteService", service="web")
    service = (await api("DeleteService", service="web", force=True))["service"]
    assert (service["status"], service["desiredCount"]) == ("DRAINING", 0)
    assert (await api("DeleteService", service="web"))["service"]["status"] == "DRAINING"


async def test_a_deleted_service_stays_describable_and_is_not_deleted_again(api: Any, register: Any) -> None:
    await register()
    await create(api, desiredCount=0)
    await api("DeleteService", service="web")
    with api.state.transaction(LOOP) as transaction:
        transaction.put(replace(stored(api), status="INACTIVE"))
    service = await describe(api)
    assert (service["status"], service["deployments"]) == ("INACTIVE", [])
    assert service["taskDefinition"].endswith("web:1")
    with pytest.raises(ServiceNotFoundException):
        await api("DeleteService", service="web")


async def test_tasks_of_a_service_are_listed_by_its_name(api: Any, register: Any) -> None:
    await register()
    deployment = (await create(api))["deployments"][0]["id"]
    add_task(api, 1, deployment)
    add_task(api, 2, deployment, service=None)
    answer = await api("ListTasks", serviceName="web")
    assert [arn[-1] for arn in answer["taskArns"]] == ["1"]
