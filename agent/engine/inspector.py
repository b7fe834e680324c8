"""What the Docker engine says of a task's container, as an event for the state machine."""

from agent.engine.book import TaskRecord
from agent.engine.changes import NetworkBinding
from agent.engine.docker import Docker
from agent.engine.errors import NoSuchContainerError
from agent.engine.namespaces import publishes_ports
from agent.engine.ports import fixed_bindings, ranges_of, reported_bindings
from agent.engine.records import ContainerInspection
from agent.engine.states import Observed, Vanished
from agent.protocol import acs
from agent.protocol.clock import Clock


class Inspector:
    """Looks at containers."""

    def __init__(self, docker: Docker, clock: Clock, *, report_ipv6_bindings: bool) -> None:
        self._docker = docker
        self._clock = clock
        self._report_ipv6_bindings = report_ipv6_bindings

    async def observe(self, record: TaskRecord, container: str) -> Observed | Vanished:
        """How a container is now. Raises ``EngineError`` if the engine does not tell."""
        docker_name = record.docker_name(container)
        try:
            seen = await self._docker.inspect(docker_name)
        except NoSuchContainerError:
            return Vanished(at=self._clock.now(), container=container)
        return Observed(
            at=self._clock.now(),
            container=container,
            inspection=seen,
            network_bindings=self._bindings(record, container, seen),
        )

    def _bindings(
        self, record: TaskRecord, container: str, seen: ContainerInspection
    ) -> tuple[NetworkBinding, ...]:
        definition = record.container(container)
        if not publishes_ports(record.definition, definition):
            return fixed_bindings(record.definition, definition)
        return self.published(definition, seen)

    def published(self, container: acs.Container, seen: ContainerInspection) -> tuple[NetworkBinding, ...]:
        """The ports that the engine has published for a container."""
        return reported_bindings(seen.ports, ranges_of(container), with_ipv6=self._report_ipv6_bindings)
