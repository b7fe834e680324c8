"""This machine as an EC2 instance, if it is one: who it is, where, of what kind, and what it is called.

Everywhere else the look ends within a second with nothing, and the settings and their defaults hold.
"""

import dataclasses

import msgspec
import structlog

from agent.config import AgentConfig
from agent.host.instance_metadata import InstanceMetadata, MetadataUnavailable, first_answer
from agent.host.machine import Ec2Instance
from agent.identity import IdentityFile, IdentityTakenError

log = structlog.get_logger(__name__)

FROM_EC2 = "ec2_instance"
"""The value of ``ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM`` that asks for the instance's tags."""
LOOK_S = 0.8
"""How long a machine that is no EC2 instance may keep the agent waiting."""
_DOCUMENT = "dynamic/instance-identity/document"
_SIGNATURE = "dynamic/instance-identity/signature"
_LIFE_CYCLE = "meta-data/instance-life-cycle"
_TAGS = "meta-data/tags/instance"
# Keys that AWS keeps for itself; no API call may set them.
_RESERVED_TAGS = "aws:"


class _Document(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    instance_id: str
    instance_type: str
    availability_zone: str
    image_id: str = ""


async def look(metadata: InstanceMetadata, config: AgentConfig) -> Ec2Instance | None:
    """What the metadata service tells of this machine; None if it is no EC2 instance or not to be asked."""
    document = await first_answer(metadata, _DOCUMENT, LOOK_S) if _may_be_asked(config) else None
    if document is None:
        return None
    try:
        known = msgspec.json.decode(document, type=_Document)
        return Ec2Instance(
            instance_id=known.instance_id,
            instance_type=known.instance_type,
            availability_zone=known.availability_zone,
            image_id=known.image_id,
            document=document,
            signature=await metadata.get(_SIGNATURE) or "",
            spot=await metadata.get(_LIFE_CYCLE) == "spot",
            tags=await _read_tags(metadata) if config.propagate_tags_from == FROM_EC2 else (),
        )
    except (msgspec.DecodeError, MetadataUnavailable) as error:
        log.warning("instance_metadata_incomplete", error=str(error))
        return None


async def _read_tags(metadata: InstanceMetadata) -> tuple[tuple[str, str], ...]:
    keys = await metadata.get(_TAGS)
    if keys is None:
        log.warning(
            "instance_tags_not_allowed",
            what_to_do="allow tags in the instance's metadata (InstanceMetadataTags=enabled)",
        )
        return ()
    found = []
    for key in keys.splitlines():
        value = await metadata.get(f"{_TAGS}/{key}")
        if value is not None and not key.startswith(_RESERVED_TAGS):
            found.append((key, value))
    return tuple(found)


def _may_be_asked(config: AgentConfig) -> bool:
    return not (config.external or config.metadata_disabled)


async def recognise(
    found: Ec2Instance | None, identity: IdentityFile, config: AgentConfig
) -> Ec2Instance | None:
    """Compare what the metadata service told with what this agent knew, and keep the newer.

    If it does not answer now, what it told before still holds: a machine does not stop to be an EC2 instance.
    A data directory that another instance left behind, in an image made of it, is not taken over: that
    instance may still be running under its identity. Raises ``IdentityTakenError`` then.
    """
    if not _may_be_asked(config):
        await identity.update(ec2=None)
        return None
    known = identity.current.ec2
    if found is None:
        if known is not None:
            log.warning("instance_metadata_not_reachable", ec2_instance_id=known.instance_id)
        return known
    if known is not None and known.instance_id != found.instance_id:
        log.warning(
            "identity_of_another_instance", ec2_instance_id=found.instance_id, other=known.instance_id
        )
        await identity.update(ec2=found)
        await identity.begin_anew()
        raise IdentityTakenError(
            f"this disk is a copy of that of {known.instance_id}: "
            f"{found.instance_id} joins as a new container instance at its next start"
        )
    await identity.update(ec2=found)
    log.info("ec2_instance", ec2_instance_id=found.instance_id, type=found.instance_type, spot=found.spot)
    return found


def settle(config: AgentConfig, ec2: Ec2Instance | None) -> AgentConfig:
    """The settings, where nobody chose them, as the EC2 instance has them; chosen tags beat its own."""
    if ec2 is None:
        return config
    tags = dict(ec2.tags) | dict(config.container_instance_tags)
    chosen = config.given
    return dataclasses.replace(
        config,
        container_instance_tags=tuple(tags.items()),
        availability_zone=config.availability_zone
        if "availability_zone" in chosen
        else ec2.availability_zone,
        instance_type=config.instance_type if "instance_type" in chosen else ec2.instance_type,
    )
