"""Every paginator of the installed model against live state, which changes between the pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import botocore.session
import pytest
from botocore.exceptions import ClientError

from controller.api.operations import ECS_OPERATIONS
from controller.keyring import ClientProfile
from tests.conformance.played_agent import PlayedAgent

ITEMS = 5
PAGE = 2

AWS_ONLY = {"ListGatewayClusterAssociations", "ListGatewayRoutes", "ListGateways"}
"""Gateways are resources of AWS's own network: their lists are empty, or refused."""


class Stage(NamedTuple):
    """What a test has to make items with."""

    ecs: Any
    profile: ClientProfile
    cluster: str
    name: str
    family: str


class Listing(NamedTuple):
    """Items that were made, and how to list them."""

    arguments: dict[str, Any]
    expected: list[str]
    """Names that the listed items must end with, in the order of the list."""
    remove_first: Callable[[], object] | None = None
    """Takes the first item away while the list is being read."""
    text: Callable[[Any], str] = str
    """The text of one listed item."""
    among_others: bool = False
    """Whether the list holds what other tests made, too."""


def _clusters(stage: Stage) -> Listing:
    names = [f"{stage.name}-{number}" for number in range(ITEMS)]
    for name in names:
        stage.ecs.create_cluster(clusterName=name)
    return Listing({}, names, lambda: stage.ecs.delete_cluster(cluster=names[0]), among_others=True)


def _instance(stage: Stage) -> str:
    """The ARN of a container instance whose agent is away."""
    resources = [{"name": name, "type": "INTEGER", "integerValue": 1024} for name in ("CPU", "MEMORY")]
    answer = stage.ecs.register_container_instance(cluster=stage.cluster, totalResources=resources)
    arn: str = answer["containerInstance"]["containerInstanceArn"]
    return arn


def _container_instances(stage: Stage) -> Listing:
    arns = sorted(_instance(stage) for _ in range(ITEMS))
    return Listing(
        {"cluster": stage.cluster},
        arns,
        lambda: stage.ecs.deregister_container_instance(
            cluster=stage.cluster, containerInstance=arns[0], force=True
        ),
    )


def _register(stage: Stage, family: str) -> str:
    arn: str = stage.ecs.register_task_definition(
        family=family, containerDefinitions=[{"name": "web", "image": "web:1", "memory": 64}]
    )["taskDefinition"]["taskDefinitionArn"]
    return arn


def _task_definitions(stage: Stage) -> Listing:
    family = f"{stage.name}-paged"
    arns = [_register(stage, family) for _ in range(ITEMS)]
    return Listing(
        {"familyPrefix": family}, arns, lambda: stage.ecs.deregister_task_definition(taskDefinition=arns[0])
    )


def _families(stage: Stage) -> Listing:
    prefix = f"{stage.name}-families"
    families = [f"{prefix}-{number}" for number in range(ITEMS)]
    arns = [_register(stage, family) for family in families]
    return Listing(
        {"familyPrefix": prefix, "status": "ACTIVE"},
        families,
        lambda: stage.ecs.deregister_task_definition(taskDefinition=arns[0]),
    )


def _tasks(stage: Stage) -> Listing:
    with PlayedAgent(stage.ecs, stage.profile, stage.cluster):
        started = stage.ecs.run_task(cluster=stage.cluster, taskDefinition=stage.family, count=ITEMS)
    arns = sorted(task["taskArn"] for task in started["tasks"])
    return Listing(
        {"cluster": stage.cluster}, arns, lambda: stage.ecs.stop_task(cluster=stage.cluster, task=arns[0])
    )


def _services(stage: Stage) -> Listing:
    names = [f"web-{number}" for number in range(ITEMS)]
    for name in names:
        stage.ecs.create_service(
            cluster=stage.cluster, serviceName=name, taskDefinition=stage.family, desiredCount=0
        )
    return Listing(
        {"cluster": stage.cluster},
        names,
        lambda: stage.ecs.delete_service(cluster=stage.cluster, service=names[0]),
    )


