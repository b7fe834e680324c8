"""Tags of every resource, by boto3 and by the AWS CLI."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.conftest import AwsCli
from tests.conformance.played_agent import PlayedAgent


@pytest.fixture
def resources(ecs: Any, cluster: str, family: str, agent: PlayedAgent, name: str) -> dict[str, str]:
    """The ARN of one resource of every kind that can have tags."""
    service = ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=0)
    (task,) = ecs.run_task(cluster=cluster, taskDefinition=family)["tasks"]
    provider = ecs.create_capacity_provider(
        name=name, autoScalingGroupProvider={"autoScalingGroupArn": f"{name}-group"}
    )
    definition = ecs.describe_task_definition(taskDefinition=family)
    ecs.create_service(cluster=cluster, serviceName="sets", deploymentController={"type": "EXTERNAL"})
    task_set = ecs.create_task_set(cluster=cluster, service="sets", taskDefinition=family)["taskSet"]
    return {
        "cluster": task["clusterArn"],
        "container instance": agent.arn,
        "service": service["service"]["serviceArn"],
        "task": task["taskArn"],
        "task definition": definition["taskDefinition"]["taskDefinitionArn"],
        "task set": task_set["taskSetArn"],
        "capacity provider": provider["capacityProvider"]["capacityProviderArn"],
    }


def test_every_resource_is_tagged_and_untagged(ecs: Any, resources: dict[str, str]) -> None:
    for kind, arn in resources.items():
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": kind}])
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "2"}])
        ecs.untag_resource(resourceArn=arn, tagKeys=["b"])
        assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "2"}], kind


def test_describing_shows_the_tags_that_were_put(ecs: Any, resources: dict[str, str], cluster: str) -> None:
    tags = [{"key": "team", "value": "web"}]
    for arn in resources.values():
        ecs.tag_resource(resourceArn=arn, tags=tags)
    include = {"include": ["TAGS"]}
    shown = [
        ecs.describe_clusters(clusters=[cluster], **include)["clusters"][0]["tags"],
        ecs.describe_services(cluster=cluster, services=["web"], **include)["services"][0]["tags"],
        ecs.describe_tasks(cluster=cluster, tasks=[resources["task"]], **include)["tasks"][0]["tags"],
        ecs.describe_task_sets(cluster=cluster, service="sets", **include)["taskSets"][0]["tags"],
        ecs.describe_task_definition(taskDefinition=resources["task definition"], **include)["tags"],
        ecs.describe_container_instances(
            cluster=cluster, containerInstances=[resources["container instance"]], **include
        )["containerInstances"][0]["tags"],
        ecs.describe_capacity_providers(capacityProviders=[resources["capacity provider"]], **include)[
            "capacityProviders"
        ][0]["tags"],
    ]
    assert shown == [tags] * 7


def test_what_is_not_there_cannot_be_tagged(ecs: Any, resources: dict[str, str]) -> None:
    tags = [{"key": "a", "value": "1"}]
    with pytest.raises(ecs.exceptions.ResourceNotFoundException):
        ecs.tag_resource(resourceArn=f"{resources['service']}-not", tags=tags)
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.untag_resource(resourceArn=f"{resources['cluster']}-not", tagKeys=["a"])
    with pytest.raises(ecs.exceptions.InvalidParameterException, match=r"The ARN provided is invalid\."):
        ecs.tag_resource(resourceArn="not-an-arn", tags=tags)


def test_the_tags_of_a_deleted_cluster_are_refused_as_terraform_knows_it(ecs: Any, cluster: str) -> None:
    arn = ecs.delete_cluster(cluster=cluster)["cluster"]["clusterArn"]
    with pytest.raises(ClientError, match=r"The specified cluster is inactive\. Specify an active cluster"):
        ecs.list_tags_for_resource(resourceArn=arn)


def test_the_command_line_tags_and_untags(aws: AwsCli, ecs: Any, cluster: str) -> None:
    arn = ecs.describe_clusters(clusters=[cluster])["clusters"][0]["clusterArn"]
    aws("tag-resource", "--resource-arn", arn, "--tags", "key=a,value=1", "key=b,value=2")
    aws("untag-resource", "--resource-arn", arn, "--tag-keys", "a")
    assert aws("list-tags-for-resource", "--resource-arn", arn) == {"tags": [{"key": "b", "value": "2"}]}
