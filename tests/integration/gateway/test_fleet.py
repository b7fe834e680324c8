"""A thousand agents at once: a fleet that reconnects, gets its tasks, and is sent away in order."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from agent.protocol import acs
from agent.protocol.extensions import PROTOCOL_PARAMETER, TaskInventoryMessage
from controller.state.entities import InstanceConnection
from tests.integration.gateway.harness import Agent, World, eventually, running_world
from tests.unit.gateway.samples import instance, task

AGENTS = 1_000
OPEN_FILES = 4 * AGENTS
BACK_OFF_S = 0.05


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for both ends of all connections in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, OPEN_FILES), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def connect(world: World, http: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    """Connect; come back later if told to."""
    while True:
        try:
            return await http.ws_connect(URL(url, encoded=True), headers=world.signed(url))
        except aiohttp.WSServerHandshakeError as refusal:
            if refusal.status != 503:
                raise
            await asyncio.sleep(BACK_OFF_S)


async def live(
    world: World, http: aiohttp.ClientSession, number: int, delivered: dict[int, str | None]
) -> int | None:
    """One agent's life: connect with patience, tell that there is nothing, take the task, answer until sent
    away."""
    url = world.acs_url(number, **{PROTOCOL_PARAMETER: "1"})
    websocket = await connect(world, http, url)
    agent = Agent(world, url, websocket)
    await agent.say(TaskInventoryMessage())
    async for frame in websocket:
        message = agent.decode(frame.data)
        if isinstance(message, acs.HeartbeatMessage):
            await agent.say(acs.HeartbeatAckRequest(message_id=message.message_id))
        elif isinstance(message, acs.PayloadMessage):
            assert number not in delivered
            delivered[number] = message.tasks[0].arn
            await agent.acknowledge(message)
        elif isinstance(message, acs.TaskManifestMessage):
            await agent.acknowledge(message)
    return websocket.close_code


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_agents_connect_at_once_get_their_tasks_and_are_sent_away(tmp_path: Path) -> None:
    delivered: dict[int, str | None] = {}
    async with running_world(tmp_path, heartbeat_interval_s=3.0, resend_after_s=60.0) as world:
        await world.put(*(instance(n) for n in range(1, AGENTS + 1)))
        await world.put(*(task(n, instance=instance(n).id) for n in range(1, AGENTS + 1)))
        read = world.state.read()
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
            asyncio.TaskGroup() as fleet,
        ):
            lives = [fleet.create_task(live(world, http, n, delivered)) for n in range(1, AGENTS + 1)]
            async with asyncio.timeout(60):
                while len(delivered) < AGENTS:
                    await asyncio.sleep(0.05)
            await eventually(
                lambda: all(c.connected and c.synchronised for c in read.all(InstanceConnection).values())
            )
            assert len(read.all(InstanceConnection)) == AGENTS
            await world.gateway.close()
        assert delivered == {n: world.state.names.task(task(n)) for n in range(1, AGENTS + 1)}
        assert {each.result() for each in lives} == {1001}
