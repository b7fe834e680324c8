"""What containers get beside their definition: secrets, environment files, log options and registry logins.

The values are asked for when a task's resources are prepared and live in memory only, until the task ends.
What is written to disk is the definition, which holds references.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from agent.engine.book import TaskRecord
from agent.engine.errors import ResourceInitializationError
from agent.engine.payload_documents import docker_document
from agent.engine.registry_credentials import RegistryCredentials
from agent.engine.states import CreateFailed, Event, Observed, PullFailed, StartFailed, Status, StopFailed
from agent.protocol import acs
from agent.protocol.clock import Clock
from agent.protocol.extensions import ContainerSecrets

HIDDEN = "(hidden)"
_LOGIN_LEFT_S = 60.0
_SOON_S = 3.0
"""After this long, people are told that a task waits for its secrets."""
_SHORTEST_HIDDEN = 4
"""Letters of the shortest value that is looked for in what the engine says: shorter ones are in any text."""


class SecretsUnavailableError(Exception):
    """The values cannot be had; the message is the reason in ECS's words and holds none of them."""


class SecretsSource(Protocol):
    """Whom the values are asked of."""

    async def resolve(self, task_arn: str, containers: Sequence[str]) -> Sequence[ContainerSecrets]:
        """The values for containers of a task, however long it takes until somebody can tell. Raises
        ``SecretsUnavailableError``.
        """
        ...


class NoSecrets:
    """Nobody is there to be asked."""

    async def resolve(self, task_arn: str, containers: Sequence[str]) -> Sequence[ContainerSecrets]:
        """Raise ``SecretsUnavailableError``."""
        raise SecretsUnavailableError(
            "unable to pull secrets or registry auth: this agent has nobody to ask for the secrets of "
            f"containers {', '.join(containers)} of {task_arn}"
        )


def needs_secrets(container: acs.Container) -> bool:
    """Whether a container's definition names anything that has to be asked for."""
    return bool(
        container.secrets or container.environment_files or container.registry_authentication is not None
    )


class TaskSecrets:
    """The values of the tasks that this agent is starting or running."""

    def __init__(self, source: SecretsSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._values: dict[str, dict[str, ContainerSecrets]] = {}
        self._asking: dict[str, set[asyncio.Task[Sequence[ContainerSecrets]]]] = {}

    async def prepare(self, record: TaskRecord, waiting: Callable[[str], None]) -> None:
        """Have the values of the containers that are still to be made; if that takes long, ``waiting`` is
        told so. Raises ``ResourceInitializationError``.
        """
        wanted = [
            container.name or ""
            for container, state in zip(record.definition.containers, record.state.containers, strict=True)
            if state.known < Status.CREATED and needs_secrets(container)
        ]
        if wanted:
            await self._ask(record.plan.arn, wanted, waiting)

    def applied(self, record: TaskRecord, container: str) -> acs.Container:
        """A container's definition with its values in it."""
        definition = record.container(container)
        values = self._values.get(record.plan.arn, {}).get(container)
        return definition if values is None else with_values(definition, values)

    async def login(self, record: TaskRecord, container: str) -> RegistryCredentials | None:
        """Whom to pull a container's image as; None where the task does not say. A login that has run out
        while the container waited for others is asked for again. Raises ``ResourceInitializationError``.
        """
        arn = record.plan.arn
        values = self._values.get(arn, {}).get(container)
        if values is not None and _is_stale(values, self._clock.now()):
            await self._ask(arn, [container])
            values = self._values.get(arn, {}).get(container)
        if values is None or not values.registry_username:
            return None
        return RegistryCredentials(values.registry_username, values.registry_password)

    def hidden(self, record: TaskRecord, event: Event) -> Event:
        """The event without the values that the engine may have quoted in its words."""
        match event:
            case PullFailed() | CreateFailed() | StartFailed() | StopFailed():
                reason = self._without_values(record, event.container, event.reason)
                return msgspec.structs.replace(event, reason=reason)
            case Observed() if event.inspection.error:
                error = self._without_values(record, event.container, event.inspection.error)
                inspection = msgspec.structs.replace(event.inspection, error=error)
                return msgspec.structs.replace(event, inspection=inspection)
        return event

    def _without_values(self, record: TaskRecord, container: str, text: str) -> str:
        values = self._values.get(record.plan.arn, {}).get(container)
        if values is not None:
            for value in sorted(_all_of(values), key=len, reverse=True):
                if len(value) >= _SHORTEST_HIDDEN:
                    text = text.replace(value, HIDDEN)
        return text

    def forget(self, task_arn: str) -> None:
        """The task has ended: drop its values, and stop asking for them."""
        self._values.pop(task_arn, None)
        for asking in self._asking.get(task_arn, ()):
            asking.cancel()

    async def _ask(
        self, task_arn: str, containers: Sequence[str], waiting: Callable[[str], None] | None = None
    ) -> None:
        asking = asyncio.create_task(self._answers(task_arn, containers), name=f"secrets of {task_arn}")
        self._asking.setdefault(task_arn, set()).add(asking)
        try:
            await asyncio.wait([asking], timeout=_SOON_S)
            if waiting is not None and not asking.done():
                waiting(f"waits for the controller to tell the secrets of {', '.join(containers)}")
            await asyncio.wait([asking])
        finally:
            asking.cancel()
            self._asking[task_arn].discard(asking)
            if not self._asking[task_arn]:
                del self._asking[task_arn]
        if asking.cancelled():
            raise ResourceInitializationError("the task ended before its secrets came")
        try:
            found = asking.result()
        except SecretsUnavailableError as error:
            raise ResourceInitializationError(str(error)) from error
        self._values.setdefault(task_arn, {}).update({values.name: values for values in found})

    async def _answers(self, task_arn: str, containers: Sequence[str]) -> Sequence[ContainerSecrets]:
        found = await self._source.resolve(task_arn, containers)
        missing = set(containers) - {values.name for values in found}
        if missing:
            raise SecretsUnavailableError(
                f"the controller's answer leaves out the containers {', '.join(sorted(missing))}"
            )
        return found


def with_values(container: acs.Container, values: ContainerSecrets) -> acs.Container:
    """A container's definition with its values in it: secrets win over the definition's own variables, and
    those over the variables of environment files.
    """
    environment = {**values.environment_files, **(container.environment or {}), **values.secrets}
    changed = msgspec.structs.replace(container, environment=environment)
    return _with_log_options(changed, values.log_options) if values.log_options else changed


def _with_log_options(container: acs.Container, options: Mapping[str, str]) -> acs.Container:
    host_config: dict[str, Any] = dict(docker_document(container, "host_config"))
    log_config = dict(host_config.get("LogConfig") or {})
    log_config["Config"] = {**(log_config.get("Config") or {}), **options}
    host_config["LogConfig"] = log_config
    text = msgspec.json.encode(host_config).decode()
    before = container.docker_config or acs.DockerConfig()
    return msgspec.structs.replace(container, docker_config=msgspec.structs.replace(before, host_config=text))


def _is_stale(values: ContainerSecrets, now: float) -> bool:
    return values.registry_expires_at is not None and now > values.registry_expires_at - _LOGIN_LEFT_S


def _all_of(values: ContainerSecrets) -> list[str]:
    return [
        *values.secrets.values(),
        *values.environment_files.values(),
        *values.log_options.values(),
        values.registry_password,
    ]