def _attributes(stage: Stage) -> Listing:
    instances = sorted(_instance(stage) for _ in range(ITEMS))
    attributes = [{"name": "rack", "value": "a", "targetId": instance} for instance in instances]
    stage.ecs.put_attributes(cluster=stage.cluster, attributes=attributes)
    return Listing(
        {
            "cluster": stage.cluster,
            "targetType": "container-instance",
            "attributeName": "rack",
            "attributeValue": "a",
        },
        instances,
        lambda: stage.ecs.delete_attributes(cluster=stage.cluster, attributes=attributes[:1]),
        lambda item: str(item["targetId"]),
    )


def _account_settings(stage: Stage) -> Listing:
    names = [
        "awsvpcTrunking",
        "containerInsights",
        "containerInstanceLongArnFormat",
        "serviceLongArnFormat",
        "taskLongArnFormat",
    ]
    for name in names:
        stage.ecs.put_account_setting(name=name, value="enabled")
    return Listing({}, names, text=lambda item: str(item["name"]), among_others=True)


def _services_of_namespace(stage: Stage) -> Listing:
    stage.ecs.update_cluster(cluster=stage.cluster, serviceConnectDefaults={"namespace": stage.name})
    return Listing({"namespace": stage.name}, [])


SCENARIOS: dict[str, Callable[[Stage], Listing]] = {
    "ListAccountSettings": _account_settings,
    "ListAttributes": _attributes,
    "ListClusters": _clusters,
    "ListContainerInstances": _container_instances,
    "ListServices": _services,
    "ListServicesByNamespace": _services_of_namespace,
    "ListTaskDefinitionFamilies": _families,
    "ListTaskDefinitions": _task_definitions,
    "ListTasks": _tasks,
}


@cache
def paginators() -> dict[str, dict[str, Any]]:
    """Every paginator of the installed model."""
    loader = botocore.session.get_session().get_component("data_loader")
    found: dict[str, dict[str, Any]] = loader.load_service_model("ecs", "paginators-1")["pagination"]
    return found


def _paginate(ecs: Any, operation: str, **arguments: Any) -> Any:
    paginator = ecs.get_paginator(botocore.xform_name(operation))
    return paginator.paginate(**arguments, PaginationConfig={"PageSize": PAGE})


def _items(operation: str, page: dict[str, Any], listing: Listing) -> list[str]:
    texts = [listing.text(item) for item in page[paginators()[operation]["result_key"]]]
    return [text for text in texts if not listing.among_others or _wanted(text, listing)]


def _wanted(text: str, listing: Listing) -> bool:
    return any(_is(text, expected) for expected in listing.expected)


def _is(text: str, expected: str) -> bool:
    return text in (expected, text.rpartition("/")[0] + "/" + expected)


def test_every_paginator_of_the_model_is_tried_or_named_as_aws_only() -> None:
    assert paginators().keys() == SCENARIOS.keys() | AWS_ONLY


@pytest.mark.parametrize("operation", [name for name in SCENARIOS if name in ECS_OPERATIONS])
def test_a_paginator_gives_every_item_once_while_items_come_and_go(
    ecs: Any, profile: ClientProfile, cluster: str, name: str, family: str, operation: str
) -> None:
    listing = SCENARIOS[operation](Stage(ecs, profile, cluster, name, family))
    found: list[str] = []
    for page in _paginate(ecs, operation, **listing.arguments):
        assert len(page[paginators()[operation]["result_key"]]) <= PAGE
        if not found and listing.remove_first is not None and (items := _items(operation, page, listing)):
            assert _is(items[0], listing.expected[0])
            listing.remove_first()
        found += _items(operation, page, listing)
    assert len(found) == len(listing.expected)
    assert all(_is(text, expected) for text, expected in zip(found, listing.expected, strict=True))


@pytest.mark.parametrize("operation", sorted(AWS_ONLY))
def test_a_list_of_something_aws_only_is_empty_or_refused(ecs: Any, operation: str) -> None:
    shape = ecs.meta.service_model.operation_model(operation).input_shape
    arguments = dict.fromkeys(shape.required_members, "arn:aws:ecs:us-east-1:000000000000:gateway/g")
    try:
        pages = list(_paginate(ecs, operation, **arguments))
    except ClientError as error:
        assert error.response["Error"]["Code"] == "UnsupportedFeatureException"  # noqa: PT017  # either is right
    else:
        assert [page[paginators()[operation]["result_key"]] for page in pages] == [[]]
