"""CreateCapacityProvider, DescribeCapacityProviders, UpdateCapacityProvider, DeleteCapacityProvider."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import (
    ApiError,
    ClientException,
    ClusterNotFoundException,
    InvalidParameterException,
    UnsupportedFeatureException,
)
from tests.unit.api.conftest import Api

ARN = "arn:aws:ecs:us-east-1:000000000000:capacity-provider"
MANAGED = {"infrastructureRoleArn": "arn:aws:iam::000000000000:role/x", "instanceLaunchTemplate": {}}
LAUNCH = {"ec2InstanceProfileArn": "x", "networkConfiguration": {"subnets": ["a"]}}


async def create(api: Api, name: str = "pool", **members: Any) -> dict[str, Any]:
    group = {"autoScalingGroupArn": f"group-of-{name}", **members.pop("group", {})}
    answer = await api.call(
        "CreateCapacityProvider", name=name, **{"autoScalingGroupProvider": group, **members}
    )
    provider: dict[str, Any] = answer["capacityProvider"]
    return provider


async def names(api: Api, **members: Any) -> list[str]:
    answer = await api.call("DescribeCapacityProviders", **members)
    return [provider["name"] for provider in answer["capacityProviders"]]


async def test_a_new_provider_shows_its_group_with_every_default(api: Api) -> None:
    created = await create(api, group={"managedScaling": {"targetCapacity": 80}}, tags=[{"key": "a"}])
    assert created == {
        "capacityProviderArn": f"{ARN}/pool",
        "name": "pool",
        "status": "ACTIVE",
        "updateStatus": "CREATE_COMPLETE",
        "type": "EC2_AUTOSCALING",
        "tags": [{"key": "a", "value": ""}],
        "autoScalingGroupProvider": {
            "autoScalingGroupArn": "group-of-pool",
            "managedScaling": {
                "status": "ENABLED",
                "targetCapacity": 80,
                "minimumScalingStepSize": 1,
                "maximumScalingStepSize": 10_000,
                "instanceWarmupPeriod": 300,
            },
            "managedTerminationProtection": "DISABLED",
            "managedDraining": "ENABLED",
        },
    }


async def test_a_group_that_never_mentions_managed_scaling_has_it_disabled(api: Api) -> None:
    created = await create(api)
    assert created["autoScalingGroupProvider"]["managedScaling"]["status"] == "DISABLED"


async def test_fargate_and_fargate_spot_always_exist(api: Api) -> None:
    answer = await api.call("DescribeCapacityProviders")
    assert answer == {
        "capacityProviders": [
            {
                "capacityProviderArn": f"{ARN}/{name}",
                "name": name,
                "status": "ACTIVE",
                "tags": [],
                "type": name,
            }
            for name in ("FARGATE", "FARGATE_SPOT")
        ],
        "failures": [],
    }


async def test_providers_are_found_by_name_and_arn_and_the_missing_are_failures(api: Api) -> None:
    await create(api, tags=[{"key": "a", "value": "1"}])
    foreign = "arn:aws:ecs:eu-west-1:111111111111:capacity-provider/pool"
    answer = await api.call(
        "DescribeCapacityProviders",
        capacityProviders=["pool", f"{ARN}/pool", "FARGATE", "none", foreign],
        include=["TAGS"],
    )
    assert [provider["name"] for provider in answer["capacityProviders"]] == ["FARGATE", "pool"]
    assert answer["capacityProviders"][1]["tags"] == [{"key": "a", "value": "1"}]
    assert answer["failures"] == [
        {"arn": f"{ARN}/none", "reason": "MISSING"},
        {"arn": foreign, "reason": "MISSING"},
    ]


async def test_ten_providers_make_a_page_and_failures_come_with_the_first(api: Api) -> None:
    pools = [f"pool{number:02}" for number in range(12)]
    for name in pools:
        await create(api, name)
    first = await api.call("DescribeCapacityProviders", capacityProviders=[*pools, "none"])
    assert (len(first["capacityProviders"]), len(first["failures"])) == (10, 1)
    second = await api.call(
        "DescribeCapacityProviders", capacityProviders=[*pools, "none"], nextToken=first["nextToken"]
    )
    assert [provider["name"] for provider in second["capacityProviders"]] == pools[10:]
    assert (second["failures"], "nextToken" in second) == ([], False)


async def test_a_cluster_shows_its_own_providers_only(api: Api) -> None:
    await create(api)
    await create(api, "other")
    await api.call(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["pool"],
        defaultCapacityProviderStrategy=[],
    )
    assert await names(api, cluster="default") == ["pool"]
    answer = await api.call(
        "DescribeCapacityProviders", cluster="default", capacityProviders=["pool", "other"]
    )
    assert [provider["name"] for provider in answer["capacityProviders"]] == ["pool"]
    assert answer["failures"] == [{"arn": f"{ARN}/other", "reason": "MISSING"}]
    with pytest.raises(ClusterNotFoundException):
        await names(api, cluster="nope")


async def test_an_update_changes_what_is_given_and_keeps_the_rest(api: Api) -> None:
    await create(api, group={"managedScaling": {"status": "DISABLED", "targetCapacity": 80}})
    answer = await api.call(
        "UpdateCapacityProvider",
        name="pool",
        autoScalingGroupProvider={
            "managedScaling": {"instanceWarmupPeriod": 0},
            "managedDraining": "DISABLED",
        },
    )
    assert answer["capacityProvider"]["updateStatus"] == "UPDATE_COMPLETE"
    assert answer["capacityProvider"]["autoScalingGroupProvider"] == {
        "autoScalingGroupArn": "group-of-pool",
        "managedScaling": {
            "status": "DISABLED",
            "targetCapacity": 80,
            "minimumScalingStepSize": 1,
            "maximumScalingStepSize": 10_000,
            "instanceWarmupPeriod": 0,
        },
        "managedTerminationProtection": "DISABLED",
        "managedDraining": "DISABLED",
    }


async def test_a_deleted_provider_is_described_by_name_and_its_name_may_be_taken_again(api: Api) -> None:
    await create(api, tags=[{"key": "a"}])
    deleted = (await api.call("DeleteCapacityProvider", capacityProvider=f"{ARN}/pool"))["capacityProvider"]
    assert (deleted["status"], deleted["updateStatus"]) == ("INACTIVE", "DELETE_COMPLETE")
    assert "pool" not in await names(api)
    assert await names(api, capacityProviders=["pool"]) == ["pool"]
    with pytest.raises(ClientException, match="does not exist"):
        await api.call("DeleteCapacityProvider", capacityProvider="pool")
    again = await create(api)
    assert (again["status"], again["tags"]) == ("ACTIVE", [])


async def test_a_provider_of_a_cluster_is_not_deleted(api: Api) -> None:
    await create(api)
    both: dict[str, Any] = {"capacityProviders": ["pool"], "defaultCapacityProviderStrategy": []}
    await api.call("PutClusterCapacityProviders", cluster="default", **both)
    with pytest.raises(ClientException, match="associated with cluster: default"):
        await api.call("DeleteCapacityProvider", capacityProvider="pool")
    await api.call("DeleteCluster", cluster="default")
    await api.call("DeleteCapacityProvider", capacityProvider="pool")


@pytest.mark.parametrize("operation", ["UpdateCapacityProvider", "DeleteCapacityProvider"])
@pytest.mark.parametrize(
    ("name", "message"), [("none", "The specified capacity provider does not exist"), ("FARGATE", "reserved")]
)
async def test_what_is_not_there_or_reserved_is_neither_updated_nor_deleted(
    api: Api, operation: str, name: str, message: str
) -> None:
    members: dict[str, Any] = (
        {"name": name, "autoScalingGroupProvider": {}}
        if operation == "UpdateCapacityProvider"
        else {"capacityProvider": name}
    )
    with pytest.raises(ClientException, match=message):
        await api.call(operation, **members)


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({"name": "a b"}, InvalidParameterException, "name is invalid"),
        ({"name": "a" * 256}, InvalidParameterException, "name is invalid"),
        ({"name": "Fargate_mine"}, InvalidParameterException, "cannot be prefixed"),
        ({"name": "taken"}, ClientException, "already exists"),
        ({"group": {"autoScalingGroupArn": "group-of-taken"}}, ClientException, "already being used"),
        ({"group": {"autoScalingGroupArn": ""}}, InvalidParameterException, "can not be empty"),
        ({"autoScalingGroupProvider": None}, InvalidParameterException, "can not be null"),
        ({"cluster": "default"}, InvalidParameterException, "managed instances only"),
        (
            {"group": {"managedTerminationProtection": "ENABLED"}},
            ClientException,
            "termination protection setting",
        ),
        (
            {"group": {"managedScaling": {"minimumScalingStepSize": 5, "maximumScalingStepSize": 4}}},
            InvalidParameterException,
            "can not be greater",
        ),
        (
            {"group": {"managedScaling": {"targetCapacity": 101}}},
            InvalidParameterException,
            "between 1 and 100",
        ),
        (
            {
                "autoScalingGroupProvider": None,
                "cluster": "default",
                "managedInstancesProvider": {**MANAGED, "instanceLaunchTemplate": LAUNCH},
            },
            UnsupportedFeatureException,
            "use autoScalingGroupProvider",
        ),
    ],
)
async def test_a_bad_provider_is_refused_and_not_made(
    api: Api, members: dict[str, Any], error: type[ApiError], message: str
) -> None:
    await create(api, "taken")
    with pytest.raises(error, match=message):
        await create(api, **members)
    assert await names(api) == ["FARGATE", "FARGATE_SPOT", "taken"]


async def test_an_update_that_breaks_a_rule_changes_nothing(api: Api) -> None:
    created = await create(api)
    with pytest.raises(ClientException, match="termination protection setting"):
        await api.call(
            "UpdateCapacityProvider",
            name="pool",
            autoScalingGroupProvider={"managedTerminationProtection": "ENABLED"},
        )
    described = await api.call("DescribeCapacityProviders", capacityProviders=["pool"])
    assert described["capacityProviders"] == [created]
