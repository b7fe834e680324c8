"""An EC2 instance knows who it is; every other machine knows quickly that it is none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.config import AgentConfig, load
from agent.host import ec2
from agent.host.attributes import EngineFacts, built_in_attributes
from agent.host.instance_metadata import ANSWER_S, TOKEN_LIFE_S, InstanceMetadata, MetadataUnavailable
from agent.host.machine import Ec2Instance, Machine
from agent.identity import IdentityFile, IdentityTakenError
from agent.session.registration import registration_request
from tests.support.clock import FakeClock
from tests.support.instance_metadata import DOCUMENT, INSTANCE_ID, FakeInstanceMetadata
from tests.support.processes import free_port

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
MACHINE = Machine(machine_id="m", boot_id="b", cpus=4, memory_mib=7812, architecture="x86_64")
INSTANCE = Ec2Instance(
    instance_id=INSTANCE_ID,
    instance_type="m7i.large",
    availability_zone="eu-central-1b",
    image_id="ami-0abcdef1234567890",
    document="{}",
    signature="c2ln",
    spot=True,
    tags=(("team", "x"), ("stage", "prod")),
)
ARN = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/ab"


def settings(**environment: str) -> AgentConfig:
    return load([], KEYS | environment)


@pytest.fixture
def service() -> Iterator[FakeInstanceMetadata]:
    with FakeInstanceMetadata().serving() as fake:
        yield fake


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def metadata(service: FakeInstanceMetadata, clock: FakeClock) -> AsyncIterator[InstanceMetadata]:
    async with InstanceMetadata(service.url, clock) as client:
        yield client


async def test_what_ec2_says_of_the_machine_is_read_with_one_token(
    service: FakeInstanceMetadata, metadata: InstanceMetadata
) -> None:
    found = await ec2.look(metadata, settings())
    assert found is not None
    assert (found.instance_id, found.instance_type) == (INSTANCE_ID, "m7i.large")
    assert (found.availability_zone, found.image_id) == ("eu-central-1b", DOCUMENT["imageId"])
    assert (found.signature, found.spot, found.tags) == ("c2lnbmF0dXJl", True, ())
    assert service.asked.count("PUT api/token") == 1
    assert not any("tags" in asked for asked in service.asked)


async def test_tags_are_read_if_they_are_wanted_and_those_of_aws_left_out(
    service: FakeInstanceMetadata, metadata: InstanceMetadata
) -> None:
    service.tag(**{"team": "x", "aws:autoscaling:groupName": "asg", "stage": ""})
    found = await ec2.look(metadata, settings(ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM="ec2_instance"))
    assert found is not None
    assert found.tags == (("team", "x"), ("stage", ""))


async def test_tags_that_are_not_allowed_in_the_metadata_are_no_failure(metadata: InstanceMetadata) -> None:
    found = await ec2.look(metadata, settings(ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM="ec2_instance"))
    assert found is not None
    assert found.tags == ()


async def test_an_instance_that_was_bought_on_demand_is_not_a_spot_one(
    service: FakeInstanceMetadata, metadata: InstanceMetadata
) -> None:
    service.values["meta-data/instance-life-cycle"] = "on-demand"
    found = await ec2.look(metadata, settings())
    assert found is not None
    assert not found.spot


@pytest.mark.parametrize("setting", ["ECS_EXTERNAL", "AWS_EC2_METADATA_DISABLED"])
async def test_a_machine_that_is_said_to_be_none_is_not_asked(
    service: FakeInstanceMetadata, metadata: InstanceMetadata, setting: str
) -> None:
    assert await ec2.look(metadata, settings(**{setting: "true"})) is None
    assert service.asked == []


async def test_a_machine_without_metadata_is_known_as_such_in_less_than_a_second(
    service: FakeInstanceMetadata, metadata: InstanceMetadata
) -> None:
    async with InstanceMetadata(f"http://127.0.0.1:{free_port()}", FakeClock()) as nobody:
        assert await ec2.look(nobody, settings()) is None
    service.silent = True
    assert ec2.LOOK_S < 1
    async with asyncio.timeout(ANSWER_S - 0.1):
        assert await ec2.look(metadata, settings()) is None


async def test_other_things_that_answer_at_the_address_are_no_ec2(
    service: FakeInstanceMetadata, metadata: InstanceMetadata
) -> None:
    service.values["dynamic/instance-identity/document"] = "<html>welcome</html>"
    assert await ec2.look(metadata, settings()) is None
    async with InstanceMetadata(f"{service.url}/elsewhere", FakeClock()) as elsewhere:
        assert await ec2.look(elsewhere, settings()) is None


async def test_a_token_is_renewed_before_it_expires_and_when_it_is_refused(
    service: FakeInstanceMetadata, metadata: InstanceMetadata, clock: FakeClock
) -> None:
    assert await metadata.get("meta-data/instance-life-cycle") == "spot"
    clock.advance(TOKEN_LIFE_S)
    await metadata.get("meta-data/instance-life-cycle")
    assert service.asked.count("PUT api/token") == 2
    service.forget_tokens()
    assert await metadata.get("meta-data/nothing") is None
    assert service.asked.count("PUT api/token") == 3


async def test_a_service_that_goes_away_is_told_from_one_that_has_nothing(clock: FakeClock) -> None:
    with FakeInstanceMetadata().serving() as service:
        async with InstanceMetadata(service.url, clock) as metadata:
            await metadata.get("meta-data/instance-life-cycle")
    async with InstanceMetadata(service.url, clock) as metadata:
        with pytest.raises(MetadataUnavailable):
            await metadata.get("meta-data/instance-life-cycle")


def test_zone_type_and_tags_are_the_instances_unless_somebody_chose_them() -> None:
    taken = ec2.settle(settings(), INSTANCE)
    assert (taken.availability_zone, taken.instance_type) == ("eu-central-1b", "m7i.large")
    assert taken.container_instance_tags == (("team", "x"), ("stage", "prod"))
    chosen = ec2.settle(
        settings(HOMEPORT_AVAILABILITY_ZONE="cellar", ECS_CONTAINER_INSTANCE_TAGS='{"team":"y"}'), INSTANCE
    )
    assert (chosen.availability_zone, chosen.instance_type) == ("cellar", "m7i.large")
    assert dict(chosen.container_instance_tags) == {"team": "y", "stage": "prod"}
    assert ec2.settle(settings(), None) == settings()


def test_an_instance_registers_its_identity_document_its_image_and_its_kind() -> None:
    config = ec2.settle(settings(), INSTANCE)
    sent = built_in_attributes(config, MACHINE, EngineFacts(), ec2=INSTANCE)
    values = {attribute.name: attribute.value for attribute in sent}
    assert values["ecs.ami-id"] == "ami-0abcdef1234567890"
    assert values["ecs.availability-zone"] == "eu-central-1b"
    assert values["ecs.instance-type"] == "m7i.large"
    request = registration_request(
        cluster="default",
        container_instance_arn=None,
        attributes=sent,
        resources=(),
        tags=(),
        client_token="t",
        ec2=INSTANCE,
    )
    assert request["instanceIdentityDocument"] == "{}"
    assert request["instanceIdentityDocumentSignature"] == "c2ln"


def test_a_machine_elsewhere_registers_no_image_and_may_say_that_it_is_external() -> None:
    names = {a.name for a in built_in_attributes(settings(), MACHINE, EngineFacts())}
    assert not names & {"ecs.ami-id", "ecs.capability.external"}
    outside = built_in_attributes(settings(ECS_EXTERNAL="true"), MACHINE, EngineFacts())
    assert "ecs.capability.external" in {a.name for a in outside}


async def registered(directory: Path) -> IdentityFile:
    identity = IdentityFile.load(directory, "default", "m")
    await identity.update(container_instance_arn=ARN, epoch=3)
    return identity


async def test_metadata_that_does_not_answer_today_was_true_yesterday(tmp_path: Path) -> None:
    identity = await registered(tmp_path)
    assert await ec2.recognise(INSTANCE, identity, settings()) == INSTANCE
    again = IdentityFile.load(tmp_path, "default", "m")
    assert await ec2.recognise(None, again, settings()) == INSTANCE
    assert again.current.container_instance_arn == ARN


async def test_a_machine_that_never_was_an_instance_is_none(tmp_path: Path) -> None:
    assert await ec2.recognise(None, await registered(tmp_path), settings()) is None


async def test_an_instance_made_from_the_image_of_another_begins_a_new_identity(tmp_path: Path) -> None:
    identity = await registered(tmp_path)
    await ec2.recognise(INSTANCE, identity, settings())
    assert identity.current.container_instance_arn == ARN
    other = Ec2Instance(
        **{name: getattr(INSTANCE, name) for name in INSTANCE.__struct_fields__ if name != "instance_id"},
        instance_id="i-other",
    )
    owner = identity.current.owner
    with pytest.raises(IdentityTakenError, match="joins as a new container instance at its next start"):
        await ec2.recognise(other, identity, settings())
    begun = identity.current
    assert (begun.container_instance_arn, begun.epoch, begun.ec2) == (None, 0, other)
    assert begun.owner != owner, "what the copied disk holds is the other instance's"


async def test_an_instance_that_is_said_to_be_none_forgets_that_it_was_one(tmp_path: Path) -> None:
    identity = await registered(tmp_path)
    await ec2.recognise(INSTANCE, identity, settings())
    assert await ec2.recognise(None, identity, settings(ECS_EXTERNAL="true")) is None
    assert identity.current.ec2 is None
    assert identity.current.container_instance_arn == ARN
