"""The agent's whole relation to its controller, as one long-lived part."""

import asyncio
from collections.abc import Callable, Mapping
from random import Random

from agent.config import AgentConfig
from agent.host.attributes import EngineFacts
from agent.host.machine import Machine
from agent.host.resources import Resource
from agent.identity import IdentityFile
from agent.protocol.clock import Clock
from agent.session.acs_session import AcsSession
from agent.session.api import ControlPlaneClient
from agent.session.discovery import Discovery
from agent.session.engine_port import EnginePort
from agent.session.instance_health import InstanceHealth
from agent.session.registration import Registration
from agent.session.secrets_exchange import SecretsExchange
from agent.session.state_changes import StateChangeSubmitter
from agent.session.tcs_session import TelemetrySession


class ControlPlane:
    """Registers, then holds both websockets and reports state changes, through any loss of the controller."""

    def __init__(
        self,
        *,
        client: ControlPlaneClient,
        config: AgentConfig,
        machine: Machine,
        identity: IdentityFile,
        resources: tuple[Resource, ...],
        engine: EnginePort,
        engine_facts: EngineFacts,
        secrets: SecretsExchange,
        clock: Clock,
        random: Random,
    ) -> None:
        discovery = Discovery(client, clock, config.cluster)
        self._health = InstanceHealth(engine, clock)
        self._registration = Registration(
            client=client,
            config=config,
            machine=machine,
            identity=identity,
            resources=resources,
            engine_facts=engine_facts,
            random=random,
        )
        self._acs = AcsSession(
            client=client,
            discovery=discovery,
            registration=self._registration,
            identity=identity,
            machine=machine,
            config=config,
            engine=engine,
            health=self._health,
            secrets=secrets,
            clock=clock,
            random=random,
        )
        self._tcs = TelemetrySession(
            client=client,
            discovery=discovery,
            identity=identity,
            config=config,
            engine=engine,
            health=self._health,
            clock=clock,
            random=random,
        )
        self._submitter = StateChangeSubmitter(
            client=client,
            changes=engine.changes,
            cluster=config.cluster,
            exclude_ipv6=config.exclude_ipv6_port_binding,
            metrics=client.metrics,
            random=random,
        )

    @property
    def sessions(self) -> Mapping[str, Callable[[], bool]]:
        """For each session, by its name, whether it is connected at the moment of asking."""
        return {"acs": lambda: self._acs.connected, "tcs": lambda: self._tcs.connected}

    async def run(self) -> None:
        """Be a container instance, for ever. Registers anew at each start: resources may have changed."""
        self._health.ask()
        await self._registration.register()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._health.run(), name="instance health")
            group.create_task(self._submit(), name="state changes")
            group.create_task(self._acs.run(), name="acs")
            group.create_task(self._tcs.run(), name="tcs")

    async def wait_until_accepted(self) -> None:
        """Return once the controller has taken this machine for its container instance, in this life."""
        await self._acs.wait_until_accepted()

    async def _submit(self) -> None:
        await self._acs.wait_until_accepted()
        await self._submitter.run()

    async def say_goodbye(self, *, host_goes_down: bool) -> None:
        """Tell the controller that the agent ends, and whether the whole machine does."""
        await self._acs.say_goodbye(host_goes_down=host_goes_down)
