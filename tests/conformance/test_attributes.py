"""Attributes of container instances, by boto3 and by the AWS CLI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import AwsCli
from tests.conformance.played_agent import PlayedAgent

TYPE = {"targetType": "container-instance"}


def test_attributes_decide_where_tasks_go(ecs: Any, cluster: str, family: str, agent: PlayedAgent) -> None:
    run = {
        "cluster": cluster,
        "taskDefinition": family,
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:disk == ssd"}],
    }
    assert ecs.run_task(**run)["tasks"] == []
    disk = {"name": "disk", "value": "ssd", "targetId": agent.arn}
    assert ecs.put_attributes(cluster=cluster, attributes=[disk])["attributes"] == [{**disk, **TYPE}]
    assert len(ecs.run_task(**run)["tasks"]) == 1
    assert ecs.list_attributes(cluster=cluster, attributeName="disk", attributeValue="ssd", **TYPE)[
        "attributes"
    ] == [{**disk, **TYPE}]
    del disk["value"]
    deleted = ecs.delete_attributes(cluster=cluster, attributes=[disk])["attributes"]
    assert deleted[0]["value"] == "ssd"
    assert ecs.run_task(**run)["tasks"] == []


def test_capabilities_are_listed_page_by_page(ecs: Any, cluster: str, agent: PlayedAgent) -> None:
    pages = list(
        ecs.get_paginator("list_attributes").paginate(
            cluster=cluster, **TYPE, PaginationConfig={"PageSize": 2}
        )
    )
    names = [attribute["name"] for page in pages for attribute in page["attributes"]]
    assert len(pages) >= 3
    assert len(names) == len(set(names))
    assert {"ecs.capability.container-ordering", "ecs.cpu-architecture"} <= set(names)


def test_errors_of_attributes(ecs: Any, cluster: str, agent: PlayedAgent) -> None:
    with pytest.raises(ecs.exceptions.TargetNotFoundException, match="Could not find"):
        ecs.put_attributes(cluster=cluster, attributes=[{"name": "a", "targetId": "0" * 32, **TYPE}])
    many = [{"name": f"a{number}", "targetId": agent.arn} for number in range(10)]
    ecs.put_attributes(cluster=cluster, attributes=many)
    with pytest.raises(ecs.exceptions.AttributeLimitExceededException):
        ecs.put_attributes(cluster=cluster, attributes=[{"name": "b", "targetId": agent.arn}])


def test_the_command_line_puts_lists_and_deletes(aws: AwsCli, cluster: str, agent: PlayedAgent) -> None:
    here = ("--cluster", cluster)
    given = f"name=rack,value=7,targetId={agent.arn}"
    aws("put-attributes", *here, "--attributes", given)
    listing = ("list-attributes", *here, "--target-type", "container-instance", "--attribute-name", "rack")
    assert [attribute["value"] for attribute in aws(*listing)["attributes"]] == ["7"]
    aws("delete-attributes", *here, "--attributes", given)
    assert aws(*listing)["attributes"] == []
