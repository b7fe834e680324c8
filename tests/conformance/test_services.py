"""Services, as the official clients see them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.conftest import AwsCli
from tests.conformance.played_agent import PlayedAgent
from tests.support.processes import wait_until

SETTLE_S = 30.0


def described(ecs: Any, cluster: str, service: str) -> dict[str, Any]:
    """The service as it is."""
    (shown,) = ecs.describe_services(cluster=cluster, services=[service])["services"]
    assert isinstance(shown, dict)
    return shown


def settle(ecs: Any, agent: PlayedAgent, cluster: str, service: str) -> dict[str, Any]:
    """Play the agent until the service is stable as its waiter understands it."""

    def stable() -> bool:
        agent.run_everything()
        shown = described(ecs, cluster, service)
        return len(shown["deployments"]) == 1 and shown["runningCount"] == shown["desiredCount"]

    wait_until(stable, f"{service} is stable", SETTLE_S)
    return described(ecs, cluster, service)


def test_a_service_lives_from_its_creation_to_its_deletion(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    service = ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=2)[
        "service"
    ]
    assert (service["status"], service["desiredCount"]) == ("ACTIVE", 2)
    settle(ecs, agent, cluster, "web")
    ecs.get_waiter("services_stable").wait(cluster=cluster, services=["web"], WaiterConfig={"Delay": 1})
    tasks = ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
    (deployment,) = described(ecs, cluster, "web")["deployments"]
    shown = ecs.describe_tasks(cluster=cluster, tasks=tasks)["tasks"]
    assert {(task["group"], task["startedBy"]) for task in shown} == {("service:web", deployment["id"])}

    with pytest.raises(ClientError) as error:
        ecs.delete_service(cluster=cluster, service="web")
    assert (
        error.value.response["Error"]["Message"]
        == "The service cannot be stopped while it is scaled above 0."
    )
    assert ecs.delete_service(cluster=cluster, service="web", force=True)["service"]["status"] == "DRAINING"
    assert ecs.list_services(cluster=cluster)["serviceArns"] == []

    def inactive() -> bool:
        agent.run_everything()
        return bool(described(ecs, cluster, "web")["status"] == "INACTIVE")

    wait_until(inactive, "the service is INACTIVE", SETTLE_S)
    ecs.get_waiter("services_inactive").wait(cluster=cluster, services=["web"], WaiterConfig={"Delay": 1})
    again = ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=0)[
        "service"
    ]
    assert (again["status"], again["events"]) == ("ACTIVE", [])


def test_an_update_rolls_to_the_new_revision(ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> None:
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=2)
    settle(ecs, agent, cluster, "web")
    second = ecs.register_task_definition(
        family=family, containerDefinitions=[{"name": "web", "image": "web:2", "memory": 64}]
    )["taskDefinition"]["taskDefinitionArn"]
    updated = ecs.update_service(cluster=cluster, service="web", taskDefinition=family)["service"]
    assert [item["status"] for item in updated["deployments"]] == ["PRIMARY", "ACTIVE"]
    assert updated["taskDefinition"] == second
    settle(ecs, agent, cluster, "web")
    tasks = ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
    shown = ecs.describe_tasks(cluster=cluster, tasks=tasks)["tasks"]
    assert {task["taskDefinitionArn"] for task in shown} == {second}
    wait_until(
        lambda: described(ecs, cluster, "web")["deployments"][0]["rolloutState"] == "COMPLETED",
        "the deployment is completed",
        SETTLE_S,
    )
    messages = [event["message"] for event in described(ecs, cluster, "web")["events"]]
    assert any(message == "(service web) has reached a steady state." for message in messages)
    assert any(message.startswith("(service web) has started 2 tasks: (task ") for message in messages)


def test_scaling_starts_no_deployment(ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> None:
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=1)
    before = described(ecs, cluster, "web")["deployments"][0]["id"]
    ecs.update_service(cluster=cluster, service="web", desiredCount=3)
    after = settle(ecs, agent, cluster, "web")
    assert after["runningCount"] == 3
    assert [deployment["id"] for deployment in after["deployments"]] == [before]


def test_repeating_a_creation_is_idempotent_and_another_is_not(ecs: Any, cluster: str, family: str) -> None:
    request = {"cluster": cluster, "serviceName": "web", "taskDefinition": family, "desiredCount": 0}
    first = ecs.create_service(**request)["service"]
    assert ecs.create_service(**request)["service"]["createdAt"] == first["createdAt"]
    with pytest.raises(ClientError) as error:
        ecs.create_service(**{**request, "desiredCount": 1})
    assert error.value.response["Error"]["Code"] == "InvalidParameterException"
    assert error.value.response["Error"]["Message"] == "Creation of service was not idempotent."


def test_unknown_services_fail_the_waiter_at_once(ecs: Any, cluster: str) -> None:
    answer = ecs.describe_services(cluster=cluster, services=["web"])
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]
    with pytest.raises(ecs.exceptions.ServiceNotFoundException):
        ecs.update_service(cluster=cluster, service="web", desiredCount=1)


@pytest.mark.parametrize(
    "request_",
    [
        {"deploymentController": {"type": "CODE_DEPLOY"}},
        {"deploymentConfiguration": {"strategy": "BLUE_GREEN"}},
        {"loadBalancers": [{"targetGroupArn": "x", "containerName": "web", "containerPort": 80}]},
        {"serviceConnectConfiguration": {"enabled": True}},
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    ecs: Any, cluster: str, family: str, request_: dict[str, Any]
) -> None:
    with pytest.raises(
        ecs.exceptions.UnsupportedFeatureException, match="is not available on this controller"
    ):
        ecs.create_service(
            cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=1, **request_
        )


def test_a_daemon_service_has_a_task_on_the_instance_and_no_desired_count_of_its_own(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    created = ecs.create_service(
        cluster=cluster, serviceName="web", taskDefinition=family, schedulingStrategy="DAEMON"
    )["service"]
    assert (created["schedulingStrategy"], created["desiredCount"]) == ("DAEMON", 1)
    percentages = created["deploymentConfiguration"]
    assert (percentages["maximumPercent"], percentages["minimumHealthyPercent"]) == (100, 0)
    shown = settle(ecs, agent, cluster, "web")
    ecs.get_waiter("services_stable").wait(cluster=cluster, services=["web"], WaiterConfig={"Delay": 1})
    assert (shown["desiredCount"], shown["runningCount"]) == (1, 1)
    assert ecs.list_services(cluster=cluster, schedulingStrategy="DAEMON")["serviceArns"] == [
        shown["serviceArn"]
    ]
    for refused in ({"desiredCount": 2}, {"deploymentConfiguration": {"maximumPercent": 200}}):
        with pytest.raises(ecs.exceptions.InvalidParameterException, match="daemon scheduling strategy"):
            ecs.update_service(cluster=cluster, service="web", **refused)
    assert ecs.delete_service(cluster=cluster, service="web")["service"]["status"] == "DRAINING"


def test_the_paginator_lists_every_service_once(ecs: Any, cluster: str, family: str) -> None:
    names = [f"web-{number:02}" for number in range(12)]
    for service in names:
        ecs.create_service(cluster=cluster, serviceName=service, taskDefinition=family, desiredCount=0)
    pages = ecs.get_paginator("list_services").paginate(cluster=cluster)
    assert [arn.rpartition("/")[2] for page in pages for arn in page["serviceArns"]] == names


def test_the_aws_cli_deploys_and_waits(
    ecs: Any, aws: AwsCli, cluster: str, family: str, agent: PlayedAgent
) -> None:
    aws(
        "create-service",
        *("--cluster", cluster, "--service-name", "web", "--task-definition", family, "--desired-count", "1"),
    )
    settle(ecs, agent, cluster, "web")
    aws("wait", "services-stable", "--cluster", cluster, "--services", "web")
    shown = aws("describe-services", "--cluster", cluster, "--services", "web")
    assert shown["services"][0]["runningCount"] == 1


def test_scaling_in_spares_protected_tasks(ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> None:
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=2)
    settle(ecs, agent, cluster, "web")
    tasks = ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
    (protected,) = ecs.update_task_protection(cluster=cluster, tasks=tasks[:1], protectionEnabled=True)[
        "protectedTasks"
    ]
    assert protected["protectionEnabled"]
    assert ecs.get_task_protection(cluster=cluster, tasks=tasks[:1])["protectedTasks"] == [protected]
    ecs.update_service(cluster=cluster, service="web", desiredCount=1)
    settle(ecs, agent, cluster, "web")
    assert ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"] == tasks[:1]


def test_a_deployment_that_fails_is_rolled_back_by_its_circuit_breaker(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    breaker = {
        "enable": True,
        "rollback": True,
        "resetOnHealthyTask": False,
        "thresholdConfiguration": {"type": "COUNT", "value": 2},
    }
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=1,
        deploymentConfiguration={"deploymentCircuitBreaker": breaker},
    )
    first = settle(ecs, agent, cluster, "web")
    assert first["deploymentConfiguration"]["deploymentCircuitBreaker"] == breaker
    wait_until(lambda: _deployment(ecs, first)["status"] == "SUCCESSFUL", "the first has ended", SETTLE_S)
    assert _deployment(ecs, first)["deploymentCircuitBreaker"] == {
        "status": "MONITORING_COMPLETE",
        "failureCount": 0,
        "threshold": 2,
    }
    second = ecs.update_service(cluster=cluster, service="web", forceNewDeployment=True)["service"]
    assert _deployment(ecs, second)["deploymentCircuitBreaker"]["status"] == "MONITORING"
    id_ = second["deployments"][0]["id"]

    def fails() -> bool:
        for arn in ecs.list_tasks(cluster=cluster, startedBy=id_)["taskArns"]:
            ecs.submit_task_state_change(cluster=cluster, task=arn, status="STOPPED", reason="no such image")
        return bool(_deployment(ecs, second)["status"].startswith("ROLLBACK_"))

    wait_until(fails, "the second is rolled back", SETTLE_S)
    shown = settle(ecs, agent, cluster, "web")
    assert [item["id"] for item in shown["deployments"]] == [first["deployments"][0]["id"]]
    failed = _deployment(ecs, second)
    assert failed["status"] == "ROLLBACK_SUCCESSFUL"
    assert failed["deploymentCircuitBreaker"] == {"status": "TRIGGERED", "failureCount": 2, "threshold": 2}
    assert failed["rollback"]["serviceRevisionArn"] == first["currentServiceRevisions"][0]["arn"]
    messages = [event["message"] for event in shown["events"]]
    number = id_.rpartition("/")[2]
    failure = f"(service web) (deployment ecs-svc/{number}) deployment failed: tasks failed to start."
    assert any(message.startswith(failure) and "no such image" in message for message in messages)
    assert f"(service web) rolling back to deployment {first['deployments'][0]['id']}." in messages


def test_a_deployment_with_a_bake_time_stays_in_progress_while_its_service_is_stable(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=family,
        desiredCount=1,
        deploymentConfiguration={"bakeTimeInMinutes": 5},
    )
    shown = settle(ecs, agent, cluster, "web")
    ecs.get_waiter("services_stable").wait(cluster=cluster, services=["web"], WaiterConfig={"Delay": 1})
    wait_until(
        lambda: _deployment(ecs, shown).get("lifecycleStage") == "BAKE_TIME", "the deployment bakes", SETTLE_S
    )
    assert _deployment(ecs, shown)["status"] == "IN_PROGRESS"
    assert shown["deploymentConfiguration"]["bakeTimeInMinutes"] == 5
    ecs.update_service(cluster=cluster, service="web", deploymentConfiguration={"bakeTimeInMinutes": 0})
    wait_until(lambda: _deployment(ecs, shown)["status"] == "SUCCESSFUL", "it has ended", SETTLE_S)


def test_a_deployment_that_is_stopped_is_rolled_back(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=1)
    first = settle(ecs, agent, cluster, "web")
    wait_until(lambda: _deployment(ecs, first)["status"] == "SUCCESSFUL", "the first has ended", SETTLE_S)
    second = ecs.update_service(cluster=cluster, service="web", forceNewDeployment=True)["service"]
    arn = second["currentServiceDeployment"]
    assert ecs.stop_service_deployment(serviceDeploymentArn=arn)["serviceDeploymentArn"] == arn
    settle(ecs, agent, cluster, "web")
    wait_until(
        lambda: _deployment(ecs, second)["status"] == "ROLLBACK_SUCCESSFUL", "it is rolled back", SETTLE_S
    )
    (revision,) = ecs.describe_service_revisions(
        serviceRevisionArns=[_deployment(ecs, second)["rollback"]["serviceRevisionArn"]]
    )["serviceRevisions"]
    assert revision["taskDefinition"] == first["taskDefinition"]
    listed = ecs.list_service_deployments(cluster=cluster, service="web")["serviceDeployments"]
    assert [item["status"] for item in listed] == ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]
    with pytest.raises(ecs.exceptions.ConflictException):
        ecs.stop_service_deployment(serviceDeploymentArn=arn)
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId="hook")


def _deployment(ecs: Any, service: dict[str, Any]) -> dict[str, Any]:
    """The service deployment that was current when a service was described."""
    (shown,) = ecs.describe_service_deployments(serviceDeploymentArns=[service["currentServiceDeployment"]])[
        "serviceDeployments"
    ]
    assert isinstance(shown, dict)
    return shown


def test_tasks_are_shared_out_among_capacity_providers(
    ecs: Any, cluster: str, name: str, agent: PlayedAgent
) -> None:
    definition = ecs.register_task_definition(
        family=name,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "web", "image": "web:1"}],
    )["taskDefinition"]["taskDefinitionArn"]
    ecs.put_cluster_capacity_providers(
        cluster=cluster, capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=[]
    )
    strategy = [
        {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "base": 0, "weight": 2},
    ]
    created = ecs.create_service(
        cluster=cluster,
        serviceName="web",
        taskDefinition=definition,
        desiredCount=4,
        capacityProviderStrategy=strategy,
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )["service"]
    assert created["capacityProviderStrategy"] == strategy
    assert "launchType" not in created

    def spread() -> bool:
        arns = ecs.list_tasks(cluster=cluster, serviceName="web")["taskArns"]
        tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        return sorted(task["capacityProviderName"] for task in tasks) == [
            "FARGATE",
            "FARGATE",
            "FARGATE_SPOT",
            "FARGATE_SPOT",
        ]

    wait_until(spread, "four tasks are shared out", SETTLE_S)
