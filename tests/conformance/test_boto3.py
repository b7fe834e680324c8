"""boto3 against the controller: clusters, container instances, errors."""

from __future__ import annotations

from typing import Any

import boto3
import botocore
import botocore.config
import pytest
from botocore.exceptions import ClientError

from controller.cli.client import Client
from controller.keyring import ClientProfile
from tests.conformance.conftest import connect

RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 4000},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
]


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_cluster_lives_and_dies(ecs: Any) -> None:
    created = ecs.create_cluster(clusterName="life", tags=[{"key": "a", "value": "ü"}])["cluster"]
    assert created["status"] == "ACTIVE"
    described = ecs.describe_clusters(clusters=["life"], include=["TAGS", "SETTINGS", "STATISTICS"])[
        "clusters"
    ][0]
    assert described["tags"] == [{"key": "a", "value": "ü"}]
    assert created["clusterArn"] in ecs.list_clusters()["clusterArns"]
    assert ecs.list_tags_for_resource(resourceArn=created["clusterArn"])["tags"] == described["tags"]
    assert ecs.delete_cluster(cluster="life")["cluster"]["status"] == "INACTIVE"
    assert created["clusterArn"] not in ecs.list_clusters()["clusterArns"]
    with pytest.raises(ecs.exceptions.ClusterNotFoundException, match="Cluster not found"):
        ecs.delete_cluster(cluster="life")


def test_paginators_walk_every_page(ecs: Any) -> None:
    for number in range(5):
        ecs.create_cluster(clusterName=f"page{number}")
    pages = list(ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 2}))
    arns = [arn for page in pages for arn in page["clusterArns"]]
    assert len(arns) == len(set(arns))
    assert sum("/page" in arn for arn in arns) == 5
    assert len(pages) >= 3


def test_a_machine_joins_drains_and_leaves(ecs: Any, cluster: str) -> None:
    registered = ecs.register_container_instance(
        cluster=cluster,
        totalResources=RESOURCES,
        versionInfo={"agentVersion": "1.0.0", "agentHash": "abc", "dockerVersion": "DockerVersion: 20.10"},
        attributes=[{"name": "rack", "value": "7"}, {"name": "ecs.capability.x"}],
        platformDevices=[{"id": "gpu-1", "type": "GPU"}],
        tags=[{"key": "k", "value": "v"}],
    )["containerInstance"]
    arn = registered["containerInstanceArn"]
    assert registered["versionInfo"]["agentVersion"] == "1.0.0"
    assert ecs.list_container_instances(cluster=cluster, filter="attribute:rack == 7")[
        "containerInstanceArns"
    ] == [arn]
    found = ecs.describe_container_instances(
        cluster=cluster, containerInstances=[arn, "0" * 32], include=["TAGS", "CONTAINER_INSTANCE_HEALTH"]
    )
    assert found["containerInstances"][0]["tags"] == [{"key": "k", "value": "v"}]
    assert found["failures"][0]["reason"] == "MISSING"
    with pytest.raises(ecs.exceptions.ClusterContainsContainerInstancesException):
        ecs.delete_cluster(cluster=cluster)
    state = ecs.update_container_instances_state(cluster=cluster, containerInstances=[arn], status="DRAINING")
    assert state["containerInstances"][0]["status"] == "DRAINING"
    assert ecs.list_container_instances(cluster=cluster, status="DRAINING")["containerInstanceArns"] == [arn]
    left = ecs.deregister_container_instance(cluster=cluster, containerInstance=arn, force=True)
    assert left["containerInstance"]["status"] == "INACTIVE"
    assert ecs.delete_cluster(cluster=cluster)["cluster"]["status"] == "INACTIVE"


