"""Capacity provider strategies in RunTask, CreateService and UpdateService."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from controller.api.errors import InvalidParameterException
from controller.api.render.instance import render_instance
from controller.scheduler.capacity import PROVIDER_ATTRIBUTE
from controller.state.entities import (
    Attribute,
    CapacityProvider,
    Cluster,
    ContainerInstance,
    Deployment,
    Service,
)
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE

POOLS = [{"capacityProvider": "big", "base": 1, "weight": 1}, {"capacityProvider": "small", "weight": 3}]
FILLED = [{"base": 0, "weight": 0, **item} for item in POOLS]


@pytest.fixture(autouse=True)
async def cluster(api: Any, register: Any) -> None:
    """The cluster `default` with two providers of its own, and an instance of each."""
    for name in ("big", "small"):
        api.put(CapacityProvider(name=name, created_at=0.0))
    options = {"capacityProviders": ["big", "small", "FARGATE", "FARGATE_SPOT"]}
    api.put(replace(api.read.get(Cluster, "default"), options=options))
    await register()


def join(api: Any, number: int, provider: str) -> str:
    """An instance of a provider; answers its id."""
    instance = api.join(number)
    attribute = Attribute(PROVIDER_ATTRIBUTE, provider)
    api.put(replace(instance, attributes=(*instance.attributes, attribute)))
    return str(instance.id)


async def test_tasks_go_to_the_instances_of_their_providers(api: Any) -> None:
    places = {"big": join(api, 1, "big"), "small": join(api, 2, "small")}
    answer = await api("RunTask", taskDefinition="web", count=5, capacityProviderStrategy=POOLS)
    assert answer["failures"] == []
    assert Counter(task["capacityProviderName"] for task in answer["tasks"]) == {"big": 2, "small": 3}
    for task in answer["tasks"]:
        assert task["containerInstanceArn"].endswith(places[task["capacityProviderName"]])
        assert task["launchType"] == "EC2"
    instance = api.read.get(ContainerInstance, f"default/{places['big']}")
    assert render_instance(instance, api.read, ())["capacityProviderName"] == "big"


async def test_a_provider_without_instances_starts_nothing(api: Any) -> None:
    api.join(1)
    with pytest.raises(InvalidParameterException, match="found in your capacity provider"):
        await api("RunTask", taskDefinition="web", capacityProviderStrategy=POOLS[:1])


async def test_the_clusters_default_strategy_holds_where_nothing_is_said(api: Any, register: Any) -> None:
    cluster = api.read.get(Cluster, "default")
    default = {"defaultCapacityProviderStrategy": [FILLED[0]]}
    api.put(replace(cluster, options={**cluster.options, **default}))
    join(api, 1, "big")
    (task,) = (await api("RunTask", taskDefinition="web"))["tasks"]
    assert task["capacityProviderName"] == "big"
    (task,) = (await api("RunTask", taskDefinition="web", launchType="EC2"))["tasks"]
    assert "capacityProviderName" not in task
    service = (await api("CreateService", serviceName="web", taskDefinition="web", desiredCount=1))["service"]
    assert service["capacityProviderStrategy"] == [FILLED[0]]


async def test_fargate_and_spot_run_on_every_instance(api: Any, register: Any) -> None:
    instance = api.join(1)
    capability = Attribute("ecs.capability.task-eni")
    api.put(replace(instance, attributes=(*instance.attributes, capability)))
    await register(
        "fargate",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        container={"portMappings": [], "memory": 64},
    )
    answer = await api(
        "RunTask",
        taskDefinition="fargate",
        count=2,
        capacityProviderStrategy=[
            {"capacityProvider": "FARGATE", "weight": 1},
            {"capacityProvider": "FARGATE_SPOT", "weight": 1},
        ],
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )
    assert answer["failures"] == []
    assert [task["capacityProviderName"] for task in answer["tasks"]] == ["FARGATE", "FARGATE_SPOT"]
    assert {task["launchType"] for task in answer["tasks"]} == {"FARGATE"}


async def test_a_service_shows_its_strategy_in_place_of_a_launch_type(api: Any) -> None:
    answer = await api(
        "CreateService",
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        capacityProviderStrategy=POOLS,
    )
    service = answer["service"]
    assert service["capacityProviderStrategy"] == FILLED
    (deployment,) = service["deployments"]
    assert deployment["capacityProviderStrategy"] == FILLED
    assert "launchType" not in service
    assert "launchType" not in deployment
    revision = service["currentServiceRevisions"][0]["arn"]
    (shown,) = (await api("DescribeServiceRevisions", serviceRevisionArns=[revision]))["serviceRevisions"]
    assert shown["capacityProviderStrategy"] == FILLED
    assert "launchType" not in shown


async def test_another_strategy_is_for_further_tasks_and_starts_no_deployment(api: Any) -> None:
    await api("CreateService", serviceName="web", taskDefinition="web", desiredCount=1)
    answer = await api("UpdateService", service="web", capacityProviderStrategy=POOLS)
    assert answer["service"]["capacityProviderStrategy"] == FILLED
    (deployment,) = _deployments(api)
    assert deployment.settings["capacityProviderStrategy"] == FILLED
    back = await api("UpdateService", service="web", capacityProviderStrategy=[], forceNewDeployment=True)
    assert back["service"]["launchType"] == "EC2"
    assert "capacityProviderStrategy" not in back["service"]
    assert len(_deployments(api)) == 2
    service = api.read.get(Service, "default/web")
    strategy = [{"capacityProvider": "other"}]
    with pytest.raises(InvalidParameterException, match="not associated with the cluster"):
        await api("UpdateService", service="web", capacityProviderStrategy=strategy)
    assert api.read.get(Service, "default/web") == service


def _deployments(api: Any) -> list[Deployment]:
    return list(api.read.select(DEPLOYMENTS_OF_SERVICE, "default/web").values())
