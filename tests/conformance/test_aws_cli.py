"""The AWS CLI against the controller."""

from __future__ import annotations

from tests.conformance.conftest import AwsCli


def test_clusters_from_the_command_line(aws: AwsCli) -> None:
    created = aws("create-cluster", "--cluster-name", "command-line", "--tags", "key=team,value=a")
    assert created["cluster"]["clusterName"] == "command-line"
    assert created["cluster"]["clusterArn"] in aws("list-clusters")["clusterArns"]
    described = aws("describe-clusters", "--clusters", "command-line", "nope", "--include", "TAGS")
    assert described["clusters"][0]["tags"] == [{"key": "team", "value": "a"}]
    assert [failure["reason"] for failure in described["failures"]] == ["MISSING"]
    assert aws("list-container-instances", "--cluster", "command-line") == {"containerInstanceArns": []}
    assert aws("delete-cluster", "--cluster", "command-line")["cluster"]["status"] == "INACTIVE"


def test_task_definitions_from_the_command_line(aws: AwsCli) -> None:
    containers = '[{"name":"web","image":"busybox","memory":16,"command":["sleep","1"]}]'
    registered = aws(
        "register-task-definition", "--family", "command-line", "--container-definitions", containers
    )
    arn = registered["taskDefinition"]["taskDefinitionArn"]
    assert arn.endswith(":task-definition/command-line:1")
    assert (
        aws("describe-task-definition", "--task-definition", "command-line")["taskDefinition"][
            "taskDefinitionArn"
        ]
        == arn
    )
    assert aws("list-task-definitions", "--family-prefix", "command-line")["taskDefinitionArns"] == [arn]
    deregistered = aws("deregister-task-definition", "--task-definition", "command-line:1")
    assert deregistered["taskDefinition"]["status"] == "INACTIVE"


def test_a_service_without_machines_waits_and_can_be_deleted(aws: AwsCli) -> None:
    containers = '[{"name":"web","image":"busybox","memory":16}]'
    aws("register-task-definition", "--family", "svc", "--container-definitions", containers)
    aws("create-cluster", "--cluster-name", "empty")
    created = aws(
        "create-service",
        *("--cluster", "empty", "--service-name", "web", "--task-definition", "svc", "--desired-count", "2"),
    )
    assert created["service"]["desiredCount"] == 2
    described = aws("describe-services", "--cluster", "empty", "--services", "web")["services"][0]
    assert described["status"] == "ACTIVE"
    assert len(described["deployments"]) == 1
    assert described["runningCount"] == 0
    assert aws("list-services", "--cluster", "empty")["serviceArns"] == [described["serviceArn"]]
    deleted = aws("delete-service", "--cluster", "empty", "--service", "web", "--force")
    assert deleted["service"]["status"] in ("DRAINING", "INACTIVE")
    aws("wait", "services-inactive", "--cluster", "empty", "--services", "web")


def test_a_task_that_finds_no_place_is_a_failure_and_no_error(aws: AwsCli) -> None:
    containers = '[{"name":"web","image":"busybox","memory":16}]'
    aws("register-task-definition", "--family", "alone", "--container-definitions", containers)
    aws("create-cluster", "--cluster-name", "agentless")
    aws(
        "register-container-instance",
        *("--cluster", "agentless", "--total-resources"),
        *("name=CPU,type=INTEGER,integerValue=1024", "name=MEMORY,type=INTEGER,integerValue=512"),
    )
    answer = aws("run-task", "--cluster", "agentless", "--task-definition", "alone")
    assert answer["tasks"] == []
    assert [failure["reason"] for failure in answer["failures"]] == ["AGENT"]


def test_errors_are_shown_by_their_name(aws: AwsCli) -> None:
    failed = aws.run("describe-services", "--cluster", "no-such-cluster", "--services", "web")
    assert failed.returncode != 0
    assert "(ClusterNotFoundException)" in failed.stderr
    assert "Cluster not found." in failed.stderr
