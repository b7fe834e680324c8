"""An agent registers its machine as a container instance, anew or again."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from controller.api.context import Handler, RequestContext
from controller.api.errors import ClientException, InvalidParameterException
from controller.api.identifiers import instance_id, resolve_cluster
from controller.api.render.instance import render_instance
from controller.api.tags import parse_tags
from controller.state.entities import (
    AccessKey,
    Attribute,
    Cluster,
    ContainerInstance,
    Document,
    instance_key,
)
from controller.state.kernel import Transaction

CAPABILITY_PREFIXES = ("ecs.capability.", "com.amazonaws.ecs.capability.")
TYPE_ATTRIBUTES = ("ecs.instance-type", "ecs.os-type", "ecs.cpu-architecture")
"""Attributes whose change means that this is another kind of machine."""

MEMORY_TOLERANCE = 16
"""A machine may come back with a sixteenth less memory: kernels differ in what they keep for themselves."""

IDENTITY_DIGITS = 17


class Resources(msgspec.Struct, frozen=True):
    """What a machine offers."""

    cpu: int
    memory: int
    ports_tcp: tuple[int, ...]
    ports_udp: tuple[int, ...]
    gpu_ids: tuple[str, ...]


class Identity(msgspec.Struct, frozen=True, rename="camel"):
    """What an EC2 instance's identity document says; nothing elsewhere."""

    instance_id: str = ""
    instance_type: str = ""
    availability_zone: str = ""
    image_id: str = ""


def register_container_instance(context: RequestContext, request: Document) -> Document:
    """Register a machine. Every attribute is echoed; with an ARN the instance keeps it and its tasks."""
    cluster = resolve_cluster(context, request.get("cluster"))
    resources = _resources(request)
    identity = _identity(request)
    attributes = _attributes(request, identity)
    tags = parse_tags(request.get("tags"))
    known_id = _claimed_id(context, cluster, request.get("containerInstanceArn")) or _own_id(context)
    known = context.read.get(ContainerInstance, instance_key(cluster.name, known_id)) if known_id else None
    versions = request.get("versionInfo", {})
    with context.transaction() as transaction:
        fresh = ContainerInstance(
            cluster=cluster.name,
            id=known_id or context.ids.hex32(),
            ec2_instance_id=_machine_name(context, identity),
            cpu=resources.cpu,
            memory=resources.memory,
            reserved_ports_tcp=resources.ports_tcp,
            reserved_ports_udp=resources.ports_udp,
            gpu_ids=resources.gpu_ids,
            attributes=attributes,
            tags=tags,
            agent_version=versions.get("agentVersion", ""),
            agent_hash=versions.get("agentHash", ""),
            docker_version=versions.get("dockerVersion", ""),
            registered_at=transaction.now,
        )
        if known is None:
            transaction.put(fresh, "registered under an ARN it brought along" if known_id else "registered")
            instance = fresh
        else:
            instance = registered_again(known, fresh)
            transaction.put(instance, "registered again")
        _note_use_of_key(context, transaction, instance)
    context.signs_of_life(cluster.name, instance.id)
    return {"containerInstance": render_instance(instance, context.read, ("TAGS",))}


def registered_again(known: ContainerInstance, fresh: ContainerInstance) -> ContainerInstance:
    """A known instance after its agent registered again; a deregistered one is ACTIVE again.

    Capabilities are replaced. Other attributes stay although they are not sent: agents send custom ones at
    the first registration only.

    Raises:
        ClientException: it is another kind of machine, or a smaller one.
    """
    _check_same_type(known, fresh)
    sent = {attribute.name for attribute in fresh.attributes}
    kept = tuple(
        attribute
        for attribute in known.attributes
        if attribute.name not in sent and not attribute.name.startswith(CAPABILITY_PREFIXES)
    )
    return replace(
        fresh,
        status="ACTIVE" if known.status == "INACTIVE" else known.status,
        status_reason="" if known.status == "INACTIVE" else known.status_reason,
        ec2_instance_id=known.ec2_instance_id,
        attributes=fresh.attributes + kept,
        tags=fresh.tags or known.tags,
        agent_version=fresh.agent_version or known.agent_version,
        agent_hash=fresh.agent_hash or known.agent_hash,
        docker_version=fresh.docker_version or known.docker_version,
        machine_id=known.machine_id,
        boot_id=known.boot_id,
        registered_at=known.registered_at,
        version=known.version + 1,
    )


