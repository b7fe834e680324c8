"""PutAttributes, DeleteAttributes, ListAttributes."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import (
    ApiError,
    AttributeLimitExceededException,
    ClusterNotFoundException,
    InvalidParameterException,
    TargetNotFoundException,
)
from controller.state.entities import Attribute, ContainerInstance
from tests.unit.api.conftest import Api

PREFIX = "arn:aws:ecs:us-east-1:000000000000:container-instance/default"
FIRST, SECOND, GONE = ("1" * 32, "2" * 32, "3" * 32)


def an_instance(id_: str, *attributes: Attribute, **changes: Any) -> ContainerInstance:
    return ContainerInstance(
        cluster="default",
        id=id_,
        ec2_instance_id="mi-1",
        cpu=1024,
        memory=1000,
        attributes=(Attribute("ecs.os-type", "linux"), Attribute("ecs.capability.x"), *attributes),
        registered_at=1.0,
        **changes,
    )


@pytest.fixture(autouse=True)
def instances(api: Api) -> None:
    api.put(
        an_instance(FIRST),
        an_instance(SECOND, Attribute("rack", "7")),
        an_instance(GONE, Attribute("rack", "7"), status="INACTIVE"),
    )


def attribute(name: str, value: str | None = None, target: str = FIRST) -> dict[str, Any]:
    """An attribute as answers show it, and as requests may give it."""
    given = {"name": name, "targetId": f"{PREFIX}/{target}", "targetType": "container-instance"}
    return given if value is None else {**given, "value": value}


async def put(api: Api, *attributes: dict[str, Any]) -> Any:
    return (await api.call("PutAttributes", attributes=list(attributes)))["attributes"]


async def listed(api: Api, **members: Any) -> Any:
    answer = await api.call("ListAttributes", targetType="container-instance", **members)
    return answer["attributes"]


async def test_attributes_are_put_by_name_and_shown_with_the_instance(api: Api) -> None:
    await put(api, attribute("rack", "1"), attribute("gpu"))
    both = [attribute("rack", "2"), attribute("rack", "8", SECOND)]
    assert await put(api, *both) == both
    assert await listed(api, attributeName="rack") == both
    assert await listed(api, attributeName="gpu") == [attribute("gpu")]
    shown = (await api.call("DescribeContainerInstances", containerInstances=[FIRST]))["containerInstances"]
    assert shown[0]["attributes"] == [
        {"name": "ecs.os-type", "value": "linux"},
        {"name": "ecs.capability.x"},
        {"name": "rack", "value": "2"},
        {"name": "gpu"},
    ]


async def test_instances_are_found_by_what_was_put(api: Api) -> None:
    await put(
        api, {"name": "zone/a", "value": "x y:z", "targetId": FIRST, "targetType": "container-instance"}
    )
    answer = await api.call("ListContainerInstances", filter="attribute:zone/a exists")
    assert answer["containerInstanceArns"] == [f"{PREFIX}/{FIRST}"]


async def test_built_in_attributes_and_capabilities_are_listed_in_pages(api: Api) -> None:
    everything = [
        attribute("ecs.capability.x"),
        attribute("ecs.os-type", "linux"),
        attribute("ecs.capability.x", None, SECOND),
        attribute("ecs.os-type", "linux", SECOND),
        attribute("rack", "7", SECOND),
    ]
    assert await listed(api) == everything
    first = await api.call("ListAttributes", targetType="container-instance", maxResults=3)
    assert first["attributes"] == everything[:3]
    assert await listed(api, nextToken=first["nextToken"]) == everything[3:]
    assert await listed(api, attributeName="ecs.os-type", attributeValue="windows") == []
    assert await listed(api, attributeName="rack", attributeValue="7") == everything[4:]


async def test_deleting_answers_what_was_deleted_and_heeds_values(api: Api) -> None:
    await put(api, attribute("a", "1"), attribute("b", "2"), attribute("c"))
    deleted = await api.call(
        "DeleteAttributes",
        attributes=[
            attribute("a"),
            attribute("b", "other"),
            attribute("c"),
            attribute("c"),
            attribute("none"),
            attribute("rack", "7", SECOND),
        ],
    )
    assert deleted["attributes"] == [attribute("a", "1"), attribute("c"), attribute("rack", "7", SECOND)]
    assert await listed(api, attributeName="b") == [attribute("b", "2")]
    for name in ("a", "c", "rack"):
        assert await listed(api, attributeName=name) == []


async def test_an_instance_has_ten_custom_attributes_at_most(api: Api) -> None:
    await put(api, *(attribute(f"a{number}") for number in range(10)))
    with pytest.raises(AttributeLimitExceededException, match="more than 10 custom attributes"):
        await put(api, attribute("b", "1", SECOND), attribute("a10"))
    assert await listed(api, attributeName="b") == []
    assert await put(api, attribute("a9", "changed")) == [attribute("a9", "changed")]


async def test_an_agent_may_bring_more_attributes_which_can_be_changed(api: Api) -> None:
    api.put(an_instance(FIRST, *(Attribute(f"a{number}") for number in range(12))))
    assert await put(api, attribute("a11", "x")) == [attribute("a11", "x")]
    with pytest.raises(AttributeLimitExceededException):
        await put(api, attribute("a12"))


@pytest.mark.parametrize("operation", ["PutAttributes", "DeleteAttributes"])
@pytest.mark.parametrize(
    ("attributes", "error", "message"),
    [
        ([], InvalidParameterException, "attributes can not be empty"),
        ([attribute("a")] * 11, InvalidParameterException, "cannot exceed 10"),
        ([attribute("")], InvalidParameterException, "An attribute name should"),
        ([attribute("a b")], InvalidParameterException, "An attribute name should"),
        ([attribute("a" * 129)], InvalidParameterException, "An attribute name should"),
        ([attribute("a", "")], InvalidParameterException, "An attribute value should"),
        ([attribute("a", " x")], InvalidParameterException, "An attribute value should"),
        ([attribute("a", "x ")], InvalidParameterException, "An attribute value should"),
        ([attribute("a", "ü")], InvalidParameterException, "An attribute value should"),
        ([attribute("ecs.os-type", "linux")], InvalidParameterException, "are reserved: ecs.os-type"),
        ([attribute("com.amazonaws.ecs.x")], InvalidParameterException, "are reserved"),
        ([{"name": "a"}], InvalidParameterException, "targetId can not be null"),
        ([{"name": "a", "targetId": FIRST}], InvalidParameterException, "targetType must be specified"),
        (
            [{"name": "a", "targetId": FIRST, "targetType": "task"}],
            InvalidParameterException,
            "one of .container-instance",
        ),
        ([attribute("a"), attribute("a", None, GONE)], TargetNotFoundException, f"Could not find .*{GONE}"),
        ([attribute("a", None, "4" * 32)], TargetNotFoundException, "Could not find"),
        (
            [{"name": "a", "targetId": "x", "targetType": "container-instance"}],
            TargetNotFoundException,
            "Could not find x",
        ),
        (
            [{"name": "a", "targetId": f"{PREFIX}/{FIRST}".replace("/default/", "/edge/")}],
            InvalidParameterException,
            "Identifier is for edge",
        ),
    ],
)
async def test_bad_attributes_are_refused_and_nothing_is_changed(
    api: Api, operation: str, attributes: list[dict[str, Any]], error: type[ApiError], message: str
) -> None:
    before = await listed(api)
    with pytest.raises(error, match=message):
        await api.call(operation, attributes=attributes)
    assert await listed(api) == before


async def test_attributes_are_of_a_cluster_and_a_known_type(api: Api) -> None:
    with pytest.raises(ClusterNotFoundException):
        await listed(api, cluster="nope")
    with pytest.raises(InvalidParameterException, match="targetType must be container-instance"):
        await api.call("ListAttributes", targetType="task")
    with pytest.raises(InvalidParameterException, match="attributeName must be specified"):
        await listed(api, attributeValue="x")
