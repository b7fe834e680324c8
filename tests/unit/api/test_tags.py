"""TagResource, UntagResource, ListTagsForResource."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import (
    ApiError,
    ClusterNotFoundException,
    InvalidParameterException,
    LimitExceededException,
    ResourceNotFoundException,
)
from controller.state.entities import (
    CapacityProvider,
    Cluster,
    ContainerInstance,
    Service,
    Tag,
    Task,
    TaskDefinition,
    TaskSet,
)
from tests.unit.api.conftest import Api

PREFIX = "arn:aws:ecs:us-east-1:000000000000:"
ID = "1" * 32

RESOURCES = {
    "capacity-provider/pool": CapacityProvider(name="pool", created_at=1.0),
    "cluster/edge": Cluster(name="edge", created_at=1.0),
    f"container-instance/default/{ID}": ContainerInstance(
        cluster="default", id=ID, ec2_instance_id="i-1", cpu=1024, memory=1000, registered_at=1.0
    ),
    "service/default/web": Service(cluster="default", name="web", created_at=1.0),
    f"task/default/{ID}": Task(cluster="default", id=ID, family="web", revision=1, created_at=1.0),
    "task-definition/web:1": TaskDefinition(
        family="web", revision=1, status="INACTIVE", document={}, registered_at=1.0
    ),
    "task-set/default/web/ecs-svc/1": TaskSet(
        cluster="default",
        service="web",
        id="ecs-svc/1",
        family="web",
        revision=1,
        stability_status_at=1.0,
        created_at=1.0,
        updated_at=1.0,
    ),
}


async def tags_of(api: Api, resource: str) -> dict[str, str]:
    answer = await api.call("ListTagsForResource", resourceArn=PREFIX + resource)
    return {tag["key"]: tag["value"] for tag in answer["tags"]}


@pytest.mark.parametrize("resource", [*RESOURCES, "capacity-provider/FARGATE"])
async def test_every_resource_takes_tags_and_gives_them_back(api: Api, resource: str) -> None:
    if resource in RESOURCES:
        api.put(RESOURCES[resource])
    arn = PREFIX + resource
    await api.call("TagResource", resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b"}])
    await api.call("TagResource", resourceArn=arn, tags=[{"key": "a", "value": "2"}, {"key": "ü/c"}])
    assert await tags_of(api, resource) == {"a": "2", "b": "", "ü/c": ""}
    assert await api.call("UntagResource", resourceArn=arn, tagKeys=["b", "unknown"]) == {}
    assert await tags_of(api, resource) == {"a": "2", "ü/c": ""}


async def test_a_resource_has_fifty_tags_at_most_not_counting_those_of_ecs(api: Api) -> None:
    tags = tuple(Tag(f"key{number}") for number in range(49))
    api.put(Cluster(name="edge", created_at=1.0, tags=(*tags, Tag("aws:ecs:clusterName", "edge"))))
    arn = f"{PREFIX}cluster/edge"
    await api.call("TagResource", resourceArn=arn, tags=[{"key": "key49"}, {"key": "key0", "value": "x"}])
    with pytest.raises(LimitExceededException, match="more than 50 tags"):
        await api.call("TagResource", resourceArn=arn, tags=[{"key": "key50"}])
    assert len(await tags_of(api, "cluster/edge")) == 51


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"tags": [{"key": "Aws:x"}]}, "reserved prefix"),
        ({"tags": [{"key": "x"}, {"key": "x"}]}, "Duplicate tag keys"),
        ({"tags": [{"value": "x"}]}, "Tag keys can not be null"),
        ({"tags": [{"key": ""}]}, "should have between 1 and 128 characters"),
        ({"tags": [{"key": "a?"}]}, "should match the pattern"),
        ({"tags": [{"key": str(number)} for number in range(51)]}, "between 0 and 50 items"),
        ({"tagKeys": ["aws:ecs:clusterName"]}, "reserved prefix"),
    ],
)
async def test_bad_tags_are_refused(api: Api, members: dict[str, Any], message: str) -> None:
    operation = "TagResource" if "tags" in members else "UntagResource"
    with pytest.raises(InvalidParameterException, match=message):
        await api.call(operation, resourceArn=f"{PREFIX}cluster/default", **members)
    assert await tags_of(api, "cluster/default") == {}


@pytest.mark.parametrize(
    ("arn", "error", "message"),
    [
        ("nonsense", InvalidParameterException, "The ARN provided is invalid."),
        (f"{PREFIX}cluster", InvalidParameterException, "The ARN provided is invalid."),
        (f"{PREFIX}secret/x", InvalidParameterException, "The ARN provided is invalid."),
        (f"{PREFIX}service/web", InvalidParameterException, "Long arn format must be used"),
        (f"{PREFIX}cluster/none", ClusterNotFoundException, "Cluster not found."),
        (f"{PREFIX}cluster/gone", InvalidParameterException, "The specified cluster is inactive."),
        (f"{PREFIX}service/default/gone", InvalidParameterException, "The specified service is inactive."),
        (f"{PREFIX}service/default/none", ResourceNotFoundException, "was not found"),
        (f"{PREFIX}task-definition/web:9", ResourceNotFoundException, "was not found"),
        (
            "arn:aws:ecs:eu-west-1:000000000000:service/default/web",
            ResourceNotFoundException,
            "was not found",
        ),
        ("arn:aws:ecs:us-east-1:111111111111:cluster/default", ClusterNotFoundException, "Cluster not found"),
    ],
)
async def test_what_cannot_be_tagged_is_said(api: Api, arn: str, error: type[ApiError], message: str) -> None:
    api.put(
        RESOURCES["service/default/web"],
        Service(cluster="default", name="gone", status="INACTIVE", created_at=1.0),
        Cluster(name="gone", status="INACTIVE", created_at=1.0),
    )
    with pytest.raises(error, match=message):
        await api.call("TagResource", resourceArn=arn, tags=[{"key": "a"}])
    with pytest.raises(error, match=message):
        await api.call("UntagResource", resourceArn=arn, tagKeys=["a"])
    # Lists know no error for a missing resource but the cluster's.
    listing = InvalidParameterException if error is ResourceNotFoundException else error
    with pytest.raises(listing, match=message):
        await api.call("ListTagsForResource", resourceArn=arn)
