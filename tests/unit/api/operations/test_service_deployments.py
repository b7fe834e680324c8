"""Service deployments and service revisions."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.api.errors import (
    ApiError,
    ConflictException,
    InvalidParameterException,
    ServiceDeploymentNotFoundException,
    ServiceNotFoundException,
)
from controller.services.rollout import complete
from controller.state.changes import Cause
from controller.state.entities import Deployment, Service, Task, TaskContainer
from controller.state.history import retire_deployment
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE

WEB = "default/web"
PREFIX = "arn:aws:ecs:us-east-1:000000000000:"


@pytest.fixture(autouse=True)
async def service(api: Any, register: Any) -> None:
    """The service `web` of two tasks."""
    await register()
    await api("CreateService", serviceName="web", taskDefinition="web", desiredCount=2)


def records(api: Any) -> list[Deployment]:
    """Deployments of the service, oldest first."""
    found = api.read.select(DEPLOYMENTS_OF_SERVICE, WEB).values()
    return sorted(found, key=lambda item: (item.created_at, item.status == "PRIMARY"))


def primary(api: Any) -> Deployment:
    """The PRIMARY deployment."""
    return next(item for item in records(api) if item.status == "PRIMARY")


def arn(deployment: Deployment, kind: str = "service-deployment") -> str:
    """ARN of a deployment or of its revision."""
    return f"{PREFIX}{kind}/default/web/{deployment.id.removeprefix('ecs-svc/')}"


def completed(api: Any) -> Deployment:
    """The PRIMARY deployment, completed."""
    done = complete(primary(api), api.clock.now())
    api.put(done)
    return done


async def update(api: Any, **request: Any) -> Deployment:
    """The deployment that an update starts."""
    api.clock.advance(1.0)
    await api("UpdateService", service="web", **{"forceNewDeployment": True, **request})
    return primary(api)


async def described(api: Any, deployment: Deployment) -> dict[str, Any]:
    """A service deployment as it is shown."""
    answer = await api("DescribeServiceDeployments", serviceDeploymentArns=[arn(deployment)])
    assert answer["failures"] == []
    (shown,) = answer["serviceDeployments"]
    assert isinstance(shown, dict)
    return shown


def add_task(api: Any, number: int, deployment: Deployment) -> None:
    """A RUNNING task of a deployment."""
    container = TaskContainer(name="web", id="c", image_digest="sha256:1")
    api.put(
        Task(
            cluster="default",
            id=f"{number:032x}",
            family="web",
            revision=1,
            instance=f"{1:032x}",
            service="web",
            deployment=deployment.id,
            reported_status="RUNNING",
            containers=(container,),
            created_at=api.clock.now(),
        )
    )


async def test_the_first_deployment_comes_from_no_revision(api: Any) -> None:
    first = primary(api)
    shown = await described(api, first)
    assert shown["serviceDeploymentArn"] == arn(first)
    assert shown["serviceArn"] == f"{PREFIX}service/default/web"
    assert (shown["status"], shown["sourceServiceRevisions"]) == ("IN_PROGRESS", [])
    assert shown["statusReason"] == f"ECS deployment {first.id} in progress."
    assert shown["targetServiceRevision"]["arn"] == arn(first, "service-revision")
    assert shown["targetServiceRevision"]["requestedTaskCount"] == 2
    assert shown["deploymentConfiguration"]["maximumPercent"] == 200
    assert shown["deploymentCircuitBreaker"] == {"status": "DISABLED", "failureCount": 0, "threshold": 3}
    assert "finishedAt" not in shown
    assert "rollback" not in shown


async def test_a_deployment_goes_from_the_revision_that_ran(api: Any) -> None:
    first = completed(api)
    add_task(api, 1, first)
    second = await update(api)
    add_task(api, 2, second)
    shown = await described(api, second)
    (source,) = shown["sourceServiceRevisions"]
    assert (source["arn"], source["runningTaskCount"]) == (arn(first, "service-revision"), 1)
    assert shown["targetServiceRevision"]["runningTaskCount"] == 1
    assert (await described(api, first))["status"] == "SUCCESSFUL"
    (service,) = (await api("DescribeServices", services=["web"]))["services"]
    assert service["currentServiceDeployment"] == arn(second)
    assert [item["arn"] for item in service["currentServiceRevisions"]] == [
        arn(second, "service-revision"),
        arn(first, "service-revision"),
    ]


async def test_a_newer_deployment_stops_the_one_before(api: Any) -> None:
    first = primary(api)
    await update(api)
    shown = await described(api, first)
    assert (shown["status"], shown["statusReason"]) == ("STOPPED", "Replaced by a newer service deployment.")
    assert shown["stoppedAt"] == shown["finishedAt"] == api.clock.now()


async def test_a_revision_keeps_its_own_settings(api: Any, register: Any) -> None:
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    first = completed(api)
    add_task(api, 1, first)
    await register(networkMode="awsvpc", container={"portMappings": []})
    second = await update(api, taskDefinition="web", networkConfiguration=network)
    answer = await api(
        "DescribeServiceRevisions",
        serviceRevisionArns=[arn(first, "service-revision"), arn(second, "service-revision")],
    )
    old, new = answer["serviceRevisions"]
    assert old["taskDefinition"] == f"{PREFIX}task-definition/web:1"
    assert old["containerImages"] == [{"containerName": "web", "image": "web:1", "imageDigest": "sha256:1"}]
    assert "networkConfiguration" not in old
    assert (new["launchType"], new["networkConfiguration"]) == ("EC2", network)
    assert new["createdAt"] == second.created_at
    (service,) = (await api("DescribeServices", services=["web"]))["services"]
    assert ["networkConfiguration" in item for item in service["deployments"]] == [True, False]


async def test_deployments_that_left_are_listed_and_described_with_those_that_go_on(api: Any) -> None:
    first = completed(api)
    second = await update(api)
    with api.state.transaction(Cause("decision")) as transaction:
        retire_deployment(transaction, next(item for item in records(api) if item.id == first.id))
    completed(api)
    third = await update(api)
    listed = await api("ListServiceDeployments", service="web")
    assert [item["serviceDeploymentArn"] for item in listed["serviceDeployments"]] == [
        arn(third),
        arn(second),
        arn(first),
    ]
    assert (await described(api, first))["status"] == "SUCCESSFUL"
    revision = await api("DescribeServiceRevisions", serviceRevisionArns=[arn(first, "service-revision")])
    assert revision["serviceRevisions"][0]["createdAt"] == first.created_at
    only = await api("ListServiceDeployments", service="web", status=["IN_PROGRESS"])
    assert [item["targetServiceRevisionArn"] for item in only["serviceDeployments"]] == [
        arn(third, "service-revision")
    ]
    between = {"after": first.created_at, "before": third.created_at}
    some = await api("ListServiceDeployments", service="web", createdAt=between)
    assert [item["serviceDeploymentArn"] for item in some["serviceDeployments"]] == [arn(second)]
    page = await api("ListServiceDeployments", service="web", maxResults=2)
    rest = await api("ListServiceDeployments", service="web", nextToken=page["nextToken"])
    assert page["serviceDeployments"] + rest["serviceDeployments"] == listed["serviceDeployments"]
    with pytest.raises(ConflictException, match="it is SUCCESSFUL"):
        await api("StopServiceDeployment", serviceDeploymentArn=arn(first))


async def test_a_service_does_not_list_the_deployments_of_an_earlier_one_of_its_name(api: Any) -> None:
    first = completed(api)
    api.put(replace(api.read.get(Service, WEB), status="INACTIVE"))
    api.clock.advance(1.0)
    await api("CreateService", serviceName="web", taskDefinition="web", desiredCount=1)
    listed = await api("ListServiceDeployments", service="web")
    assert [item["serviceDeploymentArn"] for item in listed["serviceDeployments"]] == [arn(primary(api))]
    assert (await described(api, first))["status"] == "SUCCESSFUL"


async def test_unknown_deployments_and_revisions_are_failures(api: Any) -> None:
    unknown = f"{PREFIX}service-deployment/default/web/1"
    answer = await api("DescribeServiceDeployments", serviceDeploymentArns=[unknown])
    assert answer["failures"] == [{"arn": unknown, "reason": "MISSING"}]
    elsewhere = "arn:aws:ecs:eu-west-1:000000000000:service-revision/default/web/1"
    answer = await api("DescribeServiceRevisions", serviceRevisionArns=[elsewhere])
    assert answer["failures"] == [{"arn": elsewhere, "reason": "MISSING"}]


async def test_a_rollback_makes_the_last_completed_revision_what_the_service_runs(
    api: Any, register: Any
) -> None:
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    first = completed(api)
    await register(networkMode="awsvpc", container={"portMappings": []})
    await update(api)
    second = await update(api, taskDefinition="web", networkConfiguration=network)
    answer = await api("StopServiceDeployment", serviceDeploymentArn=arn(second))
    assert answer == {"serviceDeploymentArn": arn(second)}
    assert await api("StopServiceDeployment", serviceDeploymentArn=arn(second)) == answer
    shown = await described(api, second)
    assert shown["status"] == "ROLLBACK_IN_PROGRESS"
    assert shown["rollback"] == {
        "reason": "Stopped by StopServiceDeployment",
        "startedAt": api.clock.now(),
        "serviceRevisionArn": arn(first, "service-revision"),
    }
    (service,) = (await api("DescribeServices", services=["web"]))["services"]
    assert service["taskDefinition"] == f"{PREFIX}task-definition/web:1"
    assert "networkConfiguration" not in service
    assert service["currentServiceDeployment"] == arn(second)
    now, *before = service["deployments"]
    assert (now["id"], now["status"], now["rolloutState"]) == (first.id, "PRIMARY", "IN_PROGRESS")
    assert [item["rolloutState"] for item in before if item["id"] == second.id] == ["FAILED"]
    assert service["events"][0]["message"] == f"(service web) rolling back to deployment {first.id}."
    third = await update(api)
    assert (await described(api, second))["status"] == "ROLLBACK_FAILED"
    assert third.rolls_back_to == first.id


async def test_an_aborted_deployment_is_stopped_where_it_is(api: Any) -> None:
    first = completed(api)
    second = await update(api)
    await api("StopServiceDeployment", serviceDeploymentArn=arn(second), stopType="ABORT")
    assert (await described(api, second))["status"] == "STOPPED"
    assert (primary(api).id, primary(api).rollout_state) == (second.id, "FAILED")
    with pytest.raises(ConflictException, match="it is STOPPED"):
        await api("StopServiceDeployment", serviceDeploymentArn=arn(second))
    third = await update(api)
    assert third.rolls_back_to == first.id


async def test_an_aborted_rollback_has_failed(api: Any) -> None:
    first = completed(api)
    second = await update(api)
    await api("StopServiceDeployment", serviceDeploymentArn=arn(second), stopType="ROLLBACK")
    await api("StopServiceDeployment", serviceDeploymentArn=arn(second), stopType="ABORT")
    assert (await described(api, second))["status"] == "ROLLBACK_FAILED"
    assert (primary(api).id, primary(api).rollout_state) == (first.id, "FAILED")
    assert (await described(api, first))["status"] == "SUCCESSFUL"


async def test_without_a_completed_deployment_there_is_nothing_to_roll_back_to(api: Any) -> None:
    before = records(api)
    with pytest.raises(InvalidParameterException, match="use the stop type ABORT"):
        await api("StopServiceDeployment", serviceDeploymentArn=arn(primary(api)))
    assert records(api) == before


async def test_no_deployment_waits_at_a_hook(api: Any) -> None:
    with pytest.raises(InvalidParameterException, match="waits at no lifecycle hook h-1"):
        await api("ContinueServiceDeployment", serviceDeploymentArn=arn(primary(api)), hookId="h-1")


@pytest.mark.parametrize(
    ("operation", "request_", "error"),
    [
        ("ListServiceDeployments", {"service": "none"}, ServiceNotFoundException),
        ("ListServiceDeployments", {"service": "web", "maxResults": 101}, InvalidParameterException),
        ("DescribeServiceDeployments", {"serviceDeploymentArns": []}, InvalidParameterException),
        ("DescribeServiceDeployments", {"serviceDeploymentArns": ["web"]}, InvalidParameterException),
        (
            "DescribeServiceRevisions",
            {"serviceRevisionArns": [f"{PREFIX}service-deployment/default/web/1"]},
            InvalidParameterException,
        ),
        (
            "DescribeServiceRevisions",
            {"serviceRevisionArns": [f"{PREFIX}service-revision/default/web/{n}" for n in range(21)]},
            InvalidParameterException,
        ),
        (
            "StopServiceDeployment",
            {"serviceDeploymentArn": f"{PREFIX}service-deployment/default/web/1"},
            ServiceDeploymentNotFoundException,
        ),
        (
            "ContinueServiceDeployment",
            {"serviceDeploymentArn": f"{PREFIX}service-deployment/default/web/1", "hookId": "h"},
            ServiceDeploymentNotFoundException,
        ),
    ],
)
async def test_what_is_refused(
    api: Any, operation: str, request_: dict[str, Any], error: type[ApiError]
) -> None:
    with pytest.raises(error):
        await api(operation, **request_)


async def test_the_stage_of_a_deployment_follows_its_tasks(api: Any) -> None:
    first = primary(api)
    assert (await described(api, first))["lifecycleStage"] == "SCALE_UP"
    for number in (1, 2):
        add_task(api, number, first)
    assert (await described(api, first))["lifecycleStage"] == "CLEAN_UP"
    completed(api)
    assert "lifecycleStage" not in await described(api, first)
    second = await update(api)
    assert (await described(api, second))["lifecycleStage"] == "SCALE_UP"
    await api("StopServiceDeployment", serviceDeploymentArn=arn(second))
    shown = await described(api, second)
    assert (shown["status"], shown["lifecycleStage"]) == ("ROLLBACK_IN_PROGRESS", "CLEAN_UP")
    assert shown["targetServiceRevision"]["requestedTestTrafficWeight"] == 0.0
