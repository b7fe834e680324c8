"""Clusters, by boto3 and by the AWS CLI."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.conftest import AwsCli
from tests.conformance.played_agent import PlayedAgent


def test_a_cluster_is_changed_member_by_member(ecs: Any, cluster: str) -> None:
    updated = ecs.update_cluster(
        cluster=cluster,
        settings=[{"name": "containerInsights", "value": "enhanced"}],
        configuration={
            "executeCommandConfiguration": {
                "kmsKeyId": "key",
                "logging": "OVERRIDE",
                "logConfiguration": {
                    "cloudWatchLogGroupName": "group",
                    "cloudWatchEncryptionEnabled": True,
                    "s3BucketName": "bucket",
                    "s3EncryptionEnabled": False,
                    "s3KeyPrefix": "exec/",
                },
            },
            "managedStorageConfiguration": {"kmsKeyId": "k", "fargateEphemeralStorageKmsKeyId": "f"},
        },
        serviceConnectDefaults={"namespace": "internal"},
    )["cluster"]
    assert updated["serviceConnectDefaults"] == {"namespace": "internal"}
    ecs.update_cluster_settings(cluster=cluster, settings=[{"name": "containerInsights", "value": "enabled"}])
    described = ecs.describe_clusters(
        clusters=[cluster], include=["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"]
    )["clusters"][0]
    assert described["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    assert described["configuration"] == updated["configuration"]
    assert described["attachments"] == []
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.update_cluster(cluster="no-such-cluster")


def test_statistics_count_tasks_and_services(ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> None:
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=0)
    (task,) = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"]
    agent.report(task["taskArn"], "RUNNING")
    described = ecs.describe_clusters(clusters=[cluster], include=["STATISTICS"])["clusters"][0]
    counts = {entry["name"]: entry["value"] for entry in described["statistics"]}
    assert counts["runningEC2TasksCount"] == "1"
    assert counts["pendingEC2TasksCount"] == "0"
    assert counts["activeEC2ServiceCount"] == "1"
    assert counts["runningExternalTasksCount"] == "0"
    assert (described["runningTasksCount"], described["activeServicesCount"]) == (1, 1)


def test_clusters_in_use_are_not_deleted(ecs: Any, cluster: str, agent: PlayedAgent) -> None:
    with pytest.raises(ClientError, match="while Container Instances are active or draining"):
        ecs.delete_cluster(cluster=cluster)


def test_the_command_line_changes_a_cluster(aws: AwsCli, cluster: str) -> None:
    settings = ("--settings", "name=containerInsights,value=enabled")
    updated = aws("update-cluster", "--cluster", cluster, *settings)["cluster"]
    assert updated["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    updated = aws(
        "update-cluster-settings", "--cluster", cluster, "--settings", "name=containerInsights,value=disabled"
    )["cluster"]
    assert updated["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    failed = aws.run("update-cluster-settings", "--cluster", "no-such-cluster", *settings)
    assert "(ClusterNotFoundException)" in failed.stderr
