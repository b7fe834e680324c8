"""Tasks, as the official clients see them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.conftest import AwsCli
from tests.conformance.played_agent import PlayedAgent
from tests.support.processes import wait_until


def test_a_task_lives_from_pending_to_stopped(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    (task,) = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"]
    arn = task["taskArn"]
    assert (task["lastStatus"], task["desiredStatus"], task["group"]) == (
        "PENDING",
        "RUNNING",
        f"family:{family}",
    )
    wait_until(lambda: any(sent.arn == arn for sent in agent.received), "the agent is sent the task")
    agent.report(arn, "RUNNING")
    ecs.get_waiter("tasks_running").wait(cluster=cluster, tasks=[arn], WaiterConfig={"Delay": 1})

    stopped = ecs.stop_task(cluster=cluster, task=arn, reason="enough")["task"]
    assert (stopped["lastStatus"], stopped["desiredStatus"]) == ("STOPPING", "STOPPED")
    agent.report(arn, "STOPPED")
    ecs.get_waiter("tasks_stopped").wait(cluster=cluster, tasks=[arn], WaiterConfig={"Delay": 1})
    (task,) = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["createdAt"] <= task["startedAt"] <= task["stoppingAt"] <= task["stoppedAt"]
    assert ecs.list_tasks(cluster=cluster)["taskArns"] == []
    assert ecs.list_tasks(cluster=cluster, desiredStatus="STOPPED")["taskArns"] == [arn]


def test_a_task_that_never_ran_failed_to_start(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    (task,) = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"]
    agent.report(task["taskArn"], "STOPPED", reason="CannotPullContainerError: no such image")
    (task,) = ecs.describe_tasks(cluster=cluster, tasks=[task["taskArn"]])["tasks"]
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"] == "CannotPullContainerError: no such image"


def test_what_has_no_room_is_a_failure_and_not_an_error(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    overrides = {"containerOverrides": [{"name": "web", "memory": 5000}]}
    answer = ecs.run_task(cluster=cluster, taskDefinition=family, count=2, overrides=overrides)
    assert len(answer["tasks"]) == 1
    (failure,) = answer["failures"]
    assert (failure["arn"], failure["reason"]) == (agent.arn, "RESOURCE:MEMORY")


def test_a_host_port_is_given_once(ecs: Any, cluster: str, name: str, agent: PlayedAgent) -> None:
    mapping = [{"containerPort": 80, "hostPort": 8080}]
    ecs.register_task_definition(
        family=name,
        containerDefinitions=[{"name": "web", "image": "web:1", "memory": 64, "portMappings": mapping}],
    )
    answer = ecs.run_task(cluster=cluster, taskDefinition=name, count=2)
    assert len(answer["tasks"]) == 1
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:PORTS"]


def test_a_repeated_client_token_starts_nothing_new(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    first = ecs.run_task(cluster=cluster, taskDefinition=family, clientToken="token")
    again = ecs.run_task(cluster=cluster, taskDefinition=family, clientToken="token")
    assert [task["taskArn"] for task in again["tasks"]] == [task["taskArn"] for task in first["tasks"]]
    with pytest.raises(ecs.exceptions.ConflictException) as error:
        ecs.run_task(cluster=cluster, taskDefinition=family, clientToken="token", count=2)
    assert error.value.response["resourceIds"] == [first["tasks"][0]["taskArn"]]


def test_unknown_tasks_are_failures_in_full(ecs: Any, cluster: str) -> None:
    answer = ecs.describe_tasks(cluster=cluster, tasks=["0" * 32])
    arn = f"arn:aws:ecs:us-east-1:000000000000:task/{cluster}/{'0' * 32}"
    assert (answer["tasks"], answer["failures"]) == ([], [{"arn": arn, "reason": "MISSING"}])


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"cluster": "never-made"}, "ClusterNotFoundException", "Cluster not found."),
        ({"taskDefinition": "nothing"}, "ClientException", "TaskDefinition not found."),
        ({"count": 0}, "InvalidParameterException", "count should be between 1 and 10."),
        (
            {"launchType": "FARGATE"},
            "InvalidParameterException",
            "Task definition does not support launch_type FARGATE.",
        ),
        (
            {"overrides": {"containerOverrides": [{"name": "db"}]}},
            "InvalidParameterException",
            "Override for container named db is not a container in the TaskDefinition.",
        ),
        ({}, "InvalidParameterException", "No Container Instances were found in your cluster."),
    ],
)
def test_mistakes_are_answered_in_ecs_words(
    ecs: Any, cluster: str, family: str, changes: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(ClientError) as error:
        ecs.run_task(**{"cluster": cluster, "taskDefinition": family, **changes})
    assert error.value.response["Error"]["Code"] == code
    assert error.value.response["Error"]["Message"] == message


def test_the_paginator_lists_every_task_once(ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> None:
    tasks = ecs.run_task(cluster=cluster, taskDefinition=family, count=5)["tasks"]
    pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, PaginationConfig={"PageSize": 2})
    listed = [arn for page in pages for arn in page["taskArns"]]
    assert sorted(listed) == sorted(task["taskArn"] for task in tasks)


def test_the_aws_cli_runs_waits_and_stops(aws: AwsCli, cluster: str, family: str, agent: PlayedAgent) -> None:
    arn = aws("run-task", "--cluster", cluster, "--task-definition", family)["tasks"][0]["taskArn"]
    agent.run_everything()
    aws("wait", "tasks-running", "--cluster", cluster, "--tasks", arn)
    stopped = aws("stop-task", "--cluster", cluster, "--task", arn)
    assert stopped["task"]["desiredStatus"] == "STOPPED"


def test_a_task_is_started_on_a_named_instance(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    answer = ecs.start_task(cluster=cluster, taskDefinition=family, containerInstances=[agent.arn, "0" * 32])
    (task,) = answer["tasks"]
    assert task["containerInstanceArn"] == agent.arn
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]
    wait_until(lambda: any(sent.arn == task["taskArn"] for sent in agent.received), "the agent is sent it")
