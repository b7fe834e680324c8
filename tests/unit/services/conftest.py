"""A state on a temporary SQLite file, with a cluster in it and the loops running in fake time."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from controller.services.events import EVENT_KIND, decode_event, service_object
from controller.services.loop import ServiceLoop
from controller.services.protection import ProtectionEnd
from controller.services.retire import Retirement
from controller.state.changes import Cause
from controller.state.entities import (
    Attribute,
    Cluster,
    ContainerInstance,
    Deployment,
    Entity,
    InstanceConnection,
    Service,
    Task,
    TaskDefinition,
    instance_key,
    service_key,
    task_key,
)
from controller.state.indexes import LIVE_TASKS_OF_SERVICE
from controller.state.kernel import State
from controller.state.lifecycle import TaskReport, apply_report
from controller.state.opening import open_state
from controller.state.store.sqlite import SqliteStore
from tests.support.clock import FakeClock

SERVICE = service_key("default", "web")


class _Settings:
    healthy_after_s = 3.0


class _Ids:
    def __init__(self, random: Random) -> None:
        self._random = random

    def hex32(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128)))


class Controller:
    """The parts of a controller that services need, and short words for what agents and users do to it."""

    def __init__(self, state: State, clock: FakeClock) -> None:
        self.state = state
        self.clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Run the flusher and the loops."""
        random = Random(1)
        loop = ServiceLoop(self.state, self.clock, _Settings(), _Ids(random), random)
        retirement = Retirement(self.state, self.clock)
        protection = ProtectionEnd(self.state, self.clock)
        self._tasks = [asyncio.create_task(part.run()) for part in (self.state, loop, retirement, protection)]

    async def stop(self) -> None:
        """End everything, what was flushed stays in the store."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.state.close()

    async def put(self, *entities: Entity) -> None:
        """Put records and let the loops react."""
        with self.state.transaction(Cause("request", "test")) as transaction:
            for entity in entities:
                transaction.put(entity)
        await self.settle()

    async def settle(self) -> None:
        """Let flushes and steps follow each other until nothing more happens in this very moment."""
        await asyncio.sleep(0.001)

    async def add_instance(self, name: str, zone: str = "a", **members: Any) -> None:
        """An instance registers and its agent connects."""
        members.setdefault("cpu", 4096)
        members.setdefault("memory", 8192)
        await self.put(
            ContainerInstance(
                cluster="default",
                id=name,
                ec2_instance_id=name,
                registered_at=0.0,
                attributes=(Attribute("ecs.availability-zone", zone),),
                **members,
            )
        )
        await self.connect(name)

    async def connect(self, name: str, *, connected: bool = True) -> None:
        """An instance's agent connects and tells its tasks, or goes silent."""
        await self.put(
            InstanceConnection(
                cluster="default", id=name, connected=connected, synchronised=connected, changed_at=0.0
            )
        )

    async def drain(self, name: str) -> None:
        """An instance is set to DRAINING."""
        instance = self.state.read().get(ContainerInstance, instance_key("default", name))
        assert instance is not None
        await self.put(replace(instance, status="DRAINING"))

    async def create_service(self, desired: int, definition: TaskDefinition, **members: Any) -> None:
        """CreateService with its first deployment."""
        await self.put(
            definition,
            Service(cluster="default", name="web", desired_count=desired, created_at=0.0, **members),
            deployment_of(definition, 1, self.clock.now()),
        )

    async def update_service(self, definition: TaskDefinition, number: int) -> None:
        """UpdateService with another task definition."""
        old = [replace(item, status="ACTIVE") for item in self.deployments if item.status == "PRIMARY"]
        await self.put(definition, *old, deployment_of(definition, number, self.clock.now()))

    async def change_service(self, **members: Any) -> None:
        """Put the service with other members."""
        await self.put(replace(self.service, **members))

    async def report(self, task: Task, status: Any, **members: Any) -> None:
        """An agent reports a task's status."""
        current = self.state.read().get(Task, task.key)
        assert current is not None
        await self.put(apply_report(current, TaskReport(status=status, **members), self.clock.now()))

    async def report_health(self, task: Task, status: Any) -> None:
        """An agent reports the health of a task's containers."""
        current = self.state.read().get(Task, task.key)
        assert current is not None
        containers = tuple(replace(item, health_status=status) for item in current.containers)
        await self.put(replace(current, containers=containers))

    async def run_all(self, status: Any = "RUNNING") -> None:
        """Agents start what waits and end what is to stop."""
        for task in self.tasks:
            if task.desired_status == "STOPPED":
                await self.report(task, "STOPPED")
            elif task.reported_status != "RUNNING":
                await self.report(task, status)

    @property
    def service(self) -> Service:
        service = self.state.read().get(Service, SERVICE)
        assert service is not None
        return service

    @property
    def status(self) -> str:
        """The service's status."""
        return self.service.status

    @property
    def rollout_state(self) -> str:
        """The newest deployment's rolloutState."""
        return self.deployments[0].rollout_state

    @property
    def deployments(self) -> list[Deployment]:
        """Deployments of the service, newest first."""
        found = [item for item in self.state.read().all(Deployment).values() if item.service == "web"]
        return sorted(found, key=lambda item: item.id, reverse=True)

    @property
    def tasks(self) -> list[Task]:
        """Tasks of the service that are not STOPPED, oldest first."""
        return list(self.state.read().select(LIVE_TASKS_OF_SERVICE, SERVICE).values())

    @property
    def live(self) -> list[Task]:
        """Tasks of the service that are to run."""
        return [task for task in self.tasks if task.desired_status == "RUNNING"]

    def task(self, task_id: str) -> Task:
        """A task by its id."""
        task = self.state.read().get(Task, task_key("default", task_id))
        assert task is not None
        return task

    async def events(self) -> list[str]:
        """Messages of the service's events, oldest first."""
        entries = await self.state.history.recent(service_object(SERVICE), EVENT_KIND, 1000)
        return [
            decode_event(entry.body).message.removeprefix("(service web) ") for entry in reversed(entries)
        ]


def definition(revision: int = 1, **container: Any) -> TaskDefinition:
    """A revision of the web family with one container."""
    container.setdefault("memory", 128)
    return TaskDefinition(
        family="web",
        revision=revision,
        document={"containerDefinitions": [{"name": "web", "essential": True, **container}]},
        registered_at=0.0,
    )


def deployment_of(definition: TaskDefinition, number: int, now: float) -> Deployment:
    """A PRIMARY deployment."""
    return Deployment(
        cluster="default",
        service="web",
        id=f"ecs-svc/{number}",
        family=definition.family,
        revision=definition.revision,
        created_at=now,
        updated_at=now,
    )


@pytest.fixture
async def controllers(tmp_path: Path, fake_clock: FakeClock) -> AsyncIterator[Callable[[], Any]]:
    """Opens a controller on the test's store; opening another one ends the one before, as a restart does."""
    running: list[Controller] = []

    async def open_() -> Controller:
        while running:
            await running.pop().stop()
        store = SqliteStore(tmp_path / "state.db", account="000000000000", region="us-east-1")
        controller = Controller(await open_state(store, fake_clock), fake_clock)
        controller.start()
        running.append(controller)
        return controller

    yield open_
    while running:
        await running.pop().stop()


@pytest.fixture
async def controller(controllers: Callable[[], Any]) -> Controller:
    """A running controller with an empty cluster."""
    opened: Controller = await controllers()
    await opened.put(Cluster(name="default", created_at=0.0))
    return opened
