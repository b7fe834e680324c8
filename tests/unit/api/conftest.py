"""Operations called as the front door calls them, on a real state, without HTTP."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controller.api.context import Caller, IdSource, RequestContext
from controller.api.dispatch import Service, ecs_service
from controller.api.operations import ECS_OPERATIONS
from controller.api.operations.submissions import TYPED_OPERATIONS
from controller.api.service_model import ServiceModel, load_service_model
from controller.config import ControllerConfig
from controller.state.changes import Cause
from controller.state.entities import Cluster, Document, Entity
from controller.state.kernel import State
from controller.state.opening import open_state
from controller.state.store.sqlite import SqliteStore
from tests.support.clock import FakeClock
from tests.support.members import exercised
from tests.unit.api.output_shapes import assert_output

ACCOUNT = "000000000000"
REGION = "us-east-1"
ADMINISTRATOR = Caller(f"arn:aws:iam::{ACCOUNT}:user/administrator", "AKIAADMIN", "administrator")


def agent_of(cluster: str) -> Caller:
    """A caller with the agent key of a cluster."""
    return Caller(f"arn:aws:iam::{ACCOUNT}:user/agent/{cluster}", "AKIAAGENT", "agent", cluster)


class Api:
    """The operations on one state."""

    def __init__(self, state: State, clock: FakeClock, service: Service, config: ControllerConfig) -> None:
        self.state = state
        self.clock = clock
        self.service = service
        self.config = config
        self.random = random.Random(7)
        self.ids = IdSource(self.random)
        self.signs_of_life: list[tuple[str, str]] = []

    def context(self, caller: Caller = ADMINISTRATOR) -> RequestContext:
        """The context of a new request."""
        return RequestContext(
            request_id=self.ids.uuid(),
            caller=caller,
            state=self.state,
            clock=self.clock,
            ids=self.ids,
            config=self.config,
            base_url="http://controller.test:8480",
            signs_of_life=lambda cluster, instance: self.signs_of_life.append((cluster, instance)),
        )

    async def call(self, operation: str, caller: Caller = ADMINISTRATOR, /, **members: Any) -> Document:
        """Call an operation as a client would: through JSON and the service model, which the answer keeps."""
        exercised(operation, members)
        known = self.service.operations[operation]
        context = self.context(caller)
        result = known.handler(context, known.decode(msgspec.json.encode(members)))
        answer = await result if inspect.isawaitable(result) else result
        await self.state.flushed(context.touched)
        decoded: Document = msgspec.json.decode(msgspec.json.encode(answer))
        assert_output(operation, decoded)
        return decoded

    def put(self, *entities: Entity) -> None:
        """Store records directly."""
        with self.state.transaction(Cause(kind="start")) as transaction:
            for entity in entities:
                transaction.put(entity)


@pytest.fixture(scope="session")
def model() -> ServiceModel:
    """ECS's service model."""
    return load_service_model("ecs")


@pytest.fixture
async def state(tmp_path: Path, clock: FakeClock) -> AsyncIterator[State]:
    """A state on a SQLite file, flushing."""
    opened = await open_state(SqliteStore(tmp_path / "state.db", account=ACCOUNT, region=REGION), clock)
    flushing = asyncio.create_task(opened.run())
    yield opened
    flushing.cancel()
    with suppress(asyncio.CancelledError):
        await flushing
    await opened.close()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test moves."""
    return FakeClock()


@pytest.fixture
def config(tmp_path: Path) -> ControllerConfig:
    """Default settings."""
    return ControllerConfig(tmp_path)


@pytest.fixture
def api(state: State, clock: FakeClock, model: ServiceModel, config: ControllerConfig) -> Api:
    """The operations, with the cluster `default` there."""
    harness = Api(state, clock, ecs_service(model, ECS_OPERATIONS, TYPED_OPERATIONS), config)
    harness.put(Cluster(name="default", created_at=clock.now()))
    return harness
