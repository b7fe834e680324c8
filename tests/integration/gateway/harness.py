"""A gateway at a real port, and agents that speak to it: an ECS agent as it is, and ours."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlsplit

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from agent.protocol import acs, envelope
from agent.protocol.clock import SystemClock
from agent.protocol.signing import Credentials, host_of, sign
from controller.api.access_keys import ensure_agent_key, ensure_root_key
from controller.api.authentication import Authenticator
from controller.config import ControllerConfig
from controller.gateway.gateway import Gateway
from controller.keyring import Keyring
from controller.roles.issuing import RoleCredentialsIssuer
from controller.secrets.resolver import SecretsResolver
from controller.secrets.store import LocalSecrets
from controller.state.changes import Cause
from controller.state.entities import Entity
from controller.state.kernel import State
from controller.state.opening import open_state
from controller.state.store.sqlite import SqliteStore
from controller.wire.desk import WireDesk
from tests.unit.gateway.samples import definition, instance

M = TypeVar("M", bound=msgspec.Struct)

PATIENCE_S = 10.0
"""How long a test waits for what must come."""


@dataclass
class World:
    """A running gateway and what is behind it."""

    state: State
    gateway: Gateway
    port: int
    credentials: Credentials
    foreign_credentials: Credentials
    administrator: Credentials

    async def put(self, *entities: Entity) -> None:
        """Store records, durably."""
        with self.state.transaction(Cause(kind="request", id="test")) as tx:
            for entity in entities:
                tx.put(entity)
        await self.state.flushed(tx.touched)

    def acs_url(self, number: int = 1, /, **parameters: str) -> str:
        """The ACS URL of the agent of `instance(number)`, as the ECS agent writes it."""
        return self._url(
            "acs",
            {
                "agentHash": "abc",
                "agentVersion": "1.105.1",
                "clusterArn": "default",
                "containerInstanceArn": self.state.names.instance(instance(number)),
                "dockerVersion": "DockerVersion: 24.0.7",
                "protocolVersion": "2",
                "seqNum": "1",
                "sendCredentials": "true",
                **parameters,
            },
        )

    def tcs_url(self, number: int = 1, /, **parameters: str) -> str:
        """The TCS URL of the agent of `instance(number)`, as the ECS agent writes it."""
        arn = self.state.names.instance(instance(number))
        return self._url(
            "tcs", {"agentVersion": "1.105.1", "cluster": "default", "containerInstance": arn, **parameters}
        )

    def signed(
        self, url: str, *, credentials: Credentials | None = None, skew_s: float = 0.0, body: bytes = b""
    ) -> dict[str, str]:
        """The headers that sign a request to a URL."""
        return sign(
            method="GET",
            url=url,
            headers={},
            body=body,
            credentials=credentials or self.credentials,
            service="ecs",
            region="us-east-1",
            now=self.state.clock.now() + skew_s,
        )

    def _url(self, channel: str, parameters: Mapping[str, str]) -> str:
        query = "&".join(f"{name}={quote_plus(value)}" for name, value in sorted(parameters.items()))
        return f"ws://127.0.0.1:{self.port}/{channel}/ws?{query}"


@asynccontextmanager
async def running_world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    """A gateway at a free port of this machine."""
    clock = SystemClock()
    config = ControllerConfig(
        data_dir=folder, **{"heartbeat_interval_s": 0.3, "resend_after_s": 0.3, **settings}
    )
    state = await open_state(
        SqliteStore(folder / "state.db", account="000000000000", region="us-east-1"), clock
    )
    flushing = asyncio.create_task(state.run())
    keyring = Keyring.open(folder, create=True)
    with state.transaction(Cause(kind="start")) as tx:
        source = random.Random(1)
        pairs = [ensure_agent_key(tx, keyring, source, name) for name in ("default", "other")]
        root = ensure_root_key(tx, keyring, source, None)
        tx.put(instance())
        tx.put(definition())
    authenticator = Authenticator(state, keyring, clock, config.signature_tolerance_s)
    issuer = RoleCredentialsIssuer(
        state, keyring, clock, source, config.role_credentials_lifetime_s, aws=None
    )
    resolver = SecretsResolver(state, LocalSecrets(keyring), aws=None)
    gateway = Gateway(state, config, clock, authenticator.authenticate, issuer, resolver)
    app = web.Application()
    app.add_routes([web.get(path, handler) for path, handler in gateway.routes()])
    app.add_routes(WireDesk(authenticator, gateway.wire).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    watching = asyncio.create_task(gateway.run())
    keys = (Credentials(pair.access_key_id, pair.secret_access_key) for pair in (*pairs, root))
    yield World(state, gateway, runner.addresses[0][1], *keys)
    for task in (watching, flushing):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if task is watching:
            await runner.cleanup()
    await state.close()


class Agent:
    """One connection of an agent: the messages it got, and what it says."""

    def __init__(self, world: World, url: str, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self._world = world
        self._url = url
        self.websocket = websocket

    async def receive(self, kind: type[M]) -> M:
        """The next message of a kind; others before it are skipped."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = self.decode(await self.websocket.receive_str())
                if isinstance(message, kind):
                    return message

    def decode(self, frame: str) -> msgspec.Struct:
        """What a frame says on this connection's channel."""
        return (envelope.decode_tcs if "/tcs/" in self._url else envelope.decode_acs)(frame)

    async def say(self, message: msgspec.Struct) -> None:
        """Send a message without a header block."""
        await self.websocket.send_str(envelope.encode(message))

    async def say_signed(self, message: msgspec.Struct, *, forged: bool = False, skew_s: float = 0.0) -> None:
        """Send a message with a signed header block, as the ECS agent does on TCS."""
        body = envelope.encode(message)
        signed_body = b"something else" if forged else body.encode()
        headers = self._world.signed(self._url, body=signed_body, skew_s=skew_s) | {
            "Host": host_of(self._url)
        }
        await self.websocket.send_str(envelope.join_signed_frame(headers, body))

    async def acknowledge(self, message: Any) -> None:
        """Acknowledge a payload or manifest, as agents do."""
        await self.say(
            acs.AckRequest(
                cluster=message.cluster_arn,
                container_instance=message.container_instance_arn,
                message_id=message.message_id,
            )
        )

    async def closed(self) -> int | None:
        """Wait until the controller closes the connection; the close code, None if it was cut."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.websocket.closed:
                await self.websocket.receive()
        code = self.websocket.close_code
        return None if code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE else code


@asynccontextmanager
async def connected(world: World, url: str, **signature: Any) -> AsyncIterator[Agent]:
    """An agent with an open connection."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(
            URL(url, encoded=True),
            headers=world.signed(url, **signature),
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        ) as websocket,
    ):
        yield Agent(world, url, websocket)


def open_connection(world: World, url: str) -> socket.socket:
    """An agent that never reads: a plain, upgraded socket. To be called in a thread."""
    parts = urlsplit(url)
    connection = socket.create_connection(("127.0.0.1", world.port), timeout=30)
    headers = world.signed(url) | {
        "Host": parts.netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\n{lines}\r\n".encode())
    answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return connection


async def refused(
    world: World, url: str, headers: Mapping[str, str] | None = None, **signature: Any
) -> tuple[int, Any, Any]:
    """Status, body and headers of the answer to an upgrade that the controller refuses."""
    given = world.signed(url, **signature) if headers is None else dict(headers)
    async with (
        aiohttp.ClientSession() as http,
        http.get(URL(url.replace("ws:", "http:", 1), encoded=True), headers=given) as answer,
    ):
        return answer.status, await answer.json(), answer.headers


async def eventually(condition: Any) -> None:
    """Wait until something is true of the state."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)
