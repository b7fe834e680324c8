"""What a task needs beside its containers, made ready before the first image is pulled.

The state machine gives ``PrepareResources`` once a task is admitted, and pulls and creates nothing until
``ResourcesReady`` has answered. ``ResourcesFailed`` stops the task with its reason. What was prepared counts
for one life of the agent: after a restart it is prepared again if containers are still to be made, so that
nothing here has to be kept on disk. Starts do not wait for it: a container that exists was made with it.

A new kind of resource is one more step of ``TaskResources.prepare``. It has to bear being called twice for
the same task, and raises an ``EngineError`` whose ``reason`` is what the task is stopped with; whatever is
worth a second try it tries itself.
"""

from collections.abc import Callable
from typing import Any

from agent.engine.book import TaskRecord
from agent.engine.log_routers import LogRouters
from agent.engine.registry_credentials import RegistryCredentials
from agent.engine.states import Event
from agent.engine.task_cgroups import TaskCgroups
from agent.engine.task_secrets import TaskSecrets
from agent.protocol import acs


class TaskResources:
    """Makes them."""

    def __init__(self, cgroups: TaskCgroups, secrets: TaskSecrets, routers: LogRouters) -> None:
        self._cgroups = cgroups
        self._secrets = secrets
        self._routers = routers

    def cgroup_parent(self, task_arn: str) -> str | None:
        """The ``CgroupParent`` of the task's containers; None leaves it to the engine."""
        return self._cgroups.parent(task_arn)

    def container(self, record: TaskRecord, container: str) -> acs.Container:
        """A container's definition with its secrets in it. It is to be made of this, and kept nowhere."""
        return self._secrets.applied(record, container)

    def hidden(self, record: TaskRecord, event: Event) -> Event:
        """What happened to a task, without the secrets that the engine may have quoted in its words."""
        return self._secrets.hidden(record, event)

    async def login(self, record: TaskRecord, container: str) -> RegistryCredentials | None:
        """Whom to pull a container's image as, if the task says. Raises ``EngineError``."""
        return await self._secrets.login(record, container)

    async def route_logs(self, record: TaskRecord, container: acs.Container, body: dict[str, Any]) -> None:
        """Change a container's create call to fit the task's log router. Raises ``EngineError``."""
        await self._routers.apply(record, container, body)

    async def remove(self, task_arn: str) -> None:
        """Remove what is left of a task whose containers are gone. Raises ``EngineError``."""
        await self._routers.remove(task_arn)
        await self._cgroups.remove(task_arn)

    def forget(self, task_arn: str) -> None:
        """Drop what was prepared for a task that has ended, and give up what still is to come."""
        self._secrets.forget(task_arn)

    async def before_start(self, record: TaskRecord) -> None:
        """Make good what a restart of the machine has taken away. Raises ``EngineError``."""
        await self._cgroups.ensure(record.definition)

    async def prepare(self, record: TaskRecord, waiting: Callable[[str], None]) -> None:
        """Make everything that ``record``'s containers need. Raises ``EngineError``.

        ``waiting`` is told, in words for people, what takes long.
        """
        await self._cgroups.ensure(record.definition)
        await self._secrets.prepare(record, waiting)
        await self._routers.prepare(record.definition)