def _claimed_id(context: RequestContext, cluster: Cluster, arn: str | None) -> str | None:
    """Id under which a machine says it was registered before. It may be unknown here, after a restore."""
    if not arn:
        return None
    try:
        return instance_id(context, cluster, arn)
    except InvalidParameterException as error:
        # The agent forgets its ARN and ends only at an error that it takes for final.
        raise ClientException(error.message) from None


def _own_id(context: RequestContext) -> str | None:
    """Id that a machine got when it joined, if it has not registered since. Later one that says no ARN is a
    new container instance."""
    caller = context.caller
    registered = context.read.get(ContainerInstance, instance_key(caller.cluster or "", caller.instance))
    return caller.instance if caller.instance and registered is None else None


def _note_use_of_key(context: RequestContext, transaction: Transaction, instance: ContainerInstance) -> None:
    """A key of a container instance follows its machine when that becomes a new one; and whoever has used
    what an exchange issued has no reason to repeat it."""
    if not context.caller.instance:
        return
    key = transaction.get(AccessKey, context.caller.access_key_id)
    if key is not None and (not key.in_use or key.instance != instance.id):
        transaction.put(replace(key, in_use=True, instance=instance.id), "")


def _check_same_type(known: ContainerInstance, fresh: ContainerInstance) -> None:
    before = {attribute.name: attribute.value for attribute in known.attributes}
    after = {attribute.name: attribute.value for attribute in fresh.attributes}
    changed = any(
        before.get(name) and after.get(name) not in (None, before[name]) for name in TYPE_ATTRIBUTES
    )
    smaller = fresh.cpu < known.cpu or fresh.memory < known.memory - known.memory // MEMORY_TOLERANCE
    if changed or smaller:
        raise ClientException("Container instance type changes are not supported.")


def _resources(request: Document) -> Resources:
    given = {resource.get("name", ""): resource for resource in request.get("totalResources", ())}
    # Agents leave numbers out that are 0.
    cpu = given.get("CPU", {}).get("integerValue", 0)
    memory = given.get("MEMORY", {}).get("integerValue", 0)
    if cpu <= 0 or memory <= 0:
        raise InvalidParameterException("totalResources must have a positive CPU and MEMORY.")
    devices = request.get("platformDevices", ())
    gpus = [device["id"] for device in devices if device["type"] == "GPU"]
    gpus += given.get("GPU", {}).get("stringSetValue", ())
    return Resources(
        cpu=cpu,
        memory=memory,
        ports_tcp=_ports(given.get("PORTS")),
        ports_udp=_ports(given.get("PORTS_UDP")),
        gpu_ids=tuple(dict.fromkeys(gpus)),
    )


def _ports(resource: Document | None) -> tuple[int, ...]:
    texts: Iterable[str] = (resource or {}).get("stringSetValue", ())
    ports = []
    for text in texts:
        if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
            raise InvalidParameterException(f"Reserved port {text!r} is not a port number.")
        ports.append(int(text))
    return tuple(dict.fromkeys(ports))


def _attributes(request: Document, identity: Identity) -> tuple[Attribute, ...]:
    """Those that the agent sends, and those that ECS takes from an EC2 instance's identity document."""
    # An empty value and none are the same to agents, and a capability has none.
    sent = tuple(
        Attribute(attribute["name"], attribute.get("value") or None)
        for attribute in request.get("attributes", ())
    )
    names = {attribute.name for attribute in sent}
    documented = {
        "ecs.availability-zone": identity.availability_zone,
        "ecs.instance-type": identity.instance_type,
        "ecs.ami-id": identity.image_id,
    }
    return sent + tuple(
        Attribute(name, value) for name, value in documented.items() if value and name not in names
    )


def _identity(request: Document) -> Identity:
    document = request.get("instanceIdentityDocument")
    if not document:
        return Identity()
    try:
        return msgspec.json.decode(document, type=Identity)
    except msgspec.DecodeError:
        raise InvalidParameterException("instanceIdentityDocument cannot be read.") from None


def _machine_name(context: RequestContext, identity: Identity) -> str:
    """The EC2 instance id where the machine brings one, else an id in ECS's form for other machines."""
    return identity.instance_id or f"mi-{context.ids.hex32()[:IDENTITY_DIGITS]}"


OPERATIONS: dict[str, Handler] = {"RegisterContainerInstance": register_container_instance}
