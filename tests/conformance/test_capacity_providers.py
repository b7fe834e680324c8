"""Capacity providers, by boto3 and by the AWS CLI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.conftest import AwsCli


@pytest.fixture
def provider(ecs: Any, name: str) -> str:
    """A capacity provider of the test's own."""
    group = {
        "autoScalingGroupArn": f"{name}-group",
        "managedScaling": {
            "status": "ENABLED",
            "targetCapacity": 90,
            "minimumScalingStepSize": 2,
            "maximumScalingStepSize": 5,
            "instanceWarmupPeriod": 60,
        },
        "managedTerminationProtection": "ENABLED",
        "managedDraining": "DISABLED",
    }
    created = ecs.create_capacity_provider(
        name=name, autoScalingGroupProvider=group, tags=[{"key": "a", "value": "1"}]
    )["capacityProvider"]
    assert created["autoScalingGroupProvider"] == group
    assert created["status"] == "ACTIVE"
    return name


def test_a_provider_lives_and_dies(ecs: Any, provider: str) -> None:
    updated = ecs.update_capacity_provider(
        name=provider,
        autoScalingGroupProvider={
            "managedScaling": {"targetCapacity": 50},
            "managedTerminationProtection": "DISABLED",
            "managedDraining": "ENABLED",
        },
    )["capacityProvider"]
    assert updated["updateStatus"] == "UPDATE_COMPLETE"
    described = ecs.describe_capacity_providers(capacityProviders=[provider, "none"], include=["TAGS"])
    assert described["capacityProviders"][0] == updated
    assert described["capacityProviders"][0]["autoScalingGroupProvider"]["managedScaling"] == {
        "status": "ENABLED",
        "targetCapacity": 50,
        "minimumScalingStepSize": 2,
        "maximumScalingStepSize": 5,
        "instanceWarmupPeriod": 60,
    }
    assert [failure["reason"] for failure in described["failures"]] == ["MISSING"]
    deleted = ecs.delete_capacity_provider(capacityProvider=updated["capacityProviderArn"])
    assert deleted["capacityProvider"]["status"] == "INACTIVE"
    with pytest.raises(ecs.exceptions.ClientException, match="capacity provider does not exist"):
        ecs.delete_capacity_provider(capacityProvider=provider)


def test_a_cluster_takes_providers_and_a_default_strategy(ecs: Any, cluster: str, provider: str) -> None:
    strategy = [{"capacityProvider": provider, "weight": 1, "base": 2}]
    given = ecs.put_cluster_capacity_providers(
        cluster=cluster, capacityProviders=[provider, "FARGATE"], defaultCapacityProviderStrategy=strategy
    )["cluster"]
    assert given["capacityProviders"] == [provider, "FARGATE"]
    assert given["defaultCapacityProviderStrategy"] == strategy
    found = ecs.describe_capacity_providers(cluster=cluster, maxResults=1)
    more = ecs.describe_capacity_providers(cluster=cluster, nextToken=found["nextToken"])
    names = [each["name"] for each in found["capacityProviders"] + more["capacityProviders"]]
    assert names == sorted(["FARGATE", provider])
    with pytest.raises(ecs.exceptions.ClientException, match=f"associated with cluster: {cluster}"):
        ecs.delete_capacity_provider(capacityProvider=provider)
    taken = ecs.put_cluster_capacity_providers(
        cluster=cluster, capacityProviders=[], defaultCapacityProviderStrategy=[]
    )["cluster"]
    assert (taken["capacityProviders"], taken["defaultCapacityProviderStrategy"]) == ([], [])
    ecs.delete_capacity_provider(capacityProvider=provider)


def test_fargate_is_always_there_and_reserved(ecs: Any) -> None:
    found = ecs.describe_capacity_providers(capacityProviders=["FARGATE", "FARGATE_SPOT"])
    assert [(each["type"], each["status"]) for each in found["capacityProviders"]] == [
        ("FARGATE", "ACTIVE"),
        ("FARGATE_SPOT", "ACTIVE"),
    ]
    with pytest.raises(ecs.exceptions.ClientException, match="reserved"):
        ecs.delete_capacity_provider(capacityProvider="FARGATE")


def test_managed_instances_are_refused_with_what_to_use_instead(ecs: Any, name: str, cluster: str) -> None:
    managed = {
        "infrastructureRoleArn": "arn:aws:iam::000000000000:role/x",
        "instanceLaunchTemplate": {
            "ec2InstanceProfileArn": "arn:aws:iam::000000000000:instance-profile/x",
            "networkConfiguration": {"subnets": ["subnet-1"]},
        },
    }
    with pytest.raises(
        ecs.exceptions.UnsupportedFeatureException, match=r"not available on this controller: .* use auto"
    ):
        ecs.create_capacity_provider(name=name, cluster=cluster, managedInstancesProvider=managed)


def test_the_command_line_makes_and_associates_a_provider(aws: AwsCli, cluster: str, name: str) -> None:
    group = {"autoScalingGroupArn": f"{name}-cli", "managedScaling": {"status": "DISABLED"}}
    created = aws(
        "create-capacity-provider", "--name", name, "--auto-scaling-group-provider", json.dumps(group)
    )["capacityProvider"]
    assert created["type"] == "EC2_AUTOSCALING"
    given = aws(
        "put-cluster-capacity-providers",
        *("--cluster", cluster, "--capacity-providers", name),
        *("--default-capacity-provider-strategy", f"capacityProvider={name},weight=1"),
    )["cluster"]
    assert given["defaultCapacityProviderStrategy"] == [{"capacityProvider": name, "weight": 1, "base": 0}]
    assert aws("describe-capacity-providers", "--capacity-providers", name)["failures"] == []
    failed = aws.run("delete-capacity-provider", "--capacity-provider", name)
    assert "(ClientException)" in failed.stderr
