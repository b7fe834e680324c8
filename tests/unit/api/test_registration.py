"""RegisterContainerInstance."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.errors import ClientException, ClusterNotFoundException, InvalidParameterException
from controller.state.entities import ContainerInstance
from tests.unit.api.conftest import Api, agent_of

RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 8000},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "51678"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]
ARN = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/" + "1" * 32


def resources(cpu: int, memory: int) -> list[dict[str, Any]]:
    return [
        {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
    ]


async def register(api: Api, **members: Any) -> dict[str, Any]:
    request = {"cluster": "default", "totalResources": RESOURCES, **members}
    instance: dict[str, Any] = (await api.call("RegisterContainerInstance", agent_of("default"), **request))[
        "containerInstance"
    ]
    return instance


def by_name(instance: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        resource["name"]: resource.get("stringSetValue", resource["integerValue"])
        for resource in instance[kind]
    }


async def test_a_machine_registers_with_everything_that_it_sent(api: Api) -> None:
    instance = await register(
        api,
        attributes=[{"name": "ecs.os-type", "value": "linux"}, {"name": "ecs.capability.task-eni"}],
        tags=[{"key": "rack", "value": "7"}],
        platformDevices=[{"id": "gpu-1", "type": "GPU"}],
        instanceIdentityDocument="",
        instanceIdentityDocumentSignature="",
        clientToken="whatever",
    )
    assert instance["status"] == "ACTIVE"
    assert instance["agentConnected"] is False
    assert instance["version"] == 1
    assert instance["ec2InstanceId"].startswith("mi-")
    assert instance["tags"] == [{"key": "rack", "value": "7"}]
    assert instance["registeredAt"] == api.clock.now()
    assert by_name(instance, "registeredResources") == {
        "CPU": 4096,
        "MEMORY": 8000,
        "PORTS": ["22", "51678"],
        "PORTS_UDP": [],
        "GPU": ["gpu-1"],
    }
    assert instance["remainingResources"] == instance["registeredResources"]
    assert api.signs_of_life == [("default", instance["containerInstanceArn"].rpartition("/")[2])]


async def test_every_attribute_is_echoed_those_without_a_value_too(api: Api) -> None:
    attributes = [{"name": f"ecs.capability.{number}"} for number in range(60)]
    attributes += [{"name": "custom", "value": "x"}, {"name": "empty", "value": ""}]
    echoed = {
        item["name"]: item.get("value", "")
        for item in (await register(api, attributes=attributes))["attributes"]
    }
    assert echoed == {item["name"]: item.get("value", "") for item in attributes}


async def test_the_ec2_instance_id_is_taken_from_the_identity_document(api: Api) -> None:
    instance = await register(api, instanceIdentityDocument='{"instanceId": "i-0abc"}')
    assert instance["ec2InstanceId"] == "i-0abc"


async def test_place_and_kind_are_taken_from_the_identity_document_unless_the_agent_says_them(
    api: Api,
) -> None:
    document = '{"instanceId":"i-0abc","instanceType":"m7i.large","availabilityZone":"z","imageId":"ami-1"}'
    sent = [{"name": "ecs.instance-type", "value": "nuc"}]
    instance = await register(api, instanceIdentityDocument=document, attributes=sent)
    assert {attribute["name"]: attribute.get("value") for attribute in instance["attributes"]} == {
        "ecs.instance-type": "nuc",
        "ecs.availability-zone": "z",
        "ecs.ami-id": "ami-1",
    }


@pytest.mark.parametrize(
    "members",
    [
        {"totalResources": []},
        {"totalResources": resources(0, 100)},
        {"totalResources": resources(1024, -5)},
        {"totalResources": [*resources(1024, 100), {"name": "PORTS", "stringSetValue": ["70000"]}]},
        {"totalResources": [*resources(1024, 100), {"name": "PORTS_UDP", "stringSetValue": ["x"]}]},
        {"totalResources": [*resources(1024, 100), {"name": "PORTS", "stringSetValue": ["1" * 5000]}]},
        {"instanceIdentityDocument": "{"},
    ],
)
async def test_a_machine_without_sane_resources_is_refused(api: Api, members: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterException):
        await register(api, **members)
    assert not api.state.read().all(ContainerInstance)


async def test_an_unknown_cluster_is_told_in_the_words_that_agents_wait_for(api: Api) -> None:
    with pytest.raises(ClusterNotFoundException, match=r"Cluster not found\."):
        await api.call("RegisterContainerInstance", cluster="nope", totalResources=RESOURCES)


async def test_registering_again_keeps_arn_tags_and_custom_attributes_and_replaces_capabilities(
    api: Api,
) -> None:
    first = await register(
        api,
        attributes=[{"name": "rack", "value": "7"}, {"name": "ecs.capability.old"}],
        tags=[{"key": "a", "value": "b"}],
    )
    again = await register(
        api,
        containerInstanceArn=first["containerInstanceArn"],
        attributes=[{"name": "ecs.capability.new"}],
        totalResources=resources(8192, 16000),
    )
    assert again["containerInstanceArn"] == first["containerInstanceArn"]
    assert again["ec2InstanceId"] == first["ec2InstanceId"]
    assert again["version"] == 2
    assert again["tags"] == [{"key": "a", "value": "b"}]
    assert again["attributes"] == [{"name": "ecs.capability.new"}, {"name": "rack", "value": "7"}]
    assert by_name(again, "registeredResources")["CPU"] == 8192


async def test_a_draining_instance_stays_draining_when_its_agent_registers_again(api: Api) -> None:
    first = await register(api)
    arn = first["containerInstanceArn"]
    await api.call("UpdateContainerInstancesState", containerInstances=[arn], status="DRAINING")
    assert (await register(api, containerInstanceArn=arn))["status"] == "DRAINING"


async def test_a_deregistered_instance_is_active_again_when_its_agent_registers_again(api: Api) -> None:
    arn = (await register(api))["containerInstanceArn"]
    await api.call("DeregisterContainerInstance", containerInstance=arn)
    assert (await register(api, containerInstanceArn=arn))["status"] == "ACTIVE"


async def test_an_unknown_arn_of_this_account_and_cluster_is_accepted_under_that_arn(api: Api) -> None:
    assert (await register(api, containerInstanceArn=ARN))["containerInstanceArn"] == ARN


@pytest.mark.parametrize(
    "arn",
    [
        ARN.replace("000000000000", "111111111111"),
        ARN.replace("us-east-1", "eu-west-1"),
        ARN.replace("/default/", "/other/"),
        ARN.replace("container-instance", "task"),
        "arn:aws:ecs:us-east-1:000000000000:container-instance/default/short",
    ],
)
async def test_an_arn_of_somebody_else_is_refused_for_good(api: Api, arn: str) -> None:
    with pytest.raises(ClientException):
        await register(api, containerInstanceArn=arn)


@pytest.mark.parametrize(
    "members",
    [
        {"totalResources": resources(2048, 8000)},
        {"totalResources": resources(4096, 4000)},
        {"attributes": [{"name": "ecs.instance-type", "value": "large"}]},
        {"attributes": [{"name": "ecs.cpu-architecture", "value": "arm64"}]},
    ],
)
async def test_another_or_smaller_machine_may_not_take_an_instance_over(
    api: Api, members: dict[str, Any]
) -> None:
    first = await register(
        api,
        attributes=[
            {"name": "ecs.instance-type", "value": "small"},
            {"name": "ecs.cpu-architecture", "value": "x86_64"},
        ],
    )
    with pytest.raises(ClientException, match=r"type changes are not supported\."):
        await register(api, containerInstanceArn=first["containerInstanceArn"], **members)


async def test_a_little_less_memory_after_a_reboot_is_the_same_machine(api: Api) -> None:
    arn = (await register(api))["containerInstanceArn"]
    again = await register(api, containerInstanceArn=arn, totalResources=resources(4096, 7900))
    assert by_name(again, "registeredResources")["MEMORY"] == 7900
