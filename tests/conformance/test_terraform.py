"""The calls that Terraform's AWS provider makes, with the odd members that it sends, and what it reads back.

Its second plan shows a difference wherever an answer is not what was asked for, in the form in which the
provider compares it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.played_agent import PlayedAgent
from tests.support.processes import wait_until

CONTAINERS: list[dict[str, Any]] = [
    {
        "name": "web",
        "image": "web:1",
        "memory": 64,
        "cpu": 10,
        "essential": True,
        "portMappings": [{"containerPort": 80}],
        "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
    },
    {
        "name": "side",
        "image": "busybox",
        "memoryReservation": 16,
        "essential": False,
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
        "dependsOn": [{"containerName": "web", "condition": "START"}],
    },
]
FILLED = {
    "cpu": 0,
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "portMappings": [],
    "systemControls": [],
    "volumesFrom": [],
}
"""Members that the provider takes for given where a definition leaves them out."""


def without_defaults(containers: list[dict[str, Any]]) -> Any:
    """Container definitions as the provider compares them: ordered, without what only says the default."""
    kept = []
    for container in containers:
        container = {name: value for name, value in container.items() if FILLED.get(name, ...) != value}
        container["portMappings"] = [
            {
                name: value
                for name, value in port.items()
                if (name, value) not in (("hostPort", 0), ("protocol", "tcp"))
            }
            for port in container.get("portMappings", ())
        ]
        container["mountPoints"] = [
            {name: value for name, value in mount.items() if (name, value) != ("readOnly", False)}
            for mount in container.get("mountPoints", ())
        ]
        container["environment"] = sorted(container.get("environment", ()), key=lambda item: item["name"])
        kept.append(container)
    return json.loads(json.dumps(sorted(kept, key=lambda item: item["name"]), sort_keys=True))


def test_a_task_definition_is_read_back_as_it_was_written(ecs: Any, name: str) -> None:
    ecs.register_task_definition(
        family=name,
        containerDefinitions=CONTAINERS,
        networkMode="bridge",
        requiresCompatibilities=["EC2"],
        volumes=[
            {"name": "data"},
            {
                "name": "shared",
                "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True, "driver": "local"},
            },
        ],
        placementConstraints=[{"type": "memberOf", "expression": "attribute:ecs.os-type != windows"}],
        tags=[{"key": "managed", "value": "terraform"}],
    )
    answer = ecs.describe_task_definition(taskDefinition=f"{name}:1", include=["TAGS"])
    read = answer["taskDefinition"]
    assert without_defaults(read["containerDefinitions"]) == without_defaults(CONTAINERS)
    assert [volume["name"] for volume in read["volumes"]] == ["data", "shared"]
    assert answer["tags"] == [{"key": "managed", "value": "terraform"}]
    assert (
        ecs.deregister_task_definition(taskDefinition=f"{name}:1")["taskDefinition"]["status"] == "INACTIVE"
    )


def test_empty_lists_of_a_service_are_as_good_as_none(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    empty: dict[str, Any] = {
        "capacityProviderStrategy": [],
        "loadBalancers": [],
        "serviceRegistries": [],
        "placementConstraints": [],
        "placementStrategy": [],
        "volumeConfigurations": [],
    }
    web = ecs.create_service(
        cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=1, launchType="EC2", **empty
    )["service"]
    assert web["launchType"] == "EC2"
    assert not {"capacityProviderStrategy", "deploymentController"} & set(web)
    external = ecs.create_service(
        cluster=cluster,
        serviceName="external",
        desiredCount=1,
        deploymentController={"type": "EXTERNAL"},
        schedulingStrategy="REPLICA",
        enableECSManagedTags=False,
        enableExecuteCommand=False,
        **empty,
    )["service"]
    assert external["deploymentController"] == {"type": "EXTERNAL"}
    again = ecs.update_service(cluster=cluster, service="web", desiredCount=2, **empty)["service"]
    assert [item["id"] for item in again["deployments"]] == [item["id"] for item in web["deployments"]]


def test_a_task_is_run_with_overrides_that_are_mostly_empty(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    overrides = {
        "cpu": "",
        "memory": "",
        "executionRoleArn": "",
        "taskRoleArn": "",
        "containerOverrides": [
            {
                "name": "web",
                "command": ["x"],
                "environment": [{"name": "A", "value": "B"}],
                "cpu": 0,
                "memory": 0,
                "memoryReservation": 0,
                "resourceRequirements": [],
            }
        ],
    }
    (task,) = ecs.run_task(cluster=cluster, taskDefinition=family, overrides=overrides)["tasks"]
    given = {"name": "web", "command": ["x"], "environment": [{"name": "A", "value": "B"}]}
    assert task["overrides"] == {"containerOverrides": [given], "inferenceAcceleratorOverrides": []}
    assert (task["cpu"], task["memory"]) == ("0", "64")


def test_a_service_waits_for_its_deployment_and_is_deleted_in_two_steps(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    """wait_for_steady_state asks for the newest service deployment; a deletion first scales to zero."""
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=family, desiredCount=1)

    def is_successful() -> bool:
        agent.run_everything()
        (newest,) = ecs.list_service_deployments(cluster=cluster, service="web")["serviceDeployments"]
        (deployment,) = ecs.describe_service_deployments(
            serviceDeploymentArns=[newest["serviceDeploymentArn"]]
        )["serviceDeployments"]
        return bool(deployment["status"] == "SUCCESSFUL")

    wait_until(is_successful, "the service deployment is SUCCESSFUL")
    ecs.update_service(cluster=cluster, service="web", desiredCount=0)
    ecs.delete_service(cluster=cluster, service="web", force=False)

    def is_inactive() -> bool:
        agent.run_everything()
        (service,) = ecs.describe_services(cluster=cluster, services=["web"], include=["TAGS"])["services"]
        return bool(service["status"] == "INACTIVE")

    wait_until(is_inactive, "the service is INACTIVE")


def test_a_task_set_is_gone_when_its_description_is_empty(
    ecs: Any, cluster: str, family: str, agent: PlayedAgent
) -> None:
    ecs.create_service(
        cluster=cluster, serviceName="web", desiredCount=2, deploymentController={"type": "EXTERNAL"}
    )
    service_arn = ecs.describe_services(cluster=cluster, services=["web"])["services"][0]["serviceArn"]
    cluster_arn = ecs.describe_clusters(clusters=[cluster])["clusters"][0]["clusterArn"]
    named = {"cluster": cluster_arn, "service": service_arn}
    definition = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]["taskDefinitionArn"]
    id_ = ecs.create_task_set(
        **named,
        taskDefinition=definition,
        clientToken="terraform-1",
        scale={"unit": "PERCENT", "value": 50.0},
    )["taskSet"]["id"]
    (read,) = ecs.describe_task_sets(**named, taskSets=[id_], include=["TAGS"])["taskSets"]
    assert (read["taskDefinition"], read["scale"]) == (definition, {"unit": "PERCENT", "value": 50.0})
    assert ecs.delete_task_set(**named, taskSet=id_, force=True)["taskSet"]["status"] == "DRAINING"

    def is_gone() -> bool:
        agent.run_everything()
        answer = ecs.describe_task_sets(**named, taskSets=[id_])
        return bool(answer["taskSets"] == [] and answer["failures"])

    wait_until(is_gone, "the task set is gone")
    with pytest.raises(ecs.exceptions.TaskSetNotFoundException):
        ecs.delete_task_set(**named, taskSet=id_, force=True)


def test_the_providers_of_a_cluster_are_put_read_and_taken_away(ecs: Any, cluster: str, name: str) -> None:
    group = f"arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1:autoScalingGroupName/{name}"
    given = {
        "autoScalingGroupArn": group,
        "managedScaling": {"status": "ENABLED", "targetCapacity": 90},
        "managedTerminationProtection": "DISABLED",
    }
    created = ecs.create_capacity_provider(name=name, autoScalingGroupProvider=given)["capacityProvider"]
    (read,) = ecs.describe_capacity_providers(
        capacityProviders=[created["capacityProviderArn"]], include=["TAGS"]
    )["capacityProviders"]
    scaling = read["autoScalingGroupProvider"]["managedScaling"]
    assert (scaling["targetCapacity"], scaling["minimumScalingStepSize"]) == (90, 1)
    strategy = [{"capacityProvider": "FARGATE", "base": 1, "weight": 100}]
    ecs.put_cluster_capacity_providers(
        cluster=cluster, capacityProviders=["FARGATE", name], defaultCapacityProviderStrategy=strategy
    )
    include = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "TAGS"]
    (shown,) = ecs.describe_clusters(clusters=[cluster], include=include)["clusters"]
    assert sorted(shown["capacityProviders"]) == sorted(["FARGATE", name])
    assert shown["defaultCapacityProviderStrategy"] == strategy
    assert shown.get("attachmentsStatus") in (None, "UPDATE_COMPLETE")
    ecs.put_cluster_capacity_providers(
        cluster=cluster, capacityProviders=[], defaultCapacityProviderStrategy=[]
    )
    ecs.delete_capacity_provider(capacityProvider=created["capacityProviderArn"])
    (gone,) = ecs.describe_capacity_providers(capacityProviders=[name])["capacityProviders"]
    assert gone["status"] == "INACTIVE"
