"""Task definition operations."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import ApiError, ClientException, InvalidParameterException

PREFIX = "arn:aws:ecs:us-east-1:000000000000:task-definition/"


async def test_revisions_count_up_and_a_number_is_never_used_twice(api: Any, register: Any) -> None:
    assert await register() == PREFIX + "web:1"
    await api("DeregisterTaskDefinition", taskDefinition="web:1")
    assert await register() == PREFIX + "web:2"


async def test_a_registered_definition_tells_everything_about_itself(api: Any) -> None:
    answer = await api(
        "RegisterTaskDefinition",
        family="web",
        containerDefinitions=[{"name": "web", "image": "web:1", "memory": 64}],
        tags=[{"key": "team", "value": "a"}],
    )
    shown = answer["taskDefinition"]
    assert answer["tags"] == [{"key": "team", "value": "a"}]
    assert shown["status"] == "ACTIVE"
    assert shown["registeredBy"] == "arn:aws:iam::000000000000:user/admin"
    assert shown["registeredAt"] == api.clock.now()
    assert shown["compatibilities"] == ["EXTERNAL", "EC2"]
    assert {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"} in shown["requiresAttributes"]
    assert "networkMode" not in shown
    assert shown["volumes"] == shown["placementConstraints"] == []


async def test_tags_are_described_only_when_asked_for(api: Any, register: Any) -> None:
    await register(tags=[{"key": "team", "value": "a"}])
    assert "tags" not in await api("DescribeTaskDefinition", taskDefinition="web")
    answer = await api("DescribeTaskDefinition", taskDefinition="web", include=["TAGS"])
    assert answer["tags"] == [{"key": "team", "value": "a"}]


async def test_empty_tags_are_refused_as_ecs_does(api: Any, register: Any) -> None:
    with pytest.raises(ClientException, match="Tags can not be empty"):
        await register(tags=[])


@pytest.mark.parametrize("name", ["web", "web:2", PREFIX + "web:2", PREFIX + "web"])
async def test_a_definition_is_described_by_family_revision_or_arn(
    api: Any, register: Any, name: str
) -> None:
    await register()
    await register()
    answer = await api("DescribeTaskDefinition", taskDefinition=name)
    assert answer["taskDefinition"]["revision"] == 2


async def test_a_family_means_its_newest_active_revision(api: Any, register: Any) -> None:
    await register()
    await register()
    await api("DeregisterTaskDefinition", taskDefinition="web:2")
    answer = await api("DescribeTaskDefinition", taskDefinition="web")
    assert answer["taskDefinition"]["revision"] == 1


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nobody", ClientException, "Unable to describe task definition."),
        ("web:9", ClientException, "Unable to describe task definition."),
        ("web:x", InvalidParameterException, "Invalid revision number. Number: x"),
    ],
)
async def test_a_definition_that_is_not_there_cannot_be_described(
    api: Any, register: Any, name: str, error: type[ApiError], message: str
) -> None:
    await register()
    with pytest.raises(error, match=message):
        await api("DescribeTaskDefinition", taskDefinition=name)


async def test_deregistering_twice_answers_the_same(api: Any, register: Any) -> None:
    await register()
    first = await api("DeregisterTaskDefinition", taskDefinition="web:1")
    api.clock.advance(5)
    assert await api("DeregisterTaskDefinition", taskDefinition=PREFIX + "web:1") == first
    assert first["taskDefinition"]["status"] == "INACTIVE"
    assert "deregisteredAt" in first["taskDefinition"]


@pytest.mark.parametrize("name", ["web", PREFIX + "web"])
async def test_deregistering_needs_a_revision(api: Any, register: Any, name: str) -> None:
    await register()
    with pytest.raises(ClientException, match="Revision is missing"):
        await api("DeregisterTaskDefinition", taskDefinition=name)


async def test_definitions_are_listed_by_family_then_revision_either_way(api: Any, register: Any) -> None:
    for _ in range(11):
        await register("web")
    await register("web-2")
    await register("api")
    answer = await api("ListTaskDefinitions")
    names = [arn.removeprefix(PREFIX) for arn in answer["taskDefinitionArns"]]
    assert names == ["api:1", *(f"web:{number}" for number in range(1, 12)), "web-2:1"]
    answer = await api("ListTaskDefinitions", sort="DESC", maxResults=3)
    assert [arn.removeprefix(PREFIX) for arn in answer["taskDefinitionArns"]] == [
        "web-2:1",
        "web:11",
        "web:10",
    ]
    answer = await api("ListTaskDefinitions", sort="DESC", maxResults=3, nextToken=answer["nextToken"])
    assert [arn.removeprefix(PREFIX) for arn in answer["taskDefinitionArns"]] == ["web:9", "web:8", "web:7"]


async def test_the_family_prefix_of_definitions_is_a_whole_name(api: Any, register: Any) -> None:
    await register("web")
    await register("web-2")
    answer = await api("ListTaskDefinitions", familyPrefix="web")
    assert answer["taskDefinitionArns"] == [PREFIX + "web:1"]


async def test_inactive_definitions_are_listed_only_when_asked_for(api: Any, register: Any) -> None:
    await register()
    await api("DeregisterTaskDefinition", taskDefinition="web:1")
    assert (await api("ListTaskDefinitions"))["taskDefinitionArns"] == []
    assert (await api("ListTaskDefinitions", status="INACTIVE"))["taskDefinitionArns"] == [PREFIX + "web:1"]


async def test_families_are_listed_by_prefix_and_status(api: Any, register: Any) -> None:
    for family in ("web", "web-2", "api"):
        await register(family)
    await api("DeregisterTaskDefinition", taskDefinition="web-2:1")

    async def families(**request: Any) -> list[str]:
        listed: list[str] = (await api("ListTaskDefinitionFamilies", **request))["families"]
        return listed

    assert await families() == ["api", "web", "web-2"]
    assert await families(familyPrefix="we") == ["web", "web-2"]
    assert await families(status="ACTIVE") == ["api", "web"]
    assert await families(status="INACTIVE") == ["web-2"]


async def test_registering_what_was_described_keeps_the_document(api: Any, register: Any) -> None:
    await register(container={"healthCheck": {"command": ["CMD", "true"]}}, cpu=".25 vCPU", memory="0.5 GB")
    first = (await api("DescribeTaskDefinition", taskDefinition="web"))["taskDefinition"]
    assert (first["cpu"], first["memory"]) == ("256", "512")
    answer = await api("RegisterTaskDefinition", **first)
    second = answer["taskDefinition"]
    changing = ("taskDefinitionArn", "revision", "registeredAt")
    assert {name: value for name, value in second.items() if name not in changing} == {
        name: value for name, value in first.items() if name not in changing
    }


async def test_a_broken_definition_takes_no_revision(api: Any, register: Any) -> None:
    with pytest.raises(ClientException, match="At least one of 'memory' or 'memoryReservation'"):
        await api(
            "RegisterTaskDefinition", family="web", containerDefinitions=[{"name": "web", "image": "web:1"}]
        )
    assert await register() == PREFIX + "web:1"
