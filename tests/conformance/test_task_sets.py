"""Services with the deployment controller EXTERNAL and their task sets, as the official clients see them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import AwsCli
from tests.conformance.played_agent import PlayedAgent
from tests.support.processes import wait_until

SETTLE_S = 30.0


@pytest.fixture
def web(ecs: Any, cluster: str) -> dict[str, str]:
    """An EXTERNAL service of four tasks; the members that name it."""
    ecs.create_service(
        cluster=cluster, serviceName="web", desiredCount=4, deploymentController={"type": "EXTERNAL"}
    )
    return {"cluster": cluster, "service": "web"}


def described(ecs: Any, web: dict[str, str], task_set: str) -> dict[str, Any]:
    """A task set as it is."""
    (shown,) = ecs.describe_task_sets(**web, taskSets=[task_set])["taskSets"]
    assert isinstance(shown, dict)
    return shown


def settle(ecs: Any, web: dict[str, str], agent: PlayedAgent, *task_sets: str) -> None:
    """Play the agent until task sets have reached their steady state."""

    def steady() -> bool:
        agent.run_everything()
        shown = ecs.describe_task_sets(**web, taskSets=list(task_sets))["taskSets"]
        return all(item["stabilityStatus"] == "STEADY_STATE" for item in shown)

    wait_until(steady, "the task sets are steady", SETTLE_S)


def started_by(ecs: Any, web: dict[str, str], task_set: str) -> list[str]:
    """ARNs of the tasks that a task set has started and that are to run."""
    arns: list[str] = ecs.list_tasks(cluster=web["cluster"], startedBy=task_set)["taskArns"]
    return arns


def test_a_controller_of_ones_own_moves_a_service_from_blue_to_green(
    ecs: Any, web: dict[str, str], family: str, agent: PlayedAgent
) -> None:
    everything = {"value": 100.0, "unit": "PERCENT"}
    blue = ecs.create_task_set(**web, taskDefinition=family, externalId="blue", scale=everything)["taskSet"]
    assert (blue["status"], blue["stabilityStatus"], blue["computedDesiredCount"]) == (
        "ACTIVE",
        "STABILIZING",
        4,
    )
    settle(ecs, web, agent, blue["id"])
    ecs.update_service_primary_task_set(**web, primaryTaskSet=blue["id"])
    assert len(started_by(ecs, web, blue["id"])) == 4

    second = ecs.register_task_definition(
        family=family, containerDefinitions=[{"name": "web", "image": "web:2", "memory": 64}]
    )["taskDefinition"]["taskDefinitionArn"]
    quarter = {"value": 25.0, "unit": "PERCENT"}
    green = ecs.create_task_set(**web, taskDefinition=second, externalId="green", scale=quarter)["taskSet"]
    settle(ecs, web, agent, blue["id"], green["id"])
    (canary,) = started_by(ecs, web, green["id"])
    (task,) = ecs.describe_tasks(cluster=web["cluster"], tasks=[canary])["tasks"]
    assert (task["group"], task["startedBy"], task["taskDefinitionArn"]) == (
        "service:web",
        green["id"],
        second,
    )

    ecs.update_task_set(**web, taskSet=green["taskSetArn"], scale=everything)
    settle(ecs, web, agent, green["id"])
    ecs.update_service_primary_task_set(**web, primaryTaskSet=green["taskSetArn"])
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="scaled above 0"):
        ecs.delete_task_set(**web, taskSet=blue["id"])
    assert ecs.delete_task_set(**web, taskSet=blue["id"], force=True)["taskSet"]["status"] == "DRAINING"

    def is_gone() -> bool:
        agent.run_everything()
        return bool(ecs.describe_task_sets(**web, taskSets=[blue["id"]])["failures"])

    wait_until(is_gone, "the blue task set is gone", SETTLE_S)
    (service,) = ecs.describe_services(cluster=web["cluster"], services=["web"])["services"]
    assert (service["runningCount"], service["pendingCount"], service["deployments"]) == (4, 0, [])
    assert service["taskDefinition"] == second
    assert [(item["id"], item["status"]) for item in service["taskSets"]] == [(green["id"], "PRIMARY")]
    assert f"(service web, taskSet {green['id']}) has reached a steady state." in [
        event["message"] for event in service["events"]
    ]
    with pytest.raises(ecs.exceptions.TaskSetNotFoundException):
        ecs.update_task_set(**web, taskSet=blue["id"], scale=quarter)


def test_the_desired_count_of_the_service_moves_every_task_set(
    ecs: Any, web: dict[str, str], family: str, agent: PlayedAgent
) -> None:
    half = {"value": 50.0, "unit": "PERCENT"}
    first = ecs.create_task_set(**web, taskDefinition=family, scale=half)["taskSet"]["id"]
    second = ecs.create_task_set(**web, taskDefinition=family, scale={"value": 10.0})["taskSet"]["id"]
    settle(ecs, web, agent, first, second)
    counts = [described(ecs, web, id_)["runningCount"] for id_ in (first, second)]
    assert counts == [2, 1]
    ecs.update_service(**web, desiredCount=1)
    assert [described(ecs, web, id_)["computedDesiredCount"] for id_ in (first, second)] == [1, 1]
    settle(ecs, web, agent, first, second)
    counts = [described(ecs, web, id_)["runningCount"] for id_ in (first, second)]
    assert counts == [1, 1]


def test_a_task_set_takes_what_a_service_would(ecs: Any, web: dict[str, str], name: str) -> None:
    ecs.register_task_definition(
        family=name,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "web", "image": "web:1"}],
    )
    network = {
        "awsvpcConfiguration": {
            "subnets": ["subnet-1"],
            "securityGroups": ["sg-1"],
            "assignPublicIp": "ENABLED",
        }
    }
    request = {
        **web,
        "taskDefinition": name,
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "networkConfiguration": network,
        "clientToken": "once",
        "tags": [{"key": "team", "value": "web"}],
    }
    created = ecs.create_task_set(**request)["taskSet"]
    assert created["networkConfiguration"] == network
    assert (created["launchType"], created["platformVersion"], created["platformFamily"]) == (
        "FARGATE",
        "1.4.0",
        "Linux",
    )
    assert ecs.create_task_set(**request)["taskSet"]["id"] == created["id"]
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="not idempotent"):
        ecs.create_task_set(**request, externalId="other")
    ecs.put_cluster_capacity_providers(
        cluster=web["cluster"], capacityProviders=["FARGATE"], defaultCapacityProviderStrategy=[]
    )
    strategy = [{"capacityProvider": "FARGATE", "base": 1, "weight": 1}]
    by_strategy = ecs.create_task_set(
        **web, taskDefinition=name, networkConfiguration=network, capacityProviderStrategy=strategy
    )["taskSet"]
    assert by_strategy["capacityProviderStrategy"] == strategy
    shown = ecs.describe_task_sets(**web, include=["TAGS"])["taskSets"]
    assert sorted(item["tags"] for item in shown) == [[], [{"key": "team", "value": "web"}]]


def test_a_service_that_is_deleted_takes_its_task_sets_with_it(
    ecs: Any, web: dict[str, str], family: str, agent: PlayedAgent
) -> None:
    task_set = ecs.create_task_set(**web, taskDefinition=family, scale={"value": 100.0})["taskSet"]["id"]
    settle(ecs, web, agent, task_set)
    ecs.delete_service(**web, force=True)

    def is_inactive() -> bool:
        agent.run_everything()
        (service,) = ecs.describe_services(cluster=web["cluster"], services=["web"])["services"]
        return bool(service["status"] == "INACTIVE" and service["taskSets"] == [])

    wait_until(is_inactive, "the service is INACTIVE", SETTLE_S)
    with pytest.raises(ecs.exceptions.ServiceNotActiveException):
        ecs.describe_task_sets(**web)


def test_only_external_services_have_task_sets(ecs: Any, cluster: str, family: str) -> None:
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=0)
    service = {"cluster": cluster, "service": "web"}
    assert ecs.describe_task_sets(**service, include=["TAGS"])["taskSets"] == []
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="use external deployment controllers"):
        ecs.create_task_set(**service, taskDefinition=family)
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="TaskDefinition must be blank"):
        ecs.create_service(
            cluster=cluster,
            serviceName="other",
            taskDefinition=family,
            deploymentController={"type": "EXTERNAL"},
        )


def test_task_sets_from_the_command_line(aws: AwsCli) -> None:
    containers = '[{"name":"web","image":"busybox","memory":16}]'
    aws("register-task-definition", "--family", "sets", "--container-definitions", containers)
    aws("create-cluster", "--cluster-name", "sets")
    web = ("--cluster", "sets", "--service", "web")
    aws(
        "create-service",
        *("--cluster", "sets", "--service-name", "web", "--desired-count", "2"),
        *("--deployment-controller", "type=EXTERNAL"),
    )
    created = aws("create-task-set", *web, "--task-definition", "sets", "--scale", "value=50,unit=PERCENT")
    id_ = created["taskSet"]["id"]
    assert created["taskSet"]["computedDesiredCount"] == 1
    updated = aws("update-task-set", *web, "--task-set", id_, "--scale", "value=0,unit=PERCENT")
    assert updated["taskSet"]["computedDesiredCount"] == 0
    aws("update-service-primary-task-set", *web, "--primary-task-set", id_)
    (shown,) = aws("describe-task-sets", *web)["taskSets"]
    assert (shown["id"], shown["status"]) == (id_, "PRIMARY")
    assert aws("delete-task-set", *web, "--task-set", id_, "--force")["taskSet"]["status"] == "DRAINING"
