"""The front door in the test's own process: over HTTP and signed, on a state that a test can look into."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.protocol.signing import Credentials, sign
from controller.api.access_keys import ensure_root_key
from controller.api.authentication import Authenticator
from controller.api.context import IdSource
from controller.api.dispatch import ecs_service
from controller.api.front_door import FrontDoor
from controller.api.operations import ECS_OPERATIONS
from controller.api.operations.submissions import TYPED_OPERATIONS
from controller.api.service_model import load_service_model
from controller.config import ControllerConfig
from controller.keyring import Keyring
from controller.state.changes import Cause
from controller.state.entities import Cluster, Entity
from controller.state.kernel import State
from controller.state.opening import open_state
from controller.state.store.sqlite import SqliteStore
from controller.telemetry.metrics import ControllerMetrics
from tests.support.clock import FakeClock

TARGET = "AmazonEC2ContainerServiceV20141113"
REGION = "us-east-1"
ACCOUNT = "000000000000"


@dataclass(frozen=True)
class Answer:
    """A response, read."""

    status: int
    document: Any


class KeepAliveClient:
    """Signs calls and makes them one after the other over one connection."""

    def __init__(self, endpoint: str, credentials: Credentials, now: Any) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._now = now
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))

    async def call(self, operation: str, body: bytes) -> Answer:
        """Call an operation of ECS."""
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{TARGET}.{operation}"}
        headers |= sign(
            method="POST",
            url=self._endpoint,
            headers=headers,
            body=body,
            credentials=self._credentials,
            service="ecs",
            region=REGION,
            now=self._now(),
        )
        async with self._session.post(self._endpoint, data=body, headers=headers) as response:
            return Answer(response.status, json.loads(await response.read()))

    async def close(self) -> None:
        """Let go of the connection."""
        await self._session.close()


class Door:
    """A front door, its state and a client. Only calls change the state: no loop of the controller runs."""

    def __init__(self, state: State, server: TestServer, client: KeepAliveClient, clock: FakeClock) -> None:
        self.state = state
        self.clock = clock
        self._server = server
        self._client = client
        self._flushing = asyncio.create_task(state.run())

    @classmethod
    async def open(cls, directory: Path) -> Door:
        """Open one on a store of its own, with the cluster `default`."""
        clock = FakeClock()
        state = await open_state(SqliteStore(directory / "state.db", account=ACCOUNT, region=REGION), clock)
        keyring = Keyring(b"k" * 32)
        with state.transaction(Cause(kind="start")) as transaction:
            transaction.put(Cluster(name="default", created_at=clock.now()))
            key = ensure_root_key(transaction, keyring, random.Random(1), None)
        config = ControllerConfig(directory)
        door = FrontDoor(
            state=state,
            authenticator=Authenticator(state, keyring, clock, config.signature_tolerance_s),
            services={"ecs": ecs_service(load_service_model("ecs"), ECS_OPERATIONS, TYPED_OPERATIONS)},
            config=config,
            clock=clock,
            ids=IdSource(random.Random(2)),
            signs_of_life=lambda _cluster, _instance: None,
            metrics=ControllerMetrics(state).api,
        )
        app = web.Application(client_max_size=config.max_body_bytes)
        app.add_routes([web.post("/", door.handle)])
        server = TestServer(app)
        await server.start_server()
        credentials = Credentials(key.access_key_id, key.secret_access_key)
        return cls(state, server, KeepAliveClient(str(server.make_url("/")), credentials, clock.now), clock)

    async def call(self, operation: str, body: bytes) -> Answer:
        """Call an operation with a body as it is."""
        return await self._client.call(operation, body)

    async def __call__(self, operation: str, **request: Any) -> Any:
        """The answer of an operation that must succeed."""
        answer = await self.call(operation, json.dumps(request).encode())
        assert answer.status == 200, answer.document
        return answer.document

    def put(self, *entities: Entity) -> None:
        """Put records straight into the state."""
        with self.state.transaction(Cause(kind="agent", id="test")) as transaction:
            for entity in entities:
                transaction.put(entity)

    def everything(self) -> dict[str, dict[str, Entity]]:
        """Every record of the state as it is now, by kind and key."""
        return {kind.kind: dict(table.records) for kind, table in self.state.tables.items()}

    async def close(self) -> None:
        """End everything."""
        await self._client.close()
        await self._server.close()
        self._flushing.cancel()
        with suppress(asyncio.CancelledError):
            await self._flushing
        await self.state.close()
