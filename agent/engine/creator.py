"""Creates a task's containers."""

from collections.abc import Callable

import msgspec

from agent.engine.book import TaskRecord
from agent.engine.container_body import (
    METADATA_ID_LABEL,
    TASK_ARN_LABEL,
    create_body,
)
from agent.engine.docker import Docker
from agent.engine.endpoint_environment import with_endpoints
from agent.engine.errors import ContainerNameTakenError, DockerTimeoutError
from agent.engine.log_credentials import add_log_credentials
from agent.engine.log_limits import LogLimits
from agent.engine.namespaces import publishes_ports
from agent.engine.port_ranges import HostPortRanges, dynamic_range
from agent.engine.ports import PortRange, lasting_ports, ranges_of
from agent.engine.states import Created
from agent.engine.task_resources import TaskResources
from agent.engine.volumes import Volumes
from agent.protocol import acs
from agent.protocol.clock import Clock


class CreationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How containers are made here."""

    owner: str
    """The value of the label that tells this agent's containers from those of others on the same engine."""
    dynamic_ports: tuple[int, int] | None = None
    """First and last host port that the engine may choose; None leaves the kernel's own range."""
    endpoints_reachable: Callable[[], bool] = lambda: False
    """Whether containers can reach the agent's endpoints and are told of them."""
    logs_as_execution_role: bool = False
    """Whether the awslogs driver writes as the task's execution role, not as the engine."""
    log_limits: LogLimits
    spoken_for: Callable[[], frozenset[int]] = frozenset
    """Gives the host ports that are not to be chosen: no task may have them, or another one has them already,
    be it not started yet.
    """


class Creator:
    """Makes them."""

    def __init__(
        self, docker: Docker, resources: TaskResources, settings: CreationSettings, clock: Clock
    ) -> None:
        self._docker = docker
        self._resources = resources
        self._settings = settings
        self._volumes = Volumes(docker, settings.owner)
        self._host_ranges = HostPortRanges(dynamic_range(settings.dynamic_ports), settings.spoken_for)
        self._clock = clock

    async def create(self, record: TaskRecord, container: str) -> Created:
        """Create a container, or take the one over that an earlier life of this agent had asked for.

        Raises ``EngineError``.
        """
        docker_id = await self._create(record, container)
        return Created(at=self._clock.now(), container=container, docker_id=docker_id)

    async def _create(self, record: TaskRecord, container: str) -> str:
        definition = self._resources.container(record, container)
        docker_name = record.docker_name(container)
        ranges = self._ports_to_choose(record, definition)
        body = create_body(
            record.definition,
            record.plan,
            definition,
            self._settings.owner,
            self._settings.dynamic_ports,
            self._resources.cgroup_parent(record.plan.arn),
            {ports: self._host_ranges.choose(len(ports), ports.protocol) for ports in ranges},
        )
        metadata_id = record.plan.containers[record.plan.index(container)].metadata_id
        if metadata_id and self._settings.endpoints_reachable():
            body["Env"] = with_endpoints(body["Env"], record.definition, metadata_id)
            body["Labels"][METADATA_ID_LABEL] = metadata_id
            if self._settings.logs_as_execution_role:
                add_log_credentials(body["HostConfig"], record.definition, definition)
        await self._resources.route_logs(record, definition, body)
        self._settings.log_limits.apply(body["HostConfig"])
        await self._volumes.ensure(record, container)
        try:
            return await self._docker.create(docker_name, body)
        except ContainerNameTakenError:
            # An earlier life of this agent may have been ended between the call and its answer.
            there = await self._docker.inspect(docker_name)
            if there.labels.get(TASK_ARN_LABEL) != record.plan.arn:
                raise
            return there.docker_id
        except DockerTimeoutError as error:
            raise DockerTimeoutError(f"Could not transition to created; {error}") from error

    @staticmethod
    def _ports_to_choose(record: TaskRecord, container: acs.Container) -> tuple[PortRange, ...]:
        """The container ports whose host ports are not left to the engine."""
        if not publishes_ports(record.definition, container):
            return ()
        plan = record.plan.containers[record.plan.index(container.name or "")]
        return ranges_of(container) + (() if plan.restart is None else lasting_ports(container))
