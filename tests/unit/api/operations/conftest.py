"""Handlers on a real state, with input and answers checked against the model."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from controller.api.context import Caller, IdSource, RequestContext
from controller.api.operations import clusters, services, task_definitions, tasks
from controller.api.service_model import ServiceModel, load_service_model
from controller.api.validation import InputValidator
from controller.config import ControllerConfig
from controller.state.changes import Cause
from controller.state.entities import (
    Attribute,
    Cluster,
    ContainerInstance,
    Document,
    Entity,
    InstanceConnection,
    Task,
    task_key,
)
from controller.state.kernel import Reader, State
from controller.state.lifecycle import ContainerReport, TaskReport, apply_report
from controller.state.opening import open_state
from controller.state.store.sqlite import SqliteStore
from tests.support.clock import FakeClock
from tests.support.members import exercised
from tests.unit.api.output_shapes import assert_output

OPERATIONS = clusters.OPERATIONS | task_definitions.OPERATIONS | tasks.OPERATIONS | services.OPERATIONS
CAUSE = Cause(kind="agent", id="test")


@cache
def _model() -> ServiceModel:
    return load_service_model("ecs")


class Api:
    """Calls operations as the administrator, and plays the agents."""

    def __init__(self, state: State, clock: FakeClock, data_dir: Path) -> None:
        self.state = state
        self.clock = clock
        self._ids = IdSource(random.Random(1))
        self._config = ControllerConfig(data_dir=data_dir)
        self._validator = InputValidator(_model())

    async def __call__(self, operation: str, **request: Any) -> Any:
        """The answer of an operation."""
        exercised(operation, request)
        context = RequestContext(
            request_id=self._ids.uuid(),
            caller=Caller("arn:aws:iam::000000000000:user/admin", "AKIATEST", "administrator"),
            state=self.state,
            clock=self.clock,
            ids=self._ids,
            config=self._config,
            base_url="http://127.0.0.1:8480",
            signs_of_life=lambda _cluster, _instance: None,
        )
        shape = _model().operations[operation].input
        assert shape is not None
        result = OPERATIONS[operation](context, self._validator.check(shape.shape, request))
        answer = await result if inspect.isawaitable(result) else result
        await self.state.flushed(context.touched)
        assert_output(operation, answer)
        return answer

    @property
    def read(self) -> Reader:
        """What the state holds."""
        return self.state.read()

    def put(self, *entities: Entity) -> None:
        """Put records straight into the state."""
        with self.state.transaction(CAUSE) as transaction:
            for entity in entities:
                transaction.put(entity)

    def join(self, number: int = 1, **changes: Any) -> ContainerInstance:
        """Have a container instance join with its agent connected."""
        fields: dict[str, Any] = {
            "cluster": "default",
            "id": f"{number:032x}",
            "ec2_instance_id": f"i-{number}",
            "cpu": 2048,
            "memory": 2000,
            "reserved_ports_tcp": (22,),
            "attributes": (
                Attribute("com.amazonaws.ecs.capability.docker-remote-api.1.18"),
                Attribute("com.amazonaws.ecs.capability.docker-remote-api.1.19"),
                Attribute("ecs.capability.container-health-check"),
                Attribute("ecs.capability.task-cpu-mem-limit"),
                Attribute("ecs.cpu-architecture", "x86_64"),
                Attribute("ecs.availability-zone", "z1"),
            ),
            "registered_at": self.clock.now(),
        }
        instance = ContainerInstance(**{**fields, **changes})
        connection = InstanceConnection(
            cluster=instance.cluster,
            id=instance.id,
            connected=True,
            synchronised=True,
            changed_at=self.clock.now(),
        )
        self.put(instance, connection)
        return instance

    def task(self, task_arn: str) -> Task:
        """The record of a task in the default cluster."""
        task = self.read.get(Task, task_key("default", task_arn.rpartition("/")[2]))
        assert task is not None
        return task

    def report(self, task_arn: str, status: Any, *containers: ContainerReport, reason: str = "") -> None:
        """Have the agent report a task's status."""
        report = TaskReport(status=status, containers=containers, reason=reason)
        self.put(apply_report(self.task(task_arn), report, self.clock.now()))


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """The operations on a state of their own, with the cluster `default`."""
    clock = FakeClock()
    store = SqliteStore(tmp_path / "state.db", account="000000000000", region="us-east-1")
    state = await open_state(store, clock)
    flushing = asyncio.create_task(state.run())
    api = Api(state, clock, tmp_path)
    api.put(Cluster(name="default", created_at=clock.now()))
    yield api
    flushing.cancel()
    with suppress(asyncio.CancelledError):
        await flushing
    await state.close()


WEB: Document = {
    "name": "web",
    "image": "web:1",
    "memory": 64,
    "cpu": 128,
    "portMappings": [{"containerPort": 80}],
}

Register = Callable[..., Any]


@pytest.fixture
def register(api: Api) -> Register:
    """Register a task definition of one container, changed as asked; answers its ARN."""

    async def register_(family: str = "web", container: Document | None = None, **members: Any) -> str:
        answer = await api(
            "RegisterTaskDefinition",
            family=family,
            containerDefinitions=[{**WEB, **(container or {})}],
            **members,
        )
        arn: str = answer["taskDefinition"]["taskDefinitionArn"]
        return arn

    return register_
