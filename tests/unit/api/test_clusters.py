"""The operations on clusters, their capacity providers included."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import (
    AccessDeniedException,
    ApiError,
    ClusterContainsContainerInstancesException,
    ClusterContainsServicesException,
    ClusterContainsTasksException,
    ClusterNotFoundException,
    InvalidParameterException,
    ResourceInUseException,
)
from controller.state.entities import CapacityProvider, Cluster, ContainerInstance, Service, Task
from tests.unit.api.conftest import Api, agent_of

ARN = "arn:aws:ecs:us-east-1:000000000000:cluster"


def an_instance(cluster: str = "default", **changes: Any) -> ContainerInstance:
    values = {"id": "a" * 32, "ec2_instance_id": "mi-1", "cpu": 2048, "memory": 4000, "registered_at": 1.0}
    return ContainerInstance(cluster=cluster, **{**values, **changes})


def a_task(cluster: str = "default", **changes: Any) -> Task:
    values = {"id": "b" * 32, "family": "web", "revision": 1, "created_at": 1.0}
    return Task(cluster=cluster, **{**values, **changes})


async def test_a_new_cluster_shows_everything_it_was_given(api: Api) -> None:
    answer = await api.call(
        "CreateCluster",
        clusterName="edge",
        tags=[{"key": "team", "value": "a"}],
        settings=[{"name": "containerInsights", "value": "enabled"}],
        configuration={"executeCommandConfiguration": {"logging": "NONE"}},
        capacityProviders=["FARGATE"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE", "weight": 1}],
    )
    assert answer["cluster"] == {
        "clusterArn": f"{ARN}/edge",
        "clusterName": "edge",
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": 0,
        "pendingTasksCount": 0,
        "activeServicesCount": 0,
        "statistics": [],
        "tags": [{"key": "team", "value": "a"}],
        "settings": [{"name": "containerInsights", "value": "enabled"}],
        "configuration": {"executeCommandConfiguration": {"logging": "NONE"}},
        "capacityProviders": ["FARGATE"],
        "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}],
        "attachments": [],
        "attachmentsStatus": "UPDATE_COMPLETE",
    }


async def test_creating_an_active_cluster_again_answers_it_unchanged(api: Api) -> None:
    await api.call("CreateCluster", clusterName="edge", tags=[{"key": "team", "value": "a"}])
    again = await api.call("CreateCluster", clusterName="edge", tags=[{"key": "team", "value": "b"}])
    assert again["cluster"]["tags"] == [{"key": "team", "value": "a"}]


async def test_creating_an_inactive_cluster_again_starts_it_anew(api: Api) -> None:
    await api.call("CreateCluster", clusterName="edge", tags=[{"key": "team", "value": "a"}])
    await api.call("DeleteCluster", cluster="edge")
    again = await api.call("CreateCluster", clusterName="edge")
    assert (again["cluster"]["status"], again["cluster"]["tags"]) == ("ACTIVE", [])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"clusterName": "a b"}, "Invalid cluster name"),
        ({"clusterName": "a" * 256}, "Invalid cluster name"),
        ({"clusterName": "a\n"}, "Invalid cluster name"),
        (
            {"settings": [{"name": "containerInsights", "value": "perhaps"}]},
            "containerInsights should be one",
        ),
        ({"capacityProviders": ["mine"]}, "The specified capacity provider 'mine' was not found."),
        (
            {"defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
            "not associated with the cluster",
        ),
        (
            {"configuration": {"executeCommandConfiguration": {"logging": "OVERRIDE"}}},
            "logConfiguration is required",
        ),
        ({"tags": [{"key": "AWS:x"}]}, "reserved prefix"),
        ({"tags": [{"key": "x"}, {"key": "x"}]}, "Duplicate tag keys"),
        ({"tags": [{"value": "x"}]}, "Tag keys can not be null"),
    ],
)
async def test_a_bad_cluster_is_refused_and_not_made(api: Api, members: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterException, match=message.replace("(", r"\(")):
        await api.call("CreateCluster", **{"clusterName": "edge", **members})
    assert (await api.call("ListClusters"))["clusterArns"] == [f"{ARN}/default"]


async def test_an_agent_may_create_the_default_cluster_only(api: Api) -> None:
    agent = agent_of("default")
    assert (await api.call("CreateCluster", agent))["cluster"]["clusterName"] == "default"
    with pytest.raises(AccessDeniedException):
        await api.call("CreateCluster", agent, clusterName="edge")


async def test_describing_counts_instances_tasks_and_services(api: Api) -> None:
    placed = {"instance": "a" * 32, "reported_status": "RUNNING", "launch_type": "FARGATE"}
    api.put(
        an_instance(),
        an_instance(id="c" * 32, status="INACTIVE"),
        a_task(**placed),
        a_task(id="d" * 32, instance="a" * 32, reported_status="PENDING"),
        a_task(id="e" * 32),
        a_task(id="f" * 32, instance="a" * 32, reported_status="STOPPED", desired_status="STOPPED"),
        Service(cluster="default", name="web", created_at=1.0),
        Service(cluster="default", name="old", status="DRAINING", created_at=1.0),
        Service(cluster="default", name="gone", status="INACTIVE", created_at=1.0),
    )
    cluster = (await api.call("DescribeClusters", include=["STATISTICS"]))["clusters"][0]
    assert cluster["registeredContainerInstancesCount"] == 1
    assert cluster["runningTasksCount"] == 1
    assert cluster["pendingTasksCount"] == 2
    assert cluster["activeServicesCount"] == 1
    counts = {item["name"]: item["value"] for item in cluster["statistics"]}
    assert counts["runningFargateTasksCount"] == "1"
    assert counts["runningEC2TasksCount"] == "0"
    assert counts["pendingEC2TasksCount"] == "2"
    assert counts["activeEC2ServiceCount"] == "1"
    assert counts["drainingEC2ServiceCount"] == "1"


async def test_details_are_shown_only_when_included(api: Api) -> None:
    await api.call("CreateCluster", clusterName="edge", tags=[{"key": "a", "value": "b"}])
    bare = (await api.call("DescribeClusters", clusters=["edge"]))["clusters"][0]
    assert (bare["tags"], bare["settings"], bare["statistics"]) == ([], [], [])
    full = (await api.call("DescribeClusters", clusters=["edge"], include=["TAGS", "SETTINGS"]))["clusters"][
        0
    ]
    assert full["tags"] == [{"key": "a", "value": "b"}]
    assert full["settings"] == [{"name": "containerInsights", "value": "disabled"}]


async def test_unknown_clusters_are_failures_with_their_arn(api: Api) -> None:
    foreign = "arn:aws:ecs:eu-west-1:111111111111:cluster/default"
    answer = await api.call("DescribeClusters", clusters=["default", "nope", f"{ARN}/nada", foreign])
    assert [cluster["clusterName"] for cluster in answer["clusters"]] == ["default"]
    assert answer["failures"] == [
        {"arn": f"{ARN}/nope", "reason": "MISSING"},
        {"arn": f"{ARN}/nada", "reason": "MISSING"},
        {"arn": foreign, "reason": "MISSING"},
    ]


async def test_a_deleted_cluster_can_be_described_but_not_used_listed_or_deleted_again(api: Api) -> None:
    deleted = await api.call("DeleteCluster", cluster=f"{ARN}/default")
    assert deleted["cluster"]["status"] == "INACTIVE"
    assert (await api.call("DescribeClusters"))["clusters"][0]["status"] == "INACTIVE"
    assert (await api.call("ListClusters"))["clusterArns"] == []
    with pytest.raises(ClusterNotFoundException, match=r"Cluster not found\."):
        await api.call("DeleteCluster", cluster="default")
    with pytest.raises(ClusterNotFoundException):
        await api.call("ListContainerInstances")


@pytest.mark.parametrize(
    ("thing", "error"),
    [
        (Service(cluster="default", name="web", created_at=1.0), ClusterContainsServicesException),
        (
            Service(cluster="default", name="web", status="DRAINING", created_at=1.0),
            ClusterContainsServicesException,
        ),
        (an_instance(), ClusterContainsContainerInstancesException),
        (an_instance(status="DRAINING"), ClusterContainsContainerInstancesException),
        (a_task(), ClusterContainsTasksException),
    ],
)
async def test_a_cluster_in_use_is_not_deleted(api: Api, thing: Any, error: type[ApiError]) -> None:
    api.put(thing)
    with pytest.raises(error, match="The Cluster cannot be deleted while"):
        await api.call("DeleteCluster", cluster="default")


async def test_what_is_over_does_not_keep_a_cluster_from_being_deleted(api: Api) -> None:
    api.put(
        Service(cluster="default", name="web", status="INACTIVE", created_at=1.0),
        an_instance(status="INACTIVE"),
        a_task(reported_status="STOPPED", desired_status="STOPPED"),
    )
    assert (await api.call("DeleteCluster", cluster="default"))["cluster"]["status"] == "INACTIVE"


async def test_clusters_are_listed_page_by_page(api: Api) -> None:
    api.put(*(Cluster(name=f"c{number}", created_at=1.0) for number in range(5)))
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = await api.call("ListClusters", maxResults=2, **token)
        seen += answer["clusterArns"]
        if "nextToken" not in answer:
            break
        token = {"nextToken": answer["nextToken"]}
    assert seen == [f"{ARN}/c{number}" for number in range(5)] + [f"{ARN}/default"]


async def test_updating_a_cluster_changes_what_is_given_and_keeps_the_rest(api: Api) -> None:
    await api.call(
        "CreateCluster",
        clusterName="edge",
        configuration={"executeCommandConfiguration": {"logging": "NONE"}},
        serviceConnectDefaults={"namespace": "internal"},
    )
    updated = await api.call(
        "UpdateCluster", cluster="edge", settings=[{"name": "containerInsights", "value": "enhanced"}]
    )
    assert updated["cluster"]["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
    assert updated["cluster"]["configuration"] == {"executeCommandConfiguration": {"logging": "NONE"}}
    assert updated["cluster"]["serviceConnectDefaults"] == {"namespace": "internal"}
    updated = await api.call(
        "UpdateCluster",
        cluster=f"{ARN}/edge",
        configuration={"executeCommandConfiguration": {"logging": "DEFAULT"}},
        serviceConnectDefaults={"namespace": ""},
    )
    assert updated["cluster"]["configuration"] == {"executeCommandConfiguration": {"logging": "DEFAULT"}}
    assert "serviceConnectDefaults" not in updated["cluster"]
    described = await api.call("DescribeClusters", clusters=["edge"], include=["SETTINGS"])
    assert described["clusters"][0]["settings"] == [{"name": "containerInsights", "value": "enhanced"}]


async def test_cluster_settings_are_updated_by_name(api: Api) -> None:
    setting = {"name": "containerInsights", "value": "enabled"}
    updated = await api.call("UpdateClusterSettings", cluster="default", settings=[setting])
    assert updated["cluster"]["settings"] == [setting]
    with pytest.raises(InvalidParameterException, match="containerInsights should be one of"):
        await api.call("UpdateClusterSettings", cluster="default", settings=[{**setting, "value": "perhaps"}])


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("UpdateCluster", {}),
        ("UpdateClusterSettings", {"settings": []}),
        ("PutClusterCapacityProviders", {"capacityProviders": [], "defaultCapacityProviderStrategy": []}),
    ],
)
async def test_only_active_clusters_are_changed(api: Api, operation: str, members: dict[str, Any]) -> None:
    await api.call("DeleteCluster", cluster="default")
    with pytest.raises(ClusterNotFoundException):
        await api.call(operation, cluster="default", **members)


async def test_a_new_cluster_has_container_insights_as_the_account_setting_says(api: Api) -> None:
    await api.call("PutAccountSettingDefault", name="containerInsights", value="enhanced")
    created = await api.call("CreateCluster", clusterName="edge")
    assert created["cluster"]["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
    setting = {"name": "containerInsights", "value": "disabled"}
    chosen = await api.call("CreateCluster", clusterName="other", settings=[setting])
    assert chosen["cluster"]["settings"] == [setting]


def a_pool(name: str, **changes: Any) -> CapacityProvider:
    return CapacityProvider(name=name, created_at=1.0, **changes)


async def put_providers(
    api: Api, providers: list[str], strategy: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    answer = await api.call(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=providers,
        defaultCapacityProviderStrategy=strategy or [],
    )
    cluster: dict[str, Any] = answer["cluster"]
    return cluster


async def test_a_clusters_capacity_providers_are_replaced_as_a_whole(api: Api) -> None:
    api.put(a_pool("small"), a_pool("large"))
    arn = ARN.replace(":cluster", ":capacity-provider/large")
    cluster = await put_providers(
        api,
        ["small", arn],
        [{"capacityProvider": arn, "base": 2}, {"capacityProvider": "small", "weight": 3}],
    )
    assert cluster["capacityProviders"] == ["small", "large"]
    assert cluster["defaultCapacityProviderStrategy"] == [
        {"capacityProvider": "large", "weight": 0, "base": 2},
        {"capacityProvider": "small", "weight": 3, "base": 0},
    ]
    cluster = await put_providers(api, ["small"])
    assert (cluster["capacityProviders"], cluster["defaultCapacityProviderStrategy"]) == (["small"], [])
    cluster = await put_providers(api, [])
    assert cluster["capacityProviders"] == []


@pytest.mark.parametrize(
    ("providers", "strategy", "message"),
    [
        (["none"], [], "The specified capacity provider 'none' was not found"),
        (["gone"], [], "The specified capacity provider 'gone' was not found"),
        ([f"pool{number}" for number in range(21)], [], "maximum of 20 capacity providers"),
        (["pool0"], [{"capacityProvider": "pool1"}], "not associated with the cluster"),
        (["pool0"], [{"capacityProvider": "pool0", "weight": 1}] * 2, "only once"),
        (["pool0"], [{"capacityProvider": "pool0", "weight": 1}] * 21, "maximum of 20"),
        (
            ["pool0", "FARGATE"],
            [{"capacityProvider": "pool0", "weight": 1}, {"capacityProvider": "FARGATE"}],
            "cannot contain a mix",
        ),
        (
            ["pool0", "pool1"],
            [{"capacityProvider": name, "weight": 1, "base": 1} for name in ("pool0", "pool1")],
            "Only one capacity provider",
        ),
        (
            ["pool0", "pool1"],
            [{"capacityProvider": name} for name in ("pool0", "pool1")],
            "must have a weight value greater than zero",
        ),
    ],
)
async def test_bad_capacity_providers_of_a_cluster_are_refused(
    api: Api, providers: list[str], strategy: list[dict[str, Any]], message: str
) -> None:
    api.put(a_pool("gone", status="INACTIVE"), *(a_pool(f"pool{number}") for number in range(21)))
    with pytest.raises(InvalidParameterException, match=message):
        await put_providers(api, providers, strategy)
    assert (await api.call("DescribeClusters"))["clusters"][0]["capacityProviders"] == []


@pytest.mark.parametrize(
    "user",
    [
        Service(
            cluster="default",
            name="web",
            created_at=1.0,
            options={"capacityProviderStrategy": [{"capacityProvider": "pool", "weight": 1}]},
        ),
        a_task(options={"capacityProviderName": "pool"}),
    ],
)
async def test_a_provider_in_use_stays_with_its_cluster(api: Api, user: Any) -> None:
    api.put(a_pool("pool"), a_pool("other"), user)
    await put_providers(api, ["pool", "other"])
    with pytest.raises(ResourceInUseException, match="is in use and cannot be removed"):
        await put_providers(api, ["other"])
    assert (await put_providers(api, ["pool"]))["capacityProviders"] == ["pool"]