def test_an_agent_does_its_own_calls_and_no_others(profile: ClientProfile, ecs: Any, cluster: str) -> None:
    key = Client(profile).homeport("EnsureAgentAccessKey", cluster=cluster)
    agent = connect(profile, key["accessKeyId"], key["secretAccessKey"])
    arn = agent.register_container_instance(cluster=cluster, totalResources=RESOURCES)["containerInstance"][
        "containerInstanceArn"
    ]
    endpoints = agent.discover_poll_endpoint(cluster=cluster, containerInstance=arn)
    assert endpoints["endpoint"] == f"{profile.endpoint}/acs/"
    assert endpoints["telemetryEndpoint"] == f"{profile.endpoint}/tcs/"
    task = arn.replace("container-instance", "task")
    assert agent.submit_task_state_change(cluster=cluster, task=task, status="STOPPED")["acknowledgment"]
    assert agent.submit_container_state_change(
        cluster=cluster, task=task, containerName="web", status="STOPPED"
    )["acknowledgment"]
    assert agent.submit_attachment_state_changes(
        cluster=cluster, attachments=[{"attachmentArn": "x", "status": "ATTACHED"}]
    )["acknowledgment"]
    assert agent.list_tags_for_resource(resourceArn=arn)["tags"] == []
    for call in (
        agent.list_clusters,
        lambda: agent.register_container_instance(cluster="default", totalResources=RESOURCES),
        lambda: agent.run_task(cluster=cluster, taskDefinition="x"),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert code_of(error) == "AccessDeniedException"
    agent.close()


@pytest.mark.parametrize(
    ("operation", "parameters", "code", "message"),
    [
        ("create_cluster", {"clusterName": "a b"}, "InvalidParameterException", "Invalid cluster name"),
        ("run_task", {"taskDefinition": "nope"}, "ClientException", "TaskDefinition not found."),
        (
            "run_task",
            {"taskDefinition": "x", "cluster": "nope"},
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        (
            "run_task",
            {"taskDefinition": "x", "launchType": "X"},
            "InvalidParameterException",
            "should be one of",
        ),
        ("list_tasks", {"maxResults": 101}, "InvalidParameterException", ""),
        ("list_clusters", {"nextToken": "forged"}, "InvalidParameterException", "Invalid nextToken"),
        (
            "describe_daemon",
            {"daemonArn": "x"},
            "UnsupportedFeatureException",
            "not available on this controller",
        ),
        ("describe_container_instances", {"containerInstances": []}, "ClientException", "cannot be empty"),
        (
            "list_tags_for_resource",
            {"resourceArn": "x"},
            "InvalidParameterException",
            "The ARN provided is invalid.",
        ),
    ],
)
def test_errors_arrive_as_clients_know_them(
    ecs: Any, operation: str, parameters: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(ClientError) as error:
        getattr(ecs, operation)(**parameters)
    assert code_of(error) == code
    assert message in error.value.response["Error"]["Message"]
    assert error.value.response["ResponseMetadata"]["RequestId"]


def test_a_wrong_secret_and_an_unknown_key_are_told_apart(profile: ClientProfile, ecs: Any) -> None:
    for id_, secret, code in (
        (profile.access_key_id, "x" * 40, "InvalidSignatureException"),
        ("AKIAUNKNOWNUNKNOWN22", "x" * 40, "UnrecognizedClientException"),
    ):
        client = connect(profile, id_, secret)
        with pytest.raises(ClientError) as error:
            client.list_clusters()
        assert code_of(error) == code
        client.close()


def test_an_unsigned_call_is_refused(profile: ClientProfile, ecs: Any) -> None:
    unsigned = boto3.session.Session().client(
        "ecs",
        endpoint_url=profile.endpoint,
        region_name=profile.region,
        config=botocore.config.Config(signature_version=botocore.UNSIGNED),
    )
    with pytest.raises(ClientError) as error:
        unsigned.list_clusters()
    assert code_of(error) == "MissingAuthenticationTokenException"
    unsigned.close()


def test_a_service_that_is_not_here_says_so(profile: ClientProfile, ecs: Any) -> None:
    client = boto3.session.Session().client(
        "application-autoscaling",
        endpoint_url=profile.endpoint,
        region_name=profile.region,
        aws_access_key_id=profile.access_key_id,
        aws_secret_access_key=profile.secret_access_key,
    )
    with pytest.raises(ClientError) as error:
        client.describe_scalable_targets(ServiceNamespace="ecs")
    assert code_of(error) == "UnknownOperationException"
    client.close()
