"""RegisterContainerInstance: becoming a container instance of the cluster, and remaining the same one."""

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

import msgspec
import structlog

from agent.config import AgentConfig
from agent.host.attributes import Attribute, EngineFacts, built_in_attributes
from agent.host.machine import Ec2Instance, Machine
from agent.host.resources import Resource
from agent.identity import IdentityFile, IdentityNotSavedError
from agent.session.api import ApiError, ControlPlaneClient, Unreachable
from agent.session.backoff import Backoff

log = structlog.get_logger(__name__)

DEFAULT_CLUSTER = "default"
# What a controller answers to a registration that it understands and does not accept.
_REFUSALS = frozenset({"ClientException", "InvalidParameterException"})


class NotRegistered(Exception):
    """The controller answered a registration in a way that cannot be relied on."""


def registration_request(
    *,
    cluster: str,
    container_instance_arn: str | None,
    attributes: Iterable[Attribute],
    resources: Iterable[Resource],
    tags: Iterable[tuple[str, str]],
    client_token: str,
    ec2: Ec2Instance | None = None,
    gpu_ids: Iterable[str] = (),
) -> dict[str, Any]:
    """The request of RegisterContainerInstance, in the members that amazon-ecs-agent sends."""
    request = {
        "cluster": cluster,
        "attributes": msgspec.to_builtins(tuple(attributes)),
        "totalResources": msgspec.to_builtins(tuple(resources)),
        "instanceIdentityDocument": ec2.document if ec2 else "",
        "instanceIdentityDocumentSignature": ec2.signature if ec2 else "",
        "clientToken": client_token,
    }
    if container_instance_arn:
        request["containerInstanceArn"] = container_instance_arn
    if tag_list := [{"key": key, "value": value} for key, value in tags]:
        request["tags"] = tag_list
    if gpus := [{"id": gpu_id, "type": "GPU"} for gpu_id in gpu_ids]:
        request["platformDevices"] = gpus
    return request


def attributes_not_echoed(
    sent: Iterable[Mapping[str, Any]], echoed: Iterable[Mapping[str, Any]]
) -> list[str]:
    """The names of those sent attributes that the controller's answer lacks or changes.

    A value that is absent and one that is empty are the same. An attribute that got lost would keep tasks
    away for ever, without anybody being told why.
    """
    values = {attribute.get("name"): attribute.get("value") or "" for attribute in echoed}
    return [
        str(attribute["name"])
        for attribute in sent
        if values.get(attribute["name"]) != (attribute.get("value") or "")
    ]


class Registration:
    """Registers this machine, and registers it again when the controller has forgotten it."""

    def __init__(
        self,
        *,
        client: ControlPlaneClient,
        config: AgentConfig,
        machine: Machine,
        identity: IdentityFile,
        resources: tuple[Resource, ...],
        engine_facts: EngineFacts,
        random: Random,
    ) -> None:
        self._client = client
        self._config = config
        self._machine = machine
        self._identity = identity
        self._resources = resources
        self._engine_facts = engine_facts
        self._backoff = Backoff(random)
        self._one_at_a_time = asyncio.Lock()

    async def register(self) -> str:
        """Register, trying for as long as it takes, and return the container instance's ARN.

        The saved ARN is registered again. If the controller refuses it (it was deregistered, or another
        machine has it), the machine joins as a new container instance; the tasks that it runs stay with the
        agent.
        """
        async with self._one_at_a_time:
            arn = self._identity.current.container_instance_arn
            self._backoff.reset()
            while True:
                try:
                    registered = await self._register_once(arn)
                except (ApiError, Unreachable, NotRegistered) as error:
                    wait_s = self._backoff.next_wait_s()
                    log.warning("registration_failed", error=str(error), retry_in_s=round(wait_s, 2))
                    if arn and isinstance(error, ApiError) and error.code in _REFUSALS:
                        log.warning("joining_as_new_container_instance", refused_arn=arn)
                        arn = None
                    await asyncio.sleep(wait_s)
                else:
                    await self._save(registered)
                    log.info("registered", container_instance_arn=registered, again=arn is not None)
                    return registered

    async def _save(self, container_instance_arn: str) -> None:
        """Write down who this machine is; without that nothing may be run as it."""
        while True:
            try:
                await self._identity.update(container_instance_arn=container_instance_arn)
            except IdentityNotSavedError as error:
                wait_s = self._backoff.next_wait_s()
                log.warning("registration_not_saved", error=str(error), retry_in_s=round(wait_s, 2))
                await asyncio.sleep(wait_s)
            else:
                return

    async def register_as_new(self) -> str:
        """Register without the saved ARN, which the controller says is deregistered."""
        await self._identity.update(container_instance_arn=None)
        return await self.register()

    async def _register_once(self, arn: str | None) -> str:
        request = registration_request(
            cluster=self._config.cluster,
            container_instance_arn=arn,
            attributes=self._attributes(first=arn is None),
            resources=self._resources,
            tags=self._config.container_instance_tags,
            client_token=str(uuid.uuid4()),
            ec2=self._identity.current.ec2,
            gpu_ids=self._machine.gpu_ids,
        )
        try:
            answer = await self._client.call("RegisterContainerInstance", request)
        except ApiError as error:
            if error.code != "ClusterNotFoundException" or self._config.cluster != DEFAULT_CLUSTER:
                raise
            await self._client.call("CreateCluster", {"clusterName": DEFAULT_CLUSTER})
            answer = await self._client.call("RegisterContainerInstance", request)
        instance = answer.get("containerInstance") or {}
        lost = attributes_not_echoed(request["attributes"], instance.get("attributes") or ())
        if lost:
            raise NotRegistered(f"the controller did not take over the attributes {', '.join(lost)}")
        # As amazon-ecs-agent does: a registered identity never changes under a running agent.
        registered = arn or instance.get("containerInstanceArn")
        if not registered:
            raise NotRegistered("the controller's answer names no containerInstanceArn")
        return str(registered)

    def _attributes(self, *, first: bool) -> tuple[Attribute, ...]:
        built_in = built_in_attributes(
            self._config, self._machine, self._engine_facts, ec2=self._identity.current.ec2
        )
        if not first:
            return built_in
        custom = (Attribute(name, value) for name, value in self._config.instance_attributes)
        return (*custom, *built_in)
