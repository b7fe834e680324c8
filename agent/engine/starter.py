"""Starts a task's containers and finds out where their ports are."""

import asyncio

import structlog
from msgspec.structs import replace

from agent.engine.book import TaskRecord
from agent.engine.docker import Docker
from agent.engine.errors import (
    CannotStartContainerError,
    DockerTimeoutError,
    EngineError,
    HostPortTakenError,
)
from agent.engine.inspector import Inspector
from agent.engine.namespaces import publishes_ports
from agent.engine.ports import fixed_bindings, has_dynamic_ports
from agent.engine.records import ContainerInspection
from agent.engine.states import Observed, Started, Vanished
from agent.engine.task_resources import TaskResources
from agent.protocol.clock import Clock

log = structlog.get_logger(__name__)

_PORT_ATTEMPTS = 5
_LOOK_AGAIN_S = (0.2, 1.0, 5.0)


class Starter:
    """Starts them."""

    def __init__(self, docker: Docker, resources: TaskResources, inspector: Inspector, clock: Clock) -> None:
        self._docker = docker
        self._resources = resources
        self._inspector = inspector
        self._clock = clock

    async def start(self, record: TaskRecord, container: str, *, again: bool) -> Started | Observed:
        """Start a container; ``again`` says that an earlier attempt had no clear answer.

        Raises ``DockerTimeoutError`` or ``EngineUnavailableError`` if it may run all the same, another
        ``EngineError`` if it certainly does not.
        """
        if again and (begun := await self._begun(record, container)) is not None:
            return begun
        definition = record.container(container)
        docker_name = record.docker_name(container)
        engine_chooses = has_dynamic_ports(definition) and publishes_ports(record.definition, definition)
        await self._resources.before_start(record)
        try:
            await self._start_until_ports_are_free(
                docker_name, attempts=_PORT_ATTEMPTS if engine_chooses else 1
            )
        except DockerTimeoutError as error:
            raise DockerTimeoutError(f"Could not transition to started; {error}") from error
        except CannotStartContainerError:
            seen = await self._inspector.observe(record, container)
            if isinstance(seen, Vanished) or seen.inspection.state != "RUNNING":
                raise
            log.warning("started_in_spite_of_error", container=docker_name)
        at = self._clock.now()
        docker_id = record.state.containers[record.plan.index(container)].docker_id or docker_name
        started = Started(at=at, container=container, docker_id=docker_id)
        if record.plan.containers[record.plan.index(container)].internal:
            seen_started = await self._look(docker_name)
            interface = None if seen_started is None else seen_started.network_interface
            return replace(started, network_interface=interface)
        if not engine_chooses:
            return replace(started, network_bindings=fixed_bindings(record.definition, definition))
        seen_started = await self._look(docker_name)
        bindings = () if seen_started is None else self._inspector.published(definition, seen_started)
        return replace(started, network_bindings=bindings)

    async def _begun(self, record: TaskRecord, container: str) -> Started | Observed | None:
        """What became of a container whose start gave no clear answer; None if it has not begun to run."""
        seen = await self._inspector.observe(record, container)
        if isinstance(seen, Vanished) or not seen.inspection.ever_started:
            return None
        state = record.state.containers[record.plan.index(container)]
        if state.restarting and seen.inspection.started_at == state.restarted_life:
            return None
        if seen.inspection.state != "RUNNING":
            return seen
        return Started(
            at=seen.at,
            container=container,
            docker_id=seen.inspection.docker_id,
            network_bindings=seen.network_bindings,
        )

    async def _start_until_ports_are_free(self, docker_name: str, attempts: int) -> None:
        """Start a container. Where the engine chooses the ports it chooses others at every attempt."""
        for attempt in range(1, attempts + 1):
            try:
                await self._docker.start(docker_name)
            except HostPortTakenError as error:
                if attempt == attempts:
                    raise
                log.info("host_port_taken", container=docker_name, reason=str(error))
            else:
                return

    async def _look(self, docker_name: str) -> ContainerInspection | None:
        """What the engine has given a container that was just started; None if it does not tell."""
        for pause in (*_LOOK_AGAIN_S, None):
            try:
                return await self._docker.inspect(docker_name)
            except EngineError as error:
                log.warning("network_unknown", container=docker_name, reason=error.reason)
                if pause is not None:
                    await asyncio.sleep(pause)
        return None
